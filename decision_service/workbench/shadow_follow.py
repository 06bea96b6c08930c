"""Following: what shadows say of decisions that are durable already, out of the way of every answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime

from decision_service.audit.replay import Recorded, read_record
from decision_service.decide import Platform
from decision_service.errors import AuditError, DecisionServiceError, NotFound, StoreError
from decision_service.following import Follower
from decision_service.rulebook.ruleset import Ruleset
from decision_service.store import ShadowResult, ShadowRun, StoredDecision
from decision_service.workbench.shadow import ruleset_of
from decision_service.workbench.shadow_compare import admits, judged, paired

COMPARED, ERASED, UNREADABLE, ENGINES_DIFFERED, NOT_ADMITTED = (
    "compared",
    "erased",
    "unreadable",
    "engines differed",
    "not admitted",
)
"""What became of a decision: held against the shadow, or why it is left out."""
BATCH = 50
"""Decisions in one transaction."""
Rest = Callable[[float], None]
"""Is told how many seconds were just worked, and may wait."""
Told = Callable[[str, str, str, str | None], None]
"""Is told of each new result: the shadow's version, its status, the outcome that was answered and the shadow's own."""

log = logging.getLogger(__name__)


def no_rest(worked: float) -> None:
    """Work through."""


def tell_nobody(version: str, status: str, answered: str, said: str | None) -> None:
    """Results stand in the store."""


class Desk:
    """Where decisions are held against shadows; rules are loaded once."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._shadows: dict[str, Ruleset] = {}

    def catch_up(self, run: ShadowRun, *, rest: Rest = no_rest, told: Told = tell_nobody) -> Iterator[int]:
        """Hold a shadow against the decisions that it has not been held against; how many, batch by batch.

        Raises ``StoreError``, and ``NotFound`` or ``RulebookError`` for a shadow whose rules cannot be loaded.
        """
        shadows = self._platform.store.shadows()
        while ahead := shadows.ahead(run, BATCH):
            found = [self._rested(run, one, rest) for one in ahead]
            new = shadows.add(found)
            version = self._ruleset(run.digest).version
            for one, said in list(zip(ahead, found))[len(found) - new :]:  # the first of them others had written
                told(version, said.status, one.outcome, said.outcome)
            yield new

    def result(self, run: ShadowRun, stored: StoredDecision) -> ShadowResult:
        """What a shadow says of one decision, or why it says nothing."""
        shadow = self._ruleset(run.digest)
        if stored.private is None:
            return _left_out(run, stored, ERASED)
        try:
            recorded = read_record(stored)
            active = self._platform.policies.by_digest(recorded.ruleset_digest).ruleset
        except (AuditError, NotFound) as error:
            log.error("shadow %s leaves a decision out: %s", run.digest, error)
            return _left_out(run, stored, UNREADABLE)
        if recorded.alarms:
            return _left_out(run, stored, ENGINES_DIFFERED)  # it was referred whatever the rules said
        if not admits(shadow, active.catalogue, recorded):
            return _left_out(run, stored, NOT_ADMITTED)
        return _compared(run, stored, recorded, active=active, shadow=shadow)

    def _rested(self, run: ShadowRun, stored: StoredDecision, rest: Rest) -> ShadowResult:
        began = time.perf_counter()
        found = self.result(run, stored)
        rest(time.perf_counter() - began)
        return found

    def _ruleset(self, digest: str) -> Ruleset:
        found = self._shadows.get(digest)
        if found is None:
            found = self._shadows[digest] = ruleset_of(self._platform.store, digest)
        return found


def _compared(
    run: ShadowRun, stored: StoredDecision, recorded: Recorded, *, active: Ruleset, shadow: Ruleset
) -> ShadowResult:
    in_force = shadow.in_force(recorded.in_force_on, recorded.client_id)
    was = active.in_force(recorded.in_force_on, recorded.client_id)
    found = judged(in_force, active.catalogue, recorded)
    amount = recorded.facts.get("amount")
    return ShadowResult(
        run.leaf,
        stored.leaf_index,
        COMPARED,
        outcome=found.outcome.name,
        amount=amount if isinstance(amount, int) else None,
        active_limit=recorded.answer.limit,
        shadow_limit=found.limit,
        rules=paired(was, in_force, recorded, found).written(),
    )


def _left_out(run: ShadowRun, stored: StoredDecision, status: str) -> ShadowResult:
    return ShadowResult(run.leaf, stored.leaf_index, status)


class ShadowFollower(Follower):
    """Follows the shadows of a store, one decision at a time."""

    name = "shadows"

    def __init__(self, platform: Platform, clock: Callable[[], datetime], told: Told = tell_nobody) -> None:
        super().__init__(platform, clock)
        self._tell = told
        self._desk = Desk(platform)
        self._given_up: set[int] = set()

    def _is_needed(self) -> bool:
        return bool(self._platform.store.shadows().running())

    def _turn(self) -> AbstractContextManager[bool]:
        return self._platform.store.shadows().turn(self._clock())

    def _step(self, ends: float) -> bool:
        """Follow each shadow as far as time allows; whether to go on."""
        running = [run for run in self._platform.store.shadows().running() if run.leaf not in self._given_up]
        for run in running:
            try:
                for _ in self._desk.catch_up(run, rest=self._rest, told=self._tell):
                    if time.monotonic() > ends or self._end.is_set():
                        return False
            except StoreError as error:
                self._alarm(str(error))
            except DecisionServiceError as error:
                self._given_up.add(run.leaf)  # loading what cannot be loaded each second would cost the requests time
                self._alarm(f"shadow {run.digest} cannot be followed: {error}")
        return bool(running) and time.monotonic() < ends
