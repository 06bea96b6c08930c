"""PSI: the golden figure, bins of training quantiles, missing values, chance, the file beside a model."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_service.errors import ModelError
from decision_service.scoring.stability import profile, profile_from_json, psi, shifts

RANDOM = np.random.default_rng(1)
MATRIX = RANDOM.normal(size=(3_000, 3))
MATRIX[:, 2] = MATRIX[:, 2] > 0.5
MATRIX[::5, 1] = np.nan
NAMES = ("leverage", "growth", "flag")
CHANCES = RANDOM.random(3_000)
TRAINED = profile(MATRIX, NAMES, CHANCES)


def test_the_golden_figure() -> None:
    assert psi([0.25] * 4, [0.40, 0.30, 0.20, 0.10]) == pytest.approx(0.228217, abs=5e-7)


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=2, max_size=8), st.data())
def test_psi_is_symmetric_never_negative_and_nothing_for_the_same(counts: list[int], data: st.DataObject) -> None:
    others = data.draw(st.lists(st.integers(1, 50), min_size=len(counts), max_size=len(counts)))
    first, second = np.array(counts) / sum(counts), np.array(others) / sum(others)
    assert psi(first, second) == pytest.approx(psi(second, first)) and psi(first, second) >= 0
    assert psi(first, first) == 0


def test_the_training_rows_themselves_have_not_moved() -> None:
    assert [one.psi for one in shifts(TRAINED, MATRIX, NAMES, CHANCES)] == [0.0] * 4


def test_a_column_that_moved_comes_first_and_is_told_from_chance() -> None:
    moved = RANDOM.normal(size=(3_000, 3))
    moved[:, 2] = moved[:, 2] > 0.5
    moved[:, 0] += 1
    moved[::5, 1] = np.nan
    score, first, *others = shifts(TRAINED, moved, NAMES, RANDOM.random(3_000))
    assert (score.name, score.level, first.name, first.level) == ("score", "none", "leverage", "red")
    assert all(one.psi < one.noise and one.level == "none" for one in others)


def test_new_missing_values_are_a_bin_of_their_own() -> None:
    changed = MATRIX.copy()
    changed[::2, 0] = np.nan
    found = {one.name: one for one in shifts(TRAINED, changed, NAMES, CHANCES)}
    assert found["leverage"].level == "red" and found["leverage"].actual[-1] == pytest.approx(0.5, abs=0.01)
    assert found["growth"].psi == 0.0


def test_a_flag_has_a_bin_for_each_value_and_an_unseen_value_is_counted() -> None:
    changed = MATRIX.copy()
    changed[:, 2] = 7.0
    found = {one.name: one for one in shifts(TRAINED, changed, NAMES, CHANCES)}["flag"]
    assert len(found.expected) == 2 and found.actual[1] > 0.99 and found.level == "red"


def test_few_rows_that_differ_by_chance_raise_no_colour() -> None:
    few = slice(0, 25)
    score, *others = shifts(TRAINED, MATRIX[few], NAMES, CHANCES[few])
    assert max(one.psi for one in (score, *others)) > 0.1
    assert {one.level for one in (score, *others)} == {"none"}


def test_the_file_holds_counts_and_comes_back_the_same() -> None:
    assert profile_from_json(TRAINED.to_json()) == TRAINED
    assert sum(json.loads(TRAINED.to_json())["inputs"]["growth"]["counts"]) == 3_000


def test_an_all_missing_column_has_a_profile() -> None:
    empty = profile(np.full((4, 1), np.nan), ("none",), np.full(4, 0.5))
    assert empty.inputs["none"].counts == (0, 4) and profile_from_json(empty.to_json()) == empty


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data.pop("score"), id="no score"),
        pytest.param(lambda data: data.update(format=2), id="another format"),
        pytest.param(lambda data: data["score"]["counts"].pop(), id="a count too few"),
        pytest.param(lambda data: data["score"]["counts"].__setitem__(0, -1), id="a negative count"),
        pytest.param(lambda data: data["score"]["ends"].reverse(), id="ends that fall"),
        pytest.param(lambda data: data["score"].update(ends=["a"]), id="an end that is no number"),
    ],
)
def test_a_changed_file_is_refused(change: object) -> None:
    data = json.loads(TRAINED.to_json())
    change(data)  # type: ignore[operator]
    with pytest.raises(ModelError, match="profile.json"):
        profile_from_json(json.dumps(data).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"{}", b"[" * 100_000])
def test_other_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ModelError):
        profile_from_json(content)
