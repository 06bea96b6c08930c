"""The durable-rules engine at full size: memory over 300,000 decisions and the same under eight threads.

Run by hand with: python -m pytest -m slow -s tests/rulebook/test_durable_proofs.py
"""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path
from random import Random

import pytest

from decision_service.rulebook.durable_engine import DurableEngine
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.files import load
from decision_service.rulebook.rules import Stage, StageResult
from tests.rulebook.generate import Table, TableMaker

RULES = Path(__file__).resolve().parents[2] / "rules"
DECISIONS = 300_000
WARM_UP = 100_000  # by then the library's pools have seen their largest messages
GROWTH_KILOBYTES = 2_000  # losing one smallest block of 32 bytes at every decision would make 9,600
THREADS = 8
Expected = list[tuple[Table, dict[Stage, StageResult]]]


def resident_kilobytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


def prepared(count: int) -> tuple[DurableEngine, Expected]:
    rules = load(RULES).in_force(date(2024, 6, 3))
    reference, maker, random = ReferenceEngine(rules), TableMaker(rules), Random(300)
    tables = [maker.table(random) for _ in range(count)]
    return DurableEngine(rules), [
        (table, {stage: reference.evaluate(stage, table) for stage in Stage}) for table in tables
    ]


def wrong_decisions(engine: DurableEngine, expected: Expected, *, start: int, count: int) -> int:
    wrong = 0
    for index in range(start, start + count):
        table, results = expected[index % len(expected)]
        wrong += any(engine.evaluate(stage, table) != results[stage] for stage in Stage)
    return wrong


@pytest.mark.slow
def test_memory_is_flat_over_three_hundred_thousand_decisions() -> None:
    engine, expected = prepared(2_000)
    wrong = wrong_decisions(engine, expected, start=0, count=WARM_UP)
    before = resident_kilobytes()
    wrong += wrong_decisions(engine, expected, start=WARM_UP, count=DECISIONS)
    after = resident_kilobytes()
    print(f"\nresident memory before {before:,} KB, after {DECISIONS:,} decisions {after:,} KB, wrong {wrong}")
    engine.close()
    assert wrong == 0
    assert after - before < GROWTH_KILOBYTES


@pytest.mark.slow
def test_eight_threads_take_a_hundred_and_sixty_thousand_decisions_right() -> None:
    engine, expected = prepared(2_000)
    wrong: list[int] = []

    def work(index: int) -> None:
        wrong.append(wrong_decisions(engine, expected, start=index * 251, count=20_000))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    engine.close()
    assert wrong == [0] * THREADS
