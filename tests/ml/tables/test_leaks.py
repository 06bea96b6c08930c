"""Planted leaks are found and named; strong but honest columns are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from loans_for_tests import loans, written

from ml.table_sample import Prepared, Request, prepare
from ml.tables.roles import Roles

RANDOM = np.random.default_rng(11)
Planting = Callable[[pd.DataFrame, np.ndarray, np.random.Generator], object]


def prepared(frame: pd.DataFrame, folder: Path, **changes: object) -> Prepared:
    request = Request([written(frame, folder)], Roles("status", id="loan", time="approved"), "xgboost", "made-up")
    return prepare(replace(request, **changes), told=lambda step: None)  # type: ignore[arg-type]


def flipped(bad: np.ndarray, random: np.random.Generator, share: float) -> np.ndarray:
    return np.where(random.random(len(bad)) < share, ~bad, bad)


LEAKS: dict[str, tuple[Planting, str]] = {
    "the target under another name": (lambda f, bad, r: np.where(bad, "B", "G"), "copy of the outcome"),
    "the target shifted and scaled": (lambda f, bad, r: 17.5 - 3 * bad, "copy of the outcome"),
    "one in twenty labels turned": (lambda f, bad, r: flipped(bad, r, 0.03).astype(int), "better than all others"),
    "a number around the target": (lambda f, bad, r: bad + r.normal(0, 0.45, len(bad)), "better than all others"),
    "a code of many levels": (
        lambda f, bad, r: np.where(bad, r.choice(list("xyz"), len(bad)), r.choice(list("uvw"), len(bad))),
        "copy of the outcome",
    ),
    "an amount lost, for two thirds of the bads": (
        lambda f, bad, r: np.where(bad & (r.random(len(bad)) < 0.66), np.exp(r.normal(8, 1, len(bad))).round(2), 0.0),
        "known for bad ones only",
    ),
    "a date of repayment, for half of the goods": (
        lambda f, bad, r: np.where(~bad & (r.random(len(bad)) < 0.5), f["approved"], ""),
        "known for good ones only",
    ),
    "a date after the approval": (
        lambda f, bad, r: (
            pd.to_datetime(f["approved"], format="%d-%b-%y") + pd.to_timedelta(r.integers(10, 90, len(f)), unit="D")
        ).dt.strftime("%d/%m/%Y"),
        "dated after the row's moment",
    ),
    "terms cut short by the outcome": (
        lambda f, bad, r: np.where(bad, r.integers(1, 300, len(bad)), r.choice([60, 84, 120, 240], len(bad))),
        "o",
    ),
    "a number of days that only half of the bads have": (
        lambda f, bad, r: np.where(bad & (r.random(len(bad)) < 0.5), r.normal(90, 20, len(bad)).round(3), np.nan),
        "known for bad ones only",
    ),
    "a mark that one bad in five has": (
        lambda f, bad, r: np.where(bad & (r.random(len(bad)) < 0.2), "Y", "N"),
        "known for bad ones only",
    ),
    "a mark that every bad has and one good in four": (
        lambda f, bad, r: np.where(bad | (r.random(len(bad)) < 0.25), "Y", "N"),
        "known for good ones only",
    ),
    "what was recovered": (
        lambda f, bad, r: np.where(r.random(len(bad)) < np.where(bad, 0.5, 0.05), 9.0, 0.0),
        "named as known",
    ),
}
NAMES = {"what was recovered": "recoveries"}


@pytest.mark.parametrize("planted", LEAKS)
def test_a_planted_leak_is_left_out_with_its_reason(planted: str, tmp_path: Path) -> None:
    frame = loans(1500)
    bad = (frame["status"] == "DEFAULTED").to_numpy()
    plant, reason = LEAKS[planted]
    name = NAMES.get(planted, "planted")
    frame[name] = plant(frame, bad, np.random.default_rng(3))
    found = prepared(frame, tmp_path)
    assert found.leaks.columns == (name,)
    assert reason in found.leaks.findings[0].reason
    assert name not in {column.name for column in found.sample.columns}
    assert found.naive is not None and found.plain is not None
    if reason != "dated after the row's moment":
        assert found.naive > found.plain


def test_a_late_sum_that_tells_only_beside_the_amount_is_left_out_if_its_name_says_so(tmp_path: Path) -> None:
    frame = loans(2000)
    bad = (frame["status"] == "DEFAULTED").to_numpy()
    amount = frame["amount"].str.strip(" $").str.replace(",", "").astype(float)
    share = np.where(bad, 0.8, 1.0) * np.random.default_rng(3).uniform(0.97, 1.03, len(frame))
    for name, columns in (("total_rec_int", ("total_rec_int",)), ("months_since_last_payment", ())):
        found = prepared(frame.assign(**{name: (amount * share).round(2)}), tmp_path)
        assert found.leaks.alone[name].auc < 0.6 and found.leaks.columns == columns
        assert all("raise" in one.evidence for one in found.leaks.findings)


@pytest.mark.parametrize("name", ["months_since_last_payment", "prior_recoveries", "total_payment_history"])
def test_a_name_that_tells_of_what_was_before_is_none_of_afterwards(name: str, tmp_path: Path) -> None:
    frame = loans(1500).rename(columns={" leverage": name})
    found = prepared(frame, tmp_path)
    assert found.leaks.alone[name].auc > 0.6 and found.leaks.columns == ()


def test_two_noisy_copies_do_not_excuse_each_other(tmp_path: Path) -> None:
    frame = loans(1500)
    bad = (frame["status"] == "DEFAULTED").to_numpy()
    random = np.random.default_rng(3)
    frame["first"], frame["second"] = (bad + random.normal(0, 0.45, len(bad)) for _ in range(2))
    assert prepared(frame, tmp_path).leaks.columns == ("first", "second")


def test_a_strong_honest_column_stays(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    frame = loans(3000)
    risk = random.normal(size=len(frame))
    bad = random.random(len(frame)) < 1 / (1 + np.exp(3.0 - 3.0 * risk))
    frame["status"], frame["gearing"] = np.where(bad, "DEFAULTED", "P I F"), risk.round(3)
    found = prepared(frame, tmp_path)
    assert 0.85 < found.leaks.alone["gearing"].auc < 0.95
    assert found.leaks.alone["gearing"].auc < 0.9 or found.leaks.columns == ("gearing",)
    frame["gearing"] = (risk + random.normal(0, 0.5, len(frame))).round(3)
    found = prepared(frame, tmp_path)
    assert found.leaks.alone["gearing"].auc > 0.8 and found.leaks.columns == ()


def test_whole_numbers_whose_rare_end_is_risky_stay(tmp_path: Path) -> None:
    """Rare values are bad here because they are low, not because they are odd."""
    random = np.random.default_rng(4)
    frame = loans(3000)
    risk = random.normal(size=len(frame))
    frame["score"] = (700 - 50 * risk).round().astype(int)
    bad = random.random(len(frame)) < 1 / (1 + np.exp(4.2 - 2.2 * risk))
    frame["status"] = np.where(bad, "DEFAULTED", "P I F")
    found = prepared(frame, tmp_path)
    assert found.leaks.alone["score"].auc > 0.83 and found.leaks.columns == ()


def test_nothing_is_found_in_honest_tables(tmp_path: Path) -> None:
    assert prepared(loans(1500), tmp_path).leaks.columns == ()


def test_keep_and_drop_have_the_last_word(tmp_path: Path) -> None:
    frame = loans(800)
    frame["copy"] = np.where(frame["status"] == "DEFAULTED", "B", "G")
    found = prepared(frame, tmp_path, keep=("copy",), drop=("sector",))
    names = {column.name for column in found.sample.columns}
    assert "copy" in names and "sector" not in names and found.leaks.columns == ("copy",)


def test_what_only_says_when_is_left_out(tmp_path: Path) -> None:
    frame = loans(800)
    frame["year"] = pd.to_datetime(frame["approved"], format="%d-%b-%y").dt.year
    assert "time" in prepared(frame, tmp_path).left_out["year"]


def test_a_date_orders_what_a_year_does_not_part_unless_it_contradicts_the_year(tmp_path: Path) -> None:
    frame = loans(800)
    frame["year"] = pd.to_datetime(frame["approved"], format="%d-%b-%y").dt.year
    by_year = Roles("status", id="loan", time="year")
    found = prepared(frame, tmp_path, roles=by_year)
    moments = found.sample.units.times
    assert moments is not None and len(np.unique(moments)) > 400 and found.sample.units.dated
    assert "approved" in found.left_out and any("'approved'" in note for note in found.notes)
    frame["year"] = frame["year"].sample(frac=1.0, random_state=1).to_numpy()
    apart = prepared(frame, tmp_path, roles=by_year)
    assert apart.sample.units.times is not None and len(np.unique(apart.sample.units.times)) < 10


def test_the_order_of_rows_and_identifiers_is_told_and_never_used(tmp_path: Path) -> None:
    frame = loans(800).sort_values("status").reset_index(drop=True)
    frame["case_id"] = np.arange(len(frame)) * 7 + 1000
    found = prepared(frame, tmp_path)
    assert "case_id" in found.left_out and "case_id" not in found.leaks.columns
    assert sum("order" in note for note in found.notes) == 2


def test_rows_of_one_firm_and_copies_of_rows_stay_together(tmp_path: Path) -> None:
    frame = loans(400)
    doubled = pd.concat([frame, frame.assign(loan=frame["loan"] + "b")], ignore_index=True)
    found = prepared(doubled, tmp_path)
    groups = found.sample.groups
    assert (groups[:400] == groups[400:]).all()
    frame["client_age"] = np.random.default_rng(1).integers(20, 70, len(frame))
    frame["firm"] = [f"F{place // 4}" for place in range(len(frame))]
    found = prepared(frame, tmp_path)
    assert len(np.unique(found.sample.groups)) == 100 and any("'firm' repeats" in note for note in found.notes)


def test_units_of_the_validation_files_are_not_trained_on(tmp_path: Path) -> None:
    frame = loans(800)
    other = written(frame.iloc[700:], tmp_path, "validation.csv")
    found = prepared(frame, tmp_path, validation=(other,))
    assert len(found.sample.units) == 700 and any("100 training units" in note for note in found.notes)


def test_copies_of_rows_of_the_validation_files_are_not_trained_on_either(tmp_path: Path) -> None:
    frame = loans(800).drop(columns="loan")
    other = written(frame.iloc[700:], tmp_path, "validation.csv")
    found = prepared(frame, tmp_path, validation=(other,), roles=Roles("status"))
    assert len(found.sample.units) == 700 and any("100 training units" in note for note in found.notes)
