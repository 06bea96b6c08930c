"""Slips in the shipped rules are noticed: by a tool that names them, or they are proven to change nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.mutants import MOST_ESCAPING, Noticed, Workbench, escape_rate, run, table
from tests.rules.mutants import Mutant, sample


@pytest.fixture(scope="module")
def found() -> list[Mutant]:
    return Workbench(without=("check", "lint", "test", "prove", "diff")).mutants()


def test_mutants_are_many_different_and_always_the_same(found: list[Mutant]) -> None:
    assert len(found) >= 900
    assert len({(one.path, one.sources[one.path]) for one in found}) == len(found)
    again = Workbench(without=("check", "lint", "test", "prove", "diff")).mutants()
    assert [str(one) for one in again] == [str(one) for one in found]
    assert len({one.kind for one in found}) >= 20


def test_a_sample_has_every_kind(found: list[Mutant]) -> None:
    kinds = Counter(one.kind for one in sample(found, 3))
    assert set(kinds) == {one.kind for one in found}
    assert max(kinds.values()) <= 3


NOTICED = {
    "auto_approval.yaml:11: boundary moved by one unit: 5_000_000 → 4999999.99": {"diff", "test"},
    "limits.yaml:21: effect changed: 50 → 51": {"diff", "test"},
    "industries_excluded.csv:2: excluded industry deleted: 06": {"diff", "test"},
}


@pytest.mark.parametrize("name", NOTICED)
def test_a_slip_is_named_by_the_tools_that_can_see_it(found: list[Mutant], name: str) -> None:
    (mutant,) = [one for one in found if str(one).startswith(name)]
    noticed = Workbench(without=("lint", "prove")).notice(mutant)
    assert noticed.tools == NOTICED[name]
    assert not noticed.equivalent and not noticed.escaped


def test_a_slip_without_effect_is_proven_to_have_none(found: list[Mutant]) -> None:
    name = "auto_approval.yaml:11: boundary moved by one unit: 5_000_000 → 5000000.01"
    (mutant,) = [one for one in found if str(one) == name]
    noticed = Workbench(without=("lint", "prove")).notice(mutant)
    assert noticed.equivalent and "diff" not in noticed.tools


def test_what_nothing_names_escapes_unless_it_is_proven_equivalent() -> None:
    ones = [
        Noticed("a", "kind", frozenset({"test", "diff"}), False),
        Noticed("b", "kind", frozenset({"diff"}), False),
        Noticed("c", "kind", frozenset(), True),
        Noticed("d", "kind", frozenset(), False),
    ]
    assert [one.escaped for one in ones] == [False, False, False, True]
    assert escape_rate(ones) == pytest.approx(1 / 3)
    head, row, total = table(ones)
    assert dict(zip(head, row))["only diff"] == "1" and dict(zip(head, total))["escaped"] == "1"


@pytest.mark.slow
def test_of_two_hundred_slips_at_most_two_percent_escape_and_cases_alone_name_nearly_all(found: list[Mutant]) -> None:
    ones = list(run(sample(found, 16), jobs=1, without=("prove",)))
    assert len(ones) >= 200
    assert escape_rate(ones) <= MOST_ESCAPING, [one.mutant for one in ones if one.escaped]
    different = [one for one in ones if not one.equivalent and one.kind != "industry's cell changed"]
    missed = [one.mutant for one in different if not one.tools & {"check", "test"}]
    assert len(missed) <= len(different) // 50, missed
