"""Trains both models of both products on a city of their own, calibrates, evaluates and registers them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.portrait.series import SERIES, WINDOW
from decision_service.rulebook.files import load as load_rules
from decision_service.scoring.stability import PROFILE_FILE, Profile, profile, series_inputs
from ml.city import Place, draw_firms, draw_population
from ml.features import INVOICE_MONOTONE, INVOICE_NAMES, Portraits, Table, read_portraits, read_table
from ml.fitted import Array, FittedModel
from ml.held_out import HeldOut
from ml.metrics import Estimate, Labels, evaluate
from ml.training import (
    calibrate,
    data_hash,
    fit_lstm,
    fit_xgboost,
    lstm_margins,
    probabilities,
    register,
    xgboost_margins,
)

POPULATION = 60_000
GOOD_FIRMS = 9_000  # of those that did not default; all that did are kept
TEST_FIRMS = 5_000
TEST_FROM = 500_001  # numbers of firms that no training city has
NAMES = ("pd-xgboost", "pd-lstm", "pd-xgboost-invoice", "pd-lstm-invoice")
PLACES = ("train", "stop", "calibrate")
SHARES = (0.65, 0.15, 0.20)
UNREPORTED_TO_INVOICES = ("tax_filing", "electricity_kwh", "insured_headcount")

Told = Callable[[str, int], object]
"""Told of progress: the step's name and how many firms it has done since the last call (0: it begins)."""


def silent(step: str, count: int) -> None:
    """No progress shown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Firms with what became of them. ``part`` says which of ``PLACES`` a firm belongs to (test firms: all 0)."""

    table: Table
    labels: Labels
    part: NDArray[np.int_]
    true_pd: Array


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many firms are drawn, kept and tested."""

    population: int = POPULATION
    good_firms: int = GOOD_FIRMS
    test_firms: int = TEST_FIRMS


@dataclass(frozen=True, slots=True)
class Trained:
    """A registered model with its metrics on so many firms it never saw."""

    name: str
    version: str
    metrics: Mapping[str, Estimate]
    tested: int


def training_sample(place: Place, portraits: Portraits, sizes: Sizes, told: Told = silent) -> Sample:
    """All defaulters of a large city and a draw of the others, split by firm into fit, early stopping, calibration.

    The share of defaulters is therefore far above the city's; calibration shifts it back to the stated base rate.
    """
    population = draw_population(place, range(1, sizes.population + 1))
    random = np.random.default_rng([place.seed, 77])
    good = [traits for traits in population if not traits.defaulted]
    chosen = random.choice(len(good), size=min(sizes.good_firms, len(good)), replace=False)
    kept = [traits for traits in population if traits.defaulted] + [good[place_] for place_ in sorted(chosen)]
    firms = draw_firms(place, kept)
    labels = np.array([firm.defaulted for firm in firms], dtype=int)
    told("portraits", 0)
    records = [firm.records for firm in firms]
    table = read_table(records, portraits, now=place.delivered, progress=lambda count: told("portraits", count))
    return Sample(table, labels, _split(labels, random), np.array([firm.pd for firm in firms]))


def _split(labels: Labels, random: np.random.Generator) -> NDArray[np.int_]:
    """Each firm's part, in the stated shares among defaulters and among the others."""
    part = np.empty(len(labels), dtype=int)
    for label in (0, 1):
        rows = random.permutation(np.flatnonzero(labels == label))
        ends = np.rint(np.cumsum(SHARES) * len(rows)).astype(int)
        for number, block in enumerate(np.split(rows, ends[:-1])):
            part[block] = number
    return part


def test_sample(place: Place, portraits: Portraits, sizes: Sizes) -> Sample:
    """A natural draw of other firms of the city, at its own default rate."""
    firms = draw_firms(place, draw_population(place, range(TEST_FROM, TEST_FROM + sizes.test_firms)))
    labels = np.array([firm.defaulted for firm in firms], dtype=int)
    table = read_table([firm.records for firm in firms], portraits, now=place.delivered)
    return Sample(table, labels, np.zeros(len(labels), dtype=int), np.array([firm.pd for firm in firms]))


def train_city(
    place: Place, rules: Path, *, uri: str, sizes: Sizes = Sizes(), epochs: int = 25, told: Told = silent
) -> list[Trained]:
    """The four models (two products), trained, calibrated, evaluated and registered; no alias moves."""
    portraits = read_portraits(rules)
    rates = base_rates(rules, place)
    sample, test = training_sample(place, portraits, sizes, told), test_sample(place, portraits, sizes)
    sections = {industry.code: industry.section for industry in place.industries}
    full, invoice = rates["working_capital"], rates["invoice_loan"]
    blanked = _invoice_only(sample, place.seed)
    tasks: list[Callable[[], tuple[FittedModel, Array]]] = [
        lambda: indicator_trees(sample, test, portraits, sections, full, place.seed),
        lambda: sequences(sample, test, full, place.seed, epochs),
        lambda: _invoice_trees(sample, test, invoice, place.seed),
        lambda: sequences(blanked, test, invoice, place.seed, epochs),
    ]
    fingerprint = data_hash([sample.table.indicators, sample.table.invoices, sample.table.series, sample.labels])
    facts = _facts(place, sample, test)
    trained = []
    for name, fit in zip(NAMES, tasks, strict=True):
        told(name, 0)
        fitted, chances = fit()
        known = ~np.isnan(chances)
        metrics = evaluate(test.labels[known], chances[known], seed=place.seed)
        tags = {"data": "synthetic city", "seed": str(place.seed), "as_of": place.as_of.isoformat()}
        done = register(
            fitted,
            name=name,
            metrics=metrics,
            data_hash=fingerprint,
            files={PROFILE_FILE: natural_profile(name, test, portraits, chances).to_json()},
            facts=facts,
            held_out=_held_out(test, chances, sections),
            tags=tags,
            uri=uri,
        )
        trained.append(Trained(name, done.version, metrics, int(known.sum())))
        told(name, 1)
    return trained


def _facts(place: Place, sample: Sample, test: Sample) -> dict[str, Any]:
    """What the model card tells of the data."""
    parts = {name: int((sample.part == number).sum()) for number, name in enumerate(PLACES)}
    return {
        "units": len(sample.labels),
        "bads": int(sample.labels.sum()),
        "span": f"{WINDOW} months to {place.as_of.isoformat()}",
        "bad": ["default within 12 months, as drawn by the city"],
        "judged": f"{len(test.labels)} other firms of the city at its own default rate",
        "parts": {**parts, "test": len(test.labels)},
        "leaks": [],
    }


def natural_profile(name: str, test: Sample, portraits: Portraits, chances: Array) -> Profile:
    """What served decisions are held against: firms as the city has them, not the sample that is rich in defaulters.

    Inputs have the names under which decisions record them; those of a series model are its series' levels.
    """
    known = ~np.isnan(chances)
    table = test.table.rows(known)
    if name.startswith("pd-lstm"):
        matrix, names = series_inputs(table.series, table.mask, SERIES)
        return profile(matrix, names, chances[known])
    invoice = name.endswith("invoice")
    matrix, names = (table.invoices, INVOICE_NAMES) if invoice else (table.indicators, portraits.names)
    codes = np.array([float(code) if code.isdigit() else np.nan for code in table.industry_codes])
    return profile(np.column_stack([matrix, codes]), (*names, "industry_code"), chances[known])


def _held_out(test: Sample, chances: Array, sections: Mapping[str, str]) -> HeldOut:
    """The test firms that have a score, told apart by their industry's section."""
    known = np.flatnonzero(~np.isnan(chances))
    codes = [test.table.industry_codes[row] for row in known]
    return HeldOut(
        ids=tuple(f"city-{TEST_FROM + row}" for row in known),
        labels=test.labels[known],
        probabilities=chances[known],
        segments={"section": [sections.get(code or "", "unknown") for code in codes]},
    )


