"""Which columns tell the outcome because they are made of it or known only after it: left out, with the evidence.

A strong predictor is not a leak for being strong. A column is left out if it is nearly the outcome itself, if a part of
it holds nearly only bads and most of them, if alone it beats all other columns together, if how often its values occur
tells the outcome, if it is dated after the row's moment, or if its name says it is recorded afterwards and its values
confirm it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.tables.alone import Alone, alone, auc
from ml.tables.kinds import Column, days, numbers, texts, words
from ml.tables.parts import Labels, Rows, folds, latest

Array = NDArray[np.float64]

COPY = 0.975  # ROC-AUC alone: nearly the outcome
SUSPECT = 0.90  # ROC-AUC alone: compared with all other columns together
BEATS = 0.05  # by so much must it be better than they are
OFTEN, MANY = 0.85, 10  # ROC-AUC of how often a value occurs, of more values than this
PURE = 0.90  # lower bound of the share of bads in the part that holds nearly only bads
PURE_ODDS = 50.0  # how many times the odds of bad are there those of all rows
PURE_RECALL = 0.3
UNUSUAL_RECALL = 0.05  # where all but the usual value are bad: chance and honest columns leave fewer such rows
NEVER = 0.02  # rate of bads that the usual value of all goods may still have, of the overall one
SPARED = 0.05  # rate of bads where the column is known, of the overall one: known for good ones only
SPARED_KNOWN = (0.2, 0.95)
LATER = 0.05  # share of dates after the row's moment
NAMED = 0.60  # ROC-AUC that confirms a telling name
ADDED = 0.02  # ROC-AUC that columns with telling names, none confirmed alone, must add to all others
ORDERED = 0.60  # ROC-AUC of the rows' own order
PROXY = 0.98  # rank correlation with the time
EXAMINED = 50_000  # rows; of more, a draw
FOLDS = 5

AFTERWARDS: tuple[tuple[str, ...], ...] = (
    ("chg", "off"), ("charge", "off"), ("charged", "off"), ("chargeoff",), ("chgoff",), ("write", "off"), ("writeoff",),
    ("written", "off"), ("recoveries",), ("recovery",), ("recovered",), ("foreclosure",), ("liquidation",),
    ("settlement",), ("hardship",), ("total", "pymnt"), ("total", "payment"), ("total", "rec"), ("last", "pymnt"),
    ("last", "payment"), ("last", "fico"), ("last", "credit"), ("next", "pymnt"), ("out", "prncp"), ("paid", "date"),
    ("date", "paid"), ("default", "date"), ("date", "default"), ("default", "amount"), ("close", "date"),
    ("closed", "date"), ("bankruptcy", "date"), ("delisted",), ("delisting",), ("loss", "given"), ("lgd",),
    ("loan", "status"), ("outcome",), ("核销",), ("催收",), ("清收",), ("追偿",), ("违约日期",), ("违约金额",),
)  # fmt: skip
BEFORE = frozenset("since prior previous previously history historical hist past before earlier 历史 此前 上次 以往".split())


@dataclass(frozen=True, slots=True)
class Finding:
    """A column, the reason's short name, the evidence in words, and the figures behind it."""

    column: str
    reason: str
    evidence: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Leaks:
    """Findings by what they look at: columns to leave out, other remarks; figures alone of every column examined."""

    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    alone: Mapping[str, Alone] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns found to leak."""
        return tuple(finding.column for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Question:
    """Rows to examine: a frame of one row a unit, its readable columns, identifiers, labels, groups, moments."""

    frame: pd.DataFrame
    columns: Sequence[Column]
    identifiers: Sequence[Column]
    labels: Labels
    groups: Rows
    times: Array | None
    dated: bool


Together = Callable[[Sequence[Column]], float]
"""The ROC-AUC that columns reach together, out of fold."""


def examine(question: Question, together: Together, *, seed: int) -> Leaks:
    """Every column on its own, then the suspects against all the others together."""
    question = _drawn(question, seed)
    given = folds(question.labels, question.groups, None, count=FOLDS, seed=seed)
    forward = None
    if question.times is not None:
        forward = latest(question.labels, question.groups, question.times, share=0.4)
    figures = {
        column.name: alone(question.frame[column.name], column, question.labels, given, forward)
        for column in question.columns
    }
    found = {}
    for column in question.columns:
        finding = _by_itself(column, figures[column.name], question)
        if finding is not None:
            found[column.name] = finding
    found |= _suspects(question, figures, found, together)
    found |= _named_and_adding(question, found, together)
    order = [column.name for column in question.columns]
    findings = tuple(sorted(found.values(), key=lambda one: order.index(one.column)))
    return Leaks(findings, tuple(_orders(question)), figures)


def _drawn(question: Question, seed: int) -> Question:
    if len(question.frame) <= EXAMINED:
        return question
    rows = np.sort(np.random.default_rng(seed).choice(len(question.frame), EXAMINED, replace=False))
    times = None if question.times is None else question.times[rows]
    _, groups = np.unique(question.groups[rows], return_inverse=True)
    frame = question.frame.iloc[rows].reset_index(drop=True)
    return Question(
        frame, question.columns, question.identifiers, question.labels[rows], groups, times, question.dated
    )


def _by_itself(column: Column, seen: Alone, question: Question) -> Finding | None:
    """What the column's own figures prove, the strongest first."""
    rate = float(question.labels.mean())

    def found(reason: str, evidence: str, **figures: float) -> Finding:
        return Finding(column.name, reason, evidence, {"auc_alone": seen.auc, **figures})

    if seen.auc >= COPY:
        if seen.missing >= COPY:
            return found(
                "missing with the outcome",
                f"whether it is missing tells the outcome: ROC-AUC {seen.missing:.3f} (limit {COPY})",
                auc_missing=seen.missing,
            )
        return found("copy of the outcome", f"alone it reaches ROC-AUC {seen.auc:.3f} out of fold (limit {COPY})")
    unusual = seen.unusual
    for part, precision, recall, least in (
        ("values that hold", seen.precision, seen.recall, PURE_RECALL),
        ("values other than its usual one, with", unusual.precision, unusual.recall, UNUSUAL_RECALL),
    ):
        if recall >= least and _pure(precision, rate):
            return found(
                "known for bad ones only",
                f"{part} {recall:.0%} of the bads hold at least {precision:.0%} bads"
                f" (limits {least:.0%} and {PURE:.0%}; {rate:.1%} overall)",
                precision=precision,
                recall=recall,
            )
    expected = rate * seen.known * len(question.labels)
    if seen.given <= SPARED and SPARED_KNOWN[0] <= seen.known <= SPARED_KNOWN[1] and expected >= 20:
        return found(
            "known for good ones only",
            f"where it is known ({seen.known:.0%} of the rows) the rate of bads is {seen.given:.1%} of the overall one"
            f" (limit {SPARED:.0%})",
            rate_where_known=seen.given,
        )
    if unusual.spared <= NEVER and unusual.share <= SPARED_KNOWN[1]:
        return found(
            "known for good ones only",
            f"where it is as usual ({unusual.share:.0%} of the rows) the rate of bads is at most"
            f" {unusual.spared:.1%} of the overall one (limit {NEVER:.0%})",
            rate_where_usual=unusual.spared,
        )
    if column.kind == "number" and seen.often >= OFTEN and question.frame[column.name].nunique() > MANY:
        return found(
            "written after the outcome",
            f"how often a value occurs, beside the values around it, tells the outcome: ROC-AUC {seen.often:.3f}"
            f" (limit {OFTEN}); usual values mean that all went as agreed, odd ones that it was changed later",
            auc_of_frequency=seen.often,
        )
    later = _dated_later(column, question)
    if later > LATER:
        return found(
            "dated after the row's moment",
            f"{later:.0%} of its dates are after the time column's (limit {LATER:.0%}): not known when it is scored",
            share_later=later,
        )
    if _named_afterwards(column.name) and max(seen.auc, seen.missing) >= NAMED:
        return found(
            "named as known afterwards",
            f"its name says it is recorded after the outcome, and ROC-AUC {max(seen.auc, seen.missing):.3f} alone"
            f" confirms it (limit {NAMED})",
        )
    return None


