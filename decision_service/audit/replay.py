"""Replays a stored decision: the recorded facts under the recorded ruleset must give the recorded answer again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

from decision_service.audit.canonical import parsed
from decision_service.audit.decided import scores_of
from decision_service.audit.record import FACT_PREFIX, values_of
from decision_service.errors import AuditError
from decision_service.vocabulary import Scores

TOLERANCE = 1e-6
ALARM_OUTCOME = "REFER"


class Stored(Protocol):
    """What replay needs of a stored decision."""

    @property
    def decision_id(self) -> str:
        """Its id."""

    @property
    def record(self) -> bytes:
        """Its record."""

    @property
    def private(self) -> bytes | None:
        """Its values; ``None`` once erased."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What rules say of facts. ``limit`` is fen; ``stages`` maps a stage to its matched and unknown rules."""

    outcome: str
    reasons: tuple[tuple[str, str], ...]
    card: str | None
    whitelisted: bool | None
    limit: int | None
    conditions: tuple[str, ...]
    rate_spread_bp: int
    stages: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A decision read back from its record. ``series`` is months by series, NaN where missing."""

    decision_id: str
    client_id: str
    product: str
    ruleset_digest: str
    in_force_on: date
    facts: Mapping[str, int | str]
    features: Mapping[str, float | str]
    series: tuple[tuple[float, ...], ...]
    mask: tuple[bool, ...]
    scores: Scores
    answer: Answer
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay disagrees with the record."""

    decision_id: str
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return f"decision {self.decision_id}: {'; '.join(self.differences)}"


def replay(stored: Stored, *, evaluate: Callable[[Recorded], Answer]) -> Difference | None:
    """Compare the record's answer with ``evaluate``'s; ``None`` when they agree.

    Where the engines had disagreed, the decision was referred whatever the rules said: then only that is compared,
    and which rules matched. Raises ``AuditError`` when the record cannot be read or its values are erased.
    """
    recorded = read_record(stored)
    again = evaluate(recorded)
    found = tuple(_differences(recorded, again))
    return Difference(recorded.decision_id, found) if found else None


def rescore_difference(recorded: Recorded, scores: Scores, *, tolerance: float = TOLERANCE) -> Difference | None:
    """Compare recorded scores with those computed again from the recorded features; ``None`` when they agree."""
    found = []
    for name in ("pd_xgb", "pd_lstm", "pd_12m"):
        before, after = getattr(recorded.scores, name), getattr(scores, name)
        if (before is None) != (after is None):
            found.append(f"{name} was {before}, is {after}")
        elif before is not None and abs(Decimal(before) - Decimal(after)) > Decimal(repr(tolerance)):
            found.append(f"{name} was {before}, is {after}")
    return Difference(recorded.decision_id, tuple(found)) if found else None


def read_record(stored: Stored) -> Recorded:
    """A stored decision as values again. Raises ``AuditError``: damaged, or its values are erased."""
    if stored.private is None:
        raise AuditError(f"the values of decision {stored.decision_id} are erased; it can be proven, not replayed")
    try:
        return _recorded(parsed(stored.record), values_of(stored.private))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise AuditError(
            f"the record of decision {stored.decision_id} is damaged: {error!r}", remedy="run: audit verify"
        ) from error


def _recorded(body: Mapping[str, Any], values: Mapping[str, Any]) -> Recorded:
    return Recorded(
        decision_id=body["decision_id"],
        client_id=body["client_id"],
        product=body["application"]["product"],
        ruleset_digest=body["ruleset"]["digest"],
        in_force_on=date.fromisoformat(body["in_force_on"]),
        facts={
            name.removeprefix(FACT_PREFIX): _exact(value)
            for name, value in values.items()
            if name.startswith(FACT_PREFIX)
        },
        features={name: _feature(name, value) for name, value in values["features"].items()},
        series=tuple(tuple(_float(value) for value in month) for month in values["series"]),
        mask=tuple(values["mask"]),
        scores=scores_of(body),
        answer=_answer(body),
        alarms=tuple(sorted({stage["alarm"] for stage in body["stages"].values() if stage["alarm"]})),
    )


def _answer(body: Mapping[str, Any]) -> Answer:
    return Answer(
        outcome=body["outcome"],
        reasons=tuple((reason["code"], reason["rule"]) for reason in body["reasons"]),
        card=body["card"],
        whitelisted=body["whitelisted"],
        limit=None if body["limit"] is None else int(Decimal(body["limit"]).scaleb(2)),
        conditions=tuple(body["conditions"]),
        rate_spread_bp=body["rate_spread_bp"],
        stages={
            name: (tuple(stage["matched"]), tuple(stage["unknown"])) for name, stage in body["stages"].items()
        },
    )


def _differences(recorded: Recorded, again: Answer) -> Iterable[str]:
    before = recorded.answer
    for stage in sorted({*before.stages, *again.stages}):
        if before.stages.get(stage) != again.stages.get(stage):
            yield f"stage {stage}: was {before.stages.get(stage)}, is {again.stages.get(stage)}"
    names = ["card", "whitelisted", "limit", "conditions", "rate_spread_bp"]
    if recorded.alarms:
        if before.outcome != ALARM_OUTCOME:
            yield f"the engines differed ({', '.join(recorded.alarms)}), yet the outcome was {before.outcome}"
    else:
        names += ["outcome", "reasons"]
    for name in names:
        if getattr(before, name) != getattr(again, name):
            yield f"{name}: was {getattr(before, name)}, is {getattr(again, name)}"


def _exact(value: Any) -> int | str:
    return int(value["integer"]) if isinstance(value, dict) else value


def _feature(name: str, value: str | None) -> float | str:
    """Features are numbers but for the industry's code, which may look like one."""
    return value if name == "industry_code" and value is not None else _float(value)


def _float(value: str | None) -> float:
    return math.nan if value is None else float(value)