def base_rates(rules: Path, place: Place) -> dict[str, float]:
    """Each product's stated base rate, in force on the city's date."""
    in_force = load_rules(rules).in_force(place.as_of)
    rates = {}
    for product in in_force.products:
        parameters: Mapping[str, Any] = in_force.parameters(product, "")
        rate: Decimal = in_force.catalogue.decode("product.base_rate", parameters["product.base_rate"])
        rates[product] = float(rate)
    return rates


def indicator_trees(
    sample: Sample, test: Sample, portraits: Portraits, sections: Mapping[str, str], base_rate: float, seed: int
) -> tuple[FittedModel, Array]:
    """XGBoost on the 32 indicators and the section, calibrated, and its PDs of the test firms (nan: no score)."""
    fit_rows = sample.part < 2
    table = sample.table.rows(fit_rows)
    fitted = fit_xgboost(
        table.indicators,
        sample.labels[fit_rows],
        feature_names=portraits.names,
        monotone=portraits.monotone,
        seed=seed,
        holdout=sample.part[fit_rows] == 1,
        industry_codes=table.industry_codes,
        sections=sections,
    )
    margins = xgboost_margins(fitted, sample.table.indicators, sample.table.industry_codes)
    fitted = _calibrated(fitted, margins, sample, base_rate)
    return fitted, probabilities(fitted, xgboost_margins(fitted, test.table.indicators, test.table.industry_codes))


def _invoice_trees(sample: Sample, test: Sample, base_rate: float, seed: int) -> tuple[FittedModel, Array]:
    fit_rows = sample.part < 2
    fitted = fit_xgboost(
        sample.table.invoices[fit_rows],
        sample.labels[fit_rows],
        feature_names=INVOICE_NAMES,
        monotone=INVOICE_MONOTONE,
        seed=seed,
        holdout=sample.part[fit_rows] == 1,
    )
    fitted = _calibrated(fitted, xgboost_margins(fitted, sample.table.invoices), sample, base_rate)
    return fitted, probabilities(fitted, xgboost_margins(fitted, test.table.invoices))


def sequences(sample: Sample, test: Sample, base_rate: float, seed: int, epochs: int) -> tuple[FittedModel, Array]:
    """The LSTM on the monthly series, calibrated, and its PDs of the test firms (nan: no score)."""
    fit_rows = sample.part < 2
    table = sample.table
    fitted = fit_lstm(
        table.series[fit_rows],
        table.mask[fit_rows],
        sample.labels[fit_rows],
        series_names=SERIES,
        seed=seed,
        holdout=sample.part[fit_rows] == 1,
        epochs=epochs,
    )
    fitted = _calibrated(fitted, lstm_margins(fitted, table.series, table.mask), sample, base_rate)
    return fitted, probabilities(fitted, lstm_margins(fitted, test.table.series, test.table.mask))


def _calibrated(fitted: FittedModel, margins: Array, sample: Sample, base_rate: float) -> FittedModel:
    held = sample.part == PLACES.index("calibrate")
    return calibrate(fitted, margins[held], sample.labels[held], base_rate=base_rate)


def _invoice_only(sample: Sample, seed: int) -> Sample:
    """Half of the firms without what invoices do not tell, so that the model reads both kinds of firm."""
    series = sample.table.series.copy()
    half = np.random.default_rng([seed, 78]).random(len(series)) < 0.5
    columns = [SERIES.index(name) for name in UNREPORTED_TO_INVOICES]
    for column in columns:
        series[half, :, column] = np.nan
    table = sample.table
    blanked = Table(table.indicators, table.invoices, table.industry_codes, series, table.mask)
    return Sample(blanked, sample.labels, sample.part, sample.true_pd)