def _pure(precision: float, rate: float) -> bool:
    return precision >= PURE and precision / max(1 - precision, 1e-9) >= PURE_ODDS * rate / (1 - rate)


def _dated_later(column: Column, question: Question) -> float:
    if column.kind != "date" or not question.dated or question.times is None:
        return 0.0
    after = days(question.frame[column.name], column) - question.times
    known = ~np.isnan(after)
    return float((after[known] >= 1).mean()) if known.any() else 0.0


def _named_afterwards(name: str) -> bool:
    """``months_since_last_payment`` and ``prior_recoveries`` tell of what was before the row."""
    parts = words(name)
    return not BEFORE & set(parts) and any(
        parts[place : place + len(one)] == one for one in AFTERWARDS for place in range(len(parts) - len(one) + 1)
    )


def _suspects(
    question: Question, figures: Mapping[str, Alone], found: Mapping[str, Finding], together: Together
) -> dict[str, Finding]:
    """Columns above ``SUSPECT`` that are clearly better than all columns below it together."""
    suspects = [
        column for column in question.columns if column.name not in found and figures[column.name].auc >= SUSPECT
    ]
    if not suspects:
        return {}
    named = {column.name for column in suspects} | set(found)
    rest = [column for column in question.columns if column.name not in named]
    reached = together(rest) if rest else 0.5
    return {
        column.name: Finding(
            column.name,
            "better than all others together",
            f"alone it reaches ROC-AUC {figures[column.name].auc:.3f}, all other columns together {reached:.3f}"
            f" (limits {SUSPECT} and {BEATS} better)",
            {"auc_alone": figures[column.name].auc, "auc_of_others": reached},
        )
        for column in suspects
        if figures[column.name].auc - reached >= BEATS
    }


