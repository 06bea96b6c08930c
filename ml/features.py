"""What the models read of many firms, by the portrait code that also serves decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import InputError
from decision_service.portrait.disputes import for_training
from decision_service.portrait.invoices import FEATURES as INVOICE_FEATURES
from decision_service.portrait.lists import Lists
from decision_service.portrait.records import EnterpriseRecords
from decision_service.portrait.registry import Registry
from decision_service.portrait.series import SERIES, WINDOW
from decision_service.portrait.snapshot import INVOICE_LOAN, snapshot
from ml.fitted import Array

RISES_WITH = {"lower": 1, "higher": -1}  # a direction says which way is better; the PD goes the other way
INVOICE_NAMES = tuple(feature.name for feature in INVOICE_FEATURES)
INVOICE_MONOTONE = {feature.name: feature.risk for feature in INVOICE_FEATURES}


@dataclass(frozen=True, slots=True)
class Portraits:
    """The portrait's tables, read once from the rules folder."""

    registry: Registry
    lists: Lists

    @property
    def names(self) -> tuple[str, ...]:
        """The 32 indicators' names, in the registry's order."""
        return tuple(spec.name for spec in self.registry.values())

    @property
    def monotone(self) -> dict[str, int]:
        """How the PD may move with an indicator: +1 rise, -1 fall, 0 either (bands)."""
        return {spec.name: RISES_WITH.get(spec.direction, 0) for spec in self.registry.values()}


def read_portraits(rules: Path) -> Portraits:
    """Indicators, seasons and lists of a rules folder; raises ``InputError`` if a file cannot be read."""
    names = ("indicators.csv", "industries.csv", "lists.yaml")
    try:
        texts = {name: (rules / name).read_text(encoding="utf-8") for name in names}
    except OSError as error:
        where = str(error.filename)
        raise InputError(f"cannot be read ({error.strerror})", where=where, remedy="give --rules DIR") from error
    registry = Registry.from_csv(texts["indicators.csv"], texts["industries.csv"])
    return Portraits(registry, Lists.from_yaml(texts["lists.yaml"]))


@dataclass(frozen=True, slots=True)
class Table:
    """What the models read of n firms. ``indicators`` n x 32, ``invoices`` n x declared features, nan: not known."""

    indicators: Array
    invoices: Array
    industry_codes: tuple[str, ...]
    series: Array
    mask: NDArray[np.bool_]

    def rows(self, chosen: NDArray[np.bool_]) -> Table:
        """The chosen firms only."""
        return Table(
            indicators=self.indicators[chosen],
            invoices=self.invoices[chosen],
            industry_codes=tuple(code for code, kept in zip(self.industry_codes, chosen, strict=True) if kept),
            series=self.series[chosen],
            mask=self.mask[chosen],
        )


def read_table(
    firms: Sequence[EnterpriseRecords],
    portraits: Portraits,
    *,
    now: datetime,
    progress: Callable[[int], object] = lambda count: None,
) -> Table:
    """One snapshot a firm as of ``now`` (aware), without what was ruled wrong or repaired since.

    ``progress`` is told how many firms were read since the last call.
    """
    names = portraits.names
    indicators = np.empty((len(firms), len(names)))
    invoices = np.empty((len(firms), len(INVOICE_NAMES)))
    series = np.empty((len(firms), WINDOW, len(SERIES)))
    mask = np.empty((len(firms), WINDOW), dtype=bool)
    codes = []
    for place, records in enumerate(firms):
        seen = snapshot(
            for_training(records),
            registry=portraits.registry,
            lists=portraits.lists,
            industry={},
            product=INVOICE_LOAN,
            now=now,
        )
        indicators[place] = _row(seen.features, names)
        invoices[place] = _row(seen.invoice_features, INVOICE_NAMES)
        series[place], mask[place] = seen.series, seen.mask
        codes.append(str(seen.features["industry_code"]))
        progress(1)
    return Table(indicators, invoices, tuple(codes), series, mask)


def _row(features: Mapping[str, float | str], names: Sequence[str]) -> list[float]:
    return [float(features[name]) for name in names]
