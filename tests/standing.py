"""What stands of a customer's line, told again from the log: for tests with one customer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from decision_service.audit.canonical import parsed
from decision_service.decide import Platform
from decision_service.lending import life
from decision_service.lives import life_of

LINE = 500_000_000
"""5,000,000 CNY in fen."""


def most_at_an_automatic_approval(platform: Platform) -> int:
    """The log told again from its leaves: the most that stood with an automatic approval when it was made, fen."""
    lives: dict[str, life.Life] = {}
    most = 0
    for row in platform.store.log_rows().entries():
        record = parsed(row["record"])
        if record["type"] == "decision":
            stored = platform.store.decision(record["decision_id"])
            assert stored is not None
            lives[record["decision_id"]] = life_of(stored.record, ())
            if record["outcome"] == "APPROVE":
                at = datetime.fromisoformat(record["decided_at"])
                most = max(most, sum(counted(one, at) for one in lives.values()))
        elif record["type"] == "life":
            step = life.Step(record["how"], _at(record), record["by"]["id"], record["details"])
            lives[record["subject"]] = life.after(lives[record["subject"]], step)
    return most


def counted(one: life.Life, at: datetime) -> int:
    return 0 if one.on(at).state == life.LAPSED else one.counted


def _at(record: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(record["at"])
