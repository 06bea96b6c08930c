"""A table of facts is checked column by column and row by row; good rows are kept, the others counted and told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from decision_service.errors import InputError
from decision_service.rulebook.encoding import INT64_MAX, Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.formulas import parse_formula
from decision_service.workbench.fact_tables import Checked, checked, merged_facts

FACTS = (
    Fact("product", FactType.CHOICE, choices=("plain", "fancy")),
    Fact("amount", FactType.MONEY, minimum=1, maximum=1_000),
    Fact("ratio", FactType.RATIO, minimum=-5, maximum=5),
    Fact("listed", FactType.FLAG),
    Fact("since", FactType.DATE),
    Fact("wide", FactType.COUNT),
    Fact("twice", FactType.MONEY, derived=parse_formula("2 * amount")),
    Fact("card", FactType.CHOICE, choices=("none", "red"), combine="strongest", default="none"),
    Fact("limit_max", FactType.MONEY, source="lending"),
    Fact("policy.cap", FactType.MONEY, source="parameter"),
)
CATALOGUE = FactCatalogue(FACTS)
GOOD: dict[str, Any] = {
    "key": ["a", "b"],
    "industry_code": ["35", None],
    "product": ["plain", None],
    "amount": [1, 1_000],
}


def take(folder: Path, columns: dict[str, Any], new: FactCatalogue = CATALOGUE) -> tuple[Checked, list[dict[str, Any]]]:
    path, out = folder / "given.parquet", folder / "out.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    found = checked(path, out, old=CATALOGUE, new=new)
    return found, pyarrow.parquet.read_table(out).to_pylist()


def test_good_rows_are_kept_in_exact_units_whatever_their_width(tmp_path: Path) -> None:
    more = {
        "ratio": pyarrow.array([-5, 5], pyarrow.int8()),
        "listed": [True, None],
        "since": [date(1970, 1, 2), None],
        "wide": pyarrow.array([INT64_MAX, None], pyarrow.uint64()),
        "bad": [None, True],
        "weight": pyarrow.array([1, 10**9], pyarrow.int32()),
        "size": pyarrow.array(["s", None]).dictionary_encode(),
    }
    found, rows = take(tmp_path, {**GOOD, "key": [1, 2], **more})
    assert (found.rows, found.left_out, found.mistakes) == (2, 0, [])
    expected = {"key": "1", "industry_code": "35", "product": "plain", "amount": 1, "ratio": -5, "since": 1}
    assert rows[0] == {**expected, "listed": 1, "wide": INT64_MAX, "bad": None, "weight": 1, "size": "s"}
    assert rows[1]["key"] == "2" and rows[1]["wide"] is None


UNREADABLE = pyarrow.array([b"plain", b"pla\xff"], pyarrow.binary()).view(pyarrow.string())
BAD_ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "below the range": ({"amount": [1, 0]}, "row 2, column 'amount': 0 is not from 1 to 1000 (fen)"),
    "above the range": ({"amount": [1_001, 1]}, "row 1, column 'amount': 1001 is not from 1 to 1000 (fen)"),
    "no such choice": ({"product": ["plain", "other"]}, "row 2, column 'product': other is not one of plain, fancy"),
    "a flag of two": ({"listed": [0, 2]}, "row 2, column 'listed': 2 is not from 0 to 1 (0 or 1)"),
    "a repeated key": ({"key": ["a", "a"]}, "row 2, column 'key': 'a' stands twice"),
    "no key": ({"key": ["a", None]}, "row 2, column 'key': there is no key"),
    "no weight": ({"weight": [1, None]}, "row 2, column 'weight': None is not from 1 to 1000000000"),
    "a key of bytes": ({"key": UNREADABLE}, "row 2, column 'key': is not UTF-8 text"),
    "a choice of bytes": ({"product": UNREADABLE}, "row 2, column 'product': is not UTF-8 text"),
    "a code of bytes": ({"industry_code": UNREADABLE}, "row 2, column 'industry_code': is not UTF-8 text"),
    "a number beyond 64 bits": (
        {"wide": pyarrow.array([None, 2**63], pyarrow.uint64())},
        "row 2, column 'wide': 9223372036854775808 does not fit 64 bits",
    ),
    "a weight of none": ({"weight": [0, 1]}, "row 1, column 'weight': 0 is not from 1 to 1000000000"),
}


@pytest.mark.parametrize("columns, told", BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_bad_row_is_left_out_and_told_with_its_column(tmp_path: Path, columns: dict[str, Any], told: str) -> None:
    found, rows = take(tmp_path, {**GOOD, **columns})
    assert (found.rows, found.left_out, found.mistakes, len(rows)) == (1, 1, [told], 1)


def test_all_bad_rows_are_counted_and_the_first_twenty_told_once_each(tmp_path: Path) -> None:
    count = 100_000  # more than one batch
    keys = [str(place) for place in range(count)]
    amounts = [0 if place % 1_000 == 999 else 5 for place in range(count)]
    columns = {"key": keys, "industry_code": ["35"] * count, "product": ["plain"] * count, "amount": amounts}
    found, rows = take(tmp_path, {**columns, "ratio": [9 if place % 1_000 == 999 else 0 for place in range(count)]})
    assert (found.rows, found.left_out, len(rows)) == (count - 100, 100, count - 100)
    assert len(found.mistakes) == 20 and found.mistakes[0].startswith("row 1000, ")
    repeated, _ = take(tmp_path, {**columns, "key": [str(place % 99_998) for place in range(count)]})
    assert repeated.left_out == 101  # one more, though its first row stands in another batch; the last row is bad twice


BAD_COLUMNS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "missing": (lambda good: good.pop("amount"), "column 'amount' is missing"),
    "unknown": (lambda good: good.update(ratios=[1, 1]), "column 'ratios' is no declared fact: did you mean ratio?"),
    "a parameter": (
        lambda good: good.update({"policy.cap": [1, 1]}),
        "column 'policy.cap' is a parameter; the rulesets supply it; leave it out",
    ),
    "derived": (lambda good: good.update(twice=[1, 1]), "column 'twice' is computed from other facts; leave it out"),
    "set by rules": (lambda good: good.update(card=["red", "red"]), "column 'card' is computed from other facts"),
    "the limit": (lambda good: good.update(limit_max=[1, 1]), "column 'limit_max' is computed from other facts"),
    "floats": (lambda good: good.update(amount=[1.0, 2.0]), "column 'amount' holds double; give whole numbers: fen"),
    "text for a number": (lambda good: good.update(ratio=["1", "2"]), "holds string; give whole numbers: millionths"),
    "a number for text": (lambda good: good.update(product=[1, 2]), "holds int64; give text: one of plain, fancy"),
    "a number for a label": (lambda good: good.update(bad=[0, 1]), "holds int64; give true, false or null"),
    "a number for a code": (lambda good: good.update(industry_code=[35, 1]), "'industry_code' holds int64; give text"),
    "half weights": (lambda good: good.update(weight=[0.5, 1.0]), "column 'weight' holds double; give whole numbers"),
}


@pytest.mark.parametrize("spoil, told", BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_a_table_with_a_bad_column_is_refused(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], told: str
) -> None:
    columns = dict(GOOD)
    spoil(columns)
    with pytest.raises(InputError) as refused:
        take(tmp_path, columns)
    assert told in str(refused.value) and "given.parquet" in str(refused.value)


def test_all_bad_columns_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        take(tmp_path, {"key": ["a"], "product": [1], "amount": [1.5], "nonsense": [1]})
    for told in ("'industry_code' is missing", "'product' holds", "'amount' holds", "'nonsense' is no declared fact"):
        assert told in str(refused.value)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    other.write_text("key,amount\n")
    with pytest.raises(InputError, match="other.parquet: this is no Parquet file"):
        checked(other, tmp_path / "out", old=CATALOGUE, new=CATALOGUE)


def test_a_damaged_file_is_told_and_not_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "given.parquet"
    count = 5_000
    columns = {"key": [str(place) for place in range(count)], "industry_code": ["35"] * count}
    pyarrow.parquet.write_table(
        pyarrow.table({**columns, "product": ["plain"] * count, "amount": [5] * count}), path, use_dictionary=False
    )
    damaged = bytearray(path.read_bytes())
    damaged[200:400] = b"\xff" * 200
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="given.parquet: this Parquet file is damaged: .*write it again"):
        checked(path, tmp_path / "out", old=CATALOGUE, new=CATALOGUE)


def test_columns_in_which_nothing_stands_and_tables_without_rows_are_taken(tmp_path: Path) -> None:
    nothing = pyarrow.nulls(2)
    more = {"product": nothing, "amount": nothing, "bad": nothing, "size": nothing, "listed": nothing}
    found, rows = take(tmp_path, {"key": ["a", "b"], "industry_code": nothing, **more})
    assert (found.rows, found.left_out) == (2, 0)
    assert rows[0] == {"key": "a", "industry_code": None, **dict.fromkeys(more)}
    found, rows = take(tmp_path, {name: [] for name in GOOD})
    assert (found.rows, found.left_out, rows) == (0, 0, [])
    found, _ = take(tmp_path, {**GOOD, "weight": nothing})
    assert (found.rows, found.left_out) == (0, 2), "whoever gives weights gives each"


@pytest.mark.parametrize("name", ["size", "weight", "outcome", "limit_cap"])
def test_a_fact_called_as_a_column_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=f"fact {name}: a column of tables of facts or of their results"):
        take(tmp_path, dict(GOOD), FactCatalogue([*FACTS, Fact(name, FactType.COUNT)]))


def test_an_industry_parameter_held_in_other_units_is_refused(tmp_path: Path) -> None:
    """Decisions of invoice loans carry those of their day."""
    one, other = (FactCatalogue([*FACTS, Fact("industry.cap", kind)]) for kind in (FactType.MONEY, FactType.RATIO))
    with pytest.raises(InputError, match="industry.cap: this fact is money in OLD and ratio in NEW"):
        merged_facts(one, other)


def test_a_fact_of_the_new_ruleset_alone_may_be_in_the_table(tmp_path: Path) -> None:
    new = FactCatalogue([*FACTS, Fact("fresh", FactType.COUNT, minimum=0, maximum=1)])
    found, rows = take(tmp_path, {**GOOD, "fresh": [1, 2]}, new)
    assert found.left_out == 1 and rows[0]["fresh"] == 1
    with pytest.raises(InputError, match="'fresh' is no declared fact"):
        take(tmp_path, {**GOOD, "fresh": [1, 2]})
