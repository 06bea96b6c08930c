"""Decisions whose money was lent, with what the models read then and what became of it: rows to train on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from decision_service.audit.replay import read_record
from decision_service.decide import Platform, business_date
from decision_service.errors import InputError
from decision_service.lending import life
from decision_service.lending.outcomes import defaulted
from decision_service.lives import life_of
from decision_service.repaired import later_repairs
from decision_service.store import Borrower

CONTRACTS = (life.DRAWN, life.OVERDUE, life.REPAID, life.CLOSED)
TARGET = "defaulted"
ERASED, REPAIRED = "erased", "repaired since"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A contract and whether it defaulted within a year of its first drawdown; ``None``: not known yet."""

    borrower: Borrower
    life: life.Life
    defaulted: bool | None


def outcomes(platform: Platform, on: date, product: str | None = None) -> Iterator[Outcome]:
    """Every contract on which something was drawn, as known on a day, oldest decision first. Raises ``StoreError``."""
    lives, after = platform.store.lives(), -1
    while page := lives.borrowers(CONTRACTS, after):
        after = page[-1].leaf_index
        for one in page:
            if product in (None, one.product):
                acts = (act for act in lives.acts(one.decision_id) if business_date(act.at) <= on)
                found = life_of(one.record, acts)
                if found.drawn_on is not None:
                    yield Outcome(one, found, defaulted(found, on))


def labels(platform: Platform, on: date) -> dict[str, bool]:
    """By decision, whether it defaulted, of all that are known."""
    found = outcomes(platform, on)
    return {one.borrower.decision_id: one.defaulted for one in found if one.defaulted is not None}


def training_row(platform: Platform, outcome: Outcome) -> dict[str, Any] | str:
    """The row of a known outcome: inputs as the models read them; or why it is left out.

    It is ``ERASED``, or ``REPAIRED``: the decision used a record that was ruled wrong or repaired since. Raises
    ``AuditError``, and ``InputError`` for an input that is called as one of the row's own columns.
    """
    stored = platform.store.decision(outcome.borrower.decision_id)
    if stored is None or stored.private is None:
        return ERASED
    if later_repairs(platform, stored):
        return REPAIRED
    recorded, decided = read_record(stored), outcome.life.decided_at
    own = {
        "decision_id": stored.decision_id,
        "enterprise": stored.uscc,
        "decided_on": business_date(decided).isoformat(),
        "drawn_on": str(outcome.life.drawn_on),
        "product": recorded.product,
        "amount": f"{outcome.life.approved / 100:.2f}",
        "pd_12m": None if recorded.scores.pd_12m is None else float(recorded.scores.pd_12m),
    }
    if taken := {*own, TARGET} & recorded.features.keys():
        what = f"inputs are called as the table's own columns: {', '.join(sorted(taken))}"
        raise InputError(what, where=recorded.product, remedy="rename them in rules/indicators.csv")
    inputs = {name: None if value != value else value for name, value in recorded.features.items()}
    return {**own, **inputs, TARGET: int(bool(outcome.defaulted))}