def _named_and_adding(
    question: Question, found: Mapping[str, Finding], together: Together
) -> dict[str, Finding]:
    """Columns that are named as known afterwards and say little alone, but much beside the others: what was paid by
    now is nothing without the loan's amount and rate."""
    others = [column for column in question.columns if column.name not in found]
    named = [column for column in others if _named_afterwards(column.name)]
    rest = [column for column in others if not _named_afterwards(column.name)]
    if not named or not rest:
        return {}
    without, reached = together(rest), together(others)
    if reached - without < ADDED:
        return {}
    evidence = (
        f"its name says it is recorded after the outcome, and such columns raise the ROC-AUC of all others"
        f" from {without:.3f} to {reached:.3f} (limit {ADDED} more)"
    )
    figures = {"auc_with_named": reached, "auc_of_others": without}
    return {column.name: Finding(column.name, "named as known afterwards", evidence, figures) for column in named}


def _orders(question: Question) -> list[str]:
    """Orders that tell the outcome: of the file's rows and of identifiers. Neither is ever an input."""
    places = np.arange(len(question.labels), dtype=float)
    orders: dict[str, Array] = {"the order of the rows": places}
    for column in question.identifiers:
        values = numbers(question.frame[column.name], column)
        if np.isnan(values).any():
            values = pd.Series(texts(question.frame[column.name]).fillna("")).rank().to_numpy(dtype=float)
        orders[f"the order of {column.name!r}"] = values
    remarks = []
    for name, values in orders.items():
        told = auc(question.labels, values)
        if max(told, 1 - told) >= ORDERED:
            remarks.append(f"{name} tells the outcome (ROC-AUC {max(told, 1 - told):.3f}); it is not used")
    return remarks


def proxies_of_time(question: Question) -> tuple[str, ...]:
    """Columns that only say when: rank correlation of at least ``PROXY`` with the time, or a step function of it."""
    if question.times is None:
        return ()
    found = []
    for column in question.columns:
        if column.kind in ("number", "date"):
            read = numbers if column.kind == "number" else days
            values = pd.Series(read(question.frame[column.name], column))
            if values.nunique() > 2 and _follows(values, pd.Series(question.times)):
                found.append(column.name)
    return tuple(found)


def _follows(values: pd.Series, moments: pd.Series) -> bool:
    if abs(values.rank().corr(moments.rank())) >= PROXY:
        return True
    at = values.groupby(moments).agg(["min", "max"]).dropna()
    steps = np.diff(at["min"].to_numpy())
    constant = float((at["min"] == at["max"]).mean())
    return len(at) > 10 and constant >= PROXY and max((steps >= 0).mean(), (steps <= 0).mean()) >= PROXY


def as_data(leaks: Leaks) -> list[dict[str, Any]]:
    """Findings as JSON."""
    return [
        {"column": one.column, "reason": one.reason, "evidence": one.evidence, "figures": dict(one.figures)}
        for one in leaks.findings
    ]
