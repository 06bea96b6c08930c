"""Whole numbers at the edges of what columns can hold, and what arithmetic over them must give exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from random import Random
from typing import Any

import pyarrow

from decision_service.rulebook.columnar.numbers import Sheet
from decision_service.rulebook.encoding import INT64_MAX, INT64_MIN, Fact, FactType
from decision_service.rulebook.facts import FactCatalogue

Pair = tuple[int | None, int | None]
Exactly = Callable[[int, int], int | None]
EDGES = (None, INT64_MIN, INT64_MIN + 1, -(2**53) - 1, -1_000_001, -7, -1, 0, 1, 2, 3, 999_999, 1_000_000, 2**53 + 1)
EDGES += (2**62 - 1, 2**62, INT64_MAX - 1, INT64_MAX)
READS_ONLY_A = ("by seven", "magnitude")


def number_pairs(random: Random, *, count: int) -> list[Pair]:
    """All pairs of edges, and ``count`` whose quotients lie at or beside whole numbers, up to the largest."""
    pairs: list[Pair] = list(product(EDGES, repeat=2))
    while len(pairs) < count + len(EDGES) ** 2:
        divisor = random.randint(1, 2 ** random.randint(1, 30))
        quotient = random.randint(-(2**62), 2**62) // divisor
        pairs.append((quotient * divisor + random.choice((-1, 0, 1)), divisor))
    return pairs


def number_table(pairs: Sequence[Pair]) -> pyarrow.Table:
    """The pairs as columns ``a`` and ``b``."""
    columns = {name: pyarrow.array(values, pyarrow.int64()) for name, values in zip("ab", zip(*pairs))}
    return pyarrow.table({"key": range(len(pairs)), **columns})


def arithmetic() -> tuple[Sheet, Mapping[str, Exactly]]:
    """A sheet with one column per operation, and what each is exactly."""
    sheet = Sheet(FactCatalogue([Fact("a", FactType.COUNT), Fact("b", FactType.COUNT)]))
    a, b, million = sheet.fact("a"), sheet.fact("b"), sheet.constant(1_000_000)
    results: dict[str, tuple[Any, Exactly]] = {
        "quotient": (sheet.floor(a, b), lambda a, b: a // b if b > 0 else None),
        "wide quotient": (sheet.floor(sheet.times(a, b), million), lambda a, b: a * b // 1_000_000),
        "very wide quotient": (
            sheet.floor(sheet.times(a, million), b),
            lambda a, b: a * 1_000_000 // b if b > 0 else None,
        ),
        "by seven": (sheet.floor(a, sheet.constant(7)), lambda a, b: a // 7),
        "difference": (sheet.minus(a, b), lambda a, b: a - b),
        "sum": (sheet.plus(a, b), lambda a, b: a + b),
        "product": (sheet.times(a, b), lambda a, b: a * b),
        "least": (sheet.least([a, b, million]), lambda a, b: min(a, b, 1_000_000)),
        "greatest": (sheet.most([a, b]), max),
        "magnitude": (sheet.absolute(a), lambda a, b: abs(a)),
        "inside": (sheet.within(sheet.plus(a, b), -5, 5), lambda a, b: a + b if -5 <= a + b <= 5 else None),
    }
    for name, (number, _) in results.items():
        sheet.let(number, name)
    return sheet, {name: exactly for name, (_, exactly) in results.items()}


def wrong_numbers(
    pairs: Sequence[Pair], found: Sequence[Mapping[str, Any]], exact: Mapping[str, Exactly]
) -> list[str]:
    """Every result that is not exact, as a sentence."""
    wrong = []
    for (one, other), row in zip(pairs, found, strict=True):
        for name, exactly in exact.items():
            known = one is not None and (other is not None or name in READS_ONLY_A)
            expected = exactly(one, other) if known else None  # type: ignore[arg-type]
            if row[name] != expected:
                wrong.append(f"{name} of {one} and {other}: {row[name]}, exactly {expected}")
    return wrong
