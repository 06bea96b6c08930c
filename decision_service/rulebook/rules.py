"""Rules in three stages, reason codes and products: the frozen content of a ruleset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from decision_service.rulebook.conditions import Condition, Exact
from decision_service.vocabulary import Outcome


class Stage(Enum):
    """The three stages, in the order they are evaluated."""

    STATUS = "status"
    LIMIT = "limit"
    DECISION = "decision"

    __hash__ = object.__hash__  # a stage is one object; an Enum would hash its name, in Python, at every look-up


@dataclass(frozen=True, slots=True)
class Effects:
    """What a limit rule does. Values are exact (factor in millionths, cap in fen) or the name of a fact.

    Combined over all rules that match *or are unknown* (all four only tighten): factor min, cap min, spread max,
    conditions union.
    """

    limit_factor: int | str | None = None
    limit_cap: int | str | None = None
    rate_spread_bp: int | None = None
    conditions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; exactly one of ``sets``, ``effects``, ``outcome`` is given, according to its stage.

    ``client`` is the one whose overlay holds the rule; empty for a rule of the base.
    """

    id: str
    stage: Stage
    title: Mapping[str, str]
    when: Condition
    outcome: Outcome | None = None
    sets: tuple[tuple[str, Exact], ...] = ()
    effects: Effects | None = None
    reason: str | None = None
    effective_from: date = date.min
    effective_to: date | None = None
    reference: str = ""
    file: str = ""
    line: int = 0
    client: str = ""

    @property
    def name(self) -> str:
        """What tells it from every other rule of the ruleset: its id, in an overlay behind the client's."""
        return f"{self.client}/{self.id}" if self.client else self.id

    def in_force(self, on: date) -> bool:
        """Whether the rule is in force on a business date; ``effective_to`` is exclusive."""
        return self.effective_from <= on and (self.effective_to is None or on < self.effective_to)


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """A reason code with a customer's and an officer's text, each in zh and en."""

    code: str
    customer: Mapping[str, str]
    officer: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Product:
    """A product file: what it requires and which models score it. Its numbers are ``product.*`` facts."""

    name: str
    label: Mapping[str, str]
    required_facts: tuple[str, ...]
    xgb_model: str
    lstm_model: str
    single_model_blend: str | None = None
    assumptions: tuple[Mapping[str, str], ...] = ()
    scorecard_model: str | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models it uses: by features, by series, and the fallback if it has one."""
        fallback = () if self.scorecard_model is None else (self.scorecard_model,)
        return (self.xgb_model, self.lstm_model, *fallback)


@dataclass(frozen=True, slots=True)
class StageResult:
    """Which rules of a stage matched and which are unknown, by id, sorted. The rest did not match."""

    matched: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitEffects:
    """Combined effects of the limit stage, exact: factor in millionths, cap in fen or none."""

    limit_factor: int = 1_000_000
    limit_cap: int | None = None
    rate_spread_bp: int = 0
    conditions: tuple[str, ...] = field(default=())
