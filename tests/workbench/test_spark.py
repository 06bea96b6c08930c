"""Spark gives the same tables as DuckDB, unknowns included, by the same expressions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow
import pytest

from decision_service.errors import InputError
from decision_service.lending.limits import limit
from decision_service.rulebook.columnar import assessed
from decision_service.rulebook.files import load
from decision_service.workbench import bulk
from decision_service.workbench.backtest import backtest
from decision_service.workbench.backtest_document import document
from decision_service.workbench.bulk import Engine, opened
from decision_service.workbench.populations import Population
from tests.rulebook.column_numbers import arithmetic, number_pairs, number_table, wrong_numbers
from tests.rulebook.columns import KEY, arrow, generated
from tests.rulebook.generate import TableMaker
from tests.workbench.two_rulesets import ON, RULES, changed, synthetic, write

ROWS = 5_000
lacking = "PySpark is not installed" if not bulk.SPARK else None if shutil.which("java") else "there is no Java"


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    folder = tmp_path_factory.mktemp("engines")
    with opened("duckdb", folder, threads=1) as duckdb, opened("spark", folder, threads=2) as spark:
        yield duckdb, spark


def rows(engine: Engine, table: Any) -> list[dict[str, Any]]:
    return sorted(engine.rows(table), key=lambda row: str(row[KEY]))


@pytest.mark.slow
@pytest.mark.skipif(lacking is not None, reason=str(lacking))
def test_both_engines_give_the_same_table_over_the_shipped_rules(
    engines: tuple[Engine, Engine], tmp_path: Path
) -> None:
    rules = load(RULES)
    path = write(synthetic(rules.in_force(ON), ROWS), tmp_path / "facts.parquet")
    found = []
    for engine in engines:
        judged = bulk.judged(engine, engine.read(path), lambda client: rules.in_force(ON, client), overlays=[])
        found.append([row for part, _ in judged.parts for row in rows(engine, part)])
    assert found[0] == found[1] and len(found[0]) == ROWS
    assert {row["outcome"] for row in found[0]} == {0, 1, 2}


@pytest.mark.slow
@pytest.mark.skipif(lacking is not None, reason=str(lacking))
@pytest.mark.parametrize("seed", range(4))
def test_both_engines_give_the_same_table_over_generated_rules(
    engines: tuple[Engine, Engine], tmp_path: Path, seed: int
) -> None:
    rules = generated(Random(seed), extreme=seed % 2 == 1)
    maker, random = TableMaker(rules), Random(seed)
    table = arrow(rules.catalogue, [maker.table(random) for _ in range(1_000)])
    path = write(table, tmp_path / "facts.parquet")
    one, other = (rows(engine, assessed(engine.read(path), rules, key=KEY, limit=limit)) for engine in engines)
    assert one == other and len(one) == 1_000


@pytest.mark.slow
@pytest.mark.skipif(lacking is not None, reason=str(lacking))
def test_both_engines_give_the_same_backtest(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    old, new = load(RULES), changed(tmp_path / "new")
    table = synthetic(old.in_force(ON), ROWS).append_column("weight", pyarrow.array([1, 2] * (ROWS // 2)))
    population = Population("x", write(table, tmp_path / "facts.parquet"), ROWS)
    one, other = (document(backtest(old, new, [population], on=ON, engine=engine)) for engine in engines)
    assert (one.pop("engine"), other.pop("engine")) == ("duckdb", "spark")
    assert one == other and one["changed"] > 100


@pytest.mark.slow
@pytest.mark.skipif(lacking is not None, reason=str(lacking))
def test_whole_numbers_are_exact_on_both_engines(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    pairs = number_pairs(Random(6), count=20_000)
    path = write(number_table(pairs), tmp_path / "numbers.parquet")
    for engine in engines:
        sheet, exact = arithmetic()
        found = sorted(engine.rows(sheet.apply(engine.read(path))), key=lambda row: int(row[KEY]))
        assert wrong_numbers(pairs, found, exact) == []


@pytest.mark.slow
@pytest.mark.skipif(lacking is not None, reason=str(lacking))
def test_a_key_is_text_whatever_a_query_language_makes_of_it(engines: tuple[Engine, Engine], tmp_path: Path) -> None:
    odd = ["${x}", "q'\"\\", "\\0", "a\x00b", "%s", "new\nline", "日本\u202e", ""]
    path = write(pyarrow.table({"key": odd}), tmp_path / "keys.parquet")
    for engine in engines:
        table = engine.read(path)
        assert sorted(row["key"] for row in engine.rows(table.filter(table["key"].isin(odd)))) == sorted(odd)


@pytest.mark.parametrize("without, told", [("pyspark", "PySpark is not installed"), ("java", "Spark needs Java")])
def test_without_its_libraries_the_engine_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: str, told: str
) -> None:
    monkeypatch.setattr(bulk, "SPARK", without != "pyspark")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=told):
        with opened("spark", tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []
