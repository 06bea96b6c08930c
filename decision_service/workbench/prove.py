"""Proves the claims of a version of the rules, for everybody and for each overlay, on every day still to come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum

from decision_service.errors import NotFound
from decision_service.lending.limits import limit
from decision_service.rule_folder import Candidate
from decision_service.rulebook.invariants import Claim, Invariant
from decision_service.rulebook.overlays import Overlay
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.prover import SECONDS, Prover, Verdict
from decision_service.rulebook.ruleset import POLICY, Ruleset
from decision_service.rulebook.stretches import change_days
from decision_service.rulebook.syntax import did_you_mean
from decision_service.workbench.difference import bases_of
from decision_service.workbench.reference import judge

ONLY_TIGHTEN = Invariant(
    id="overlays-only-tighten",
    claim=Claim.OVERLAY_NEVER_LOOSENS,
    title={"zh": "银行自有规则只能更严", "en": "A bank's own rules may only tighten"},
)
"""Proven of every overlay, whether a ruleset claims it or not."""


class Result(Enum):
    """What became of a claim; whatever is not proven stands in the way."""

    PROVEN = "proven"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Task:
    """One claim to be proven from a day on (until the next day on which anything changes), for a client or the base."""

    invariant: Invariant
    on: date
    client: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one task."""

    task: Task
    verdict: Verdict

    @property
    def result(self) -> Result:
        """Proven, refuted by an application, or undecided."""
        if self.verdict.proven:
            return Result.PROVEN
        return Result.UNDECIDED if self.verdict.application is None else Result.REFUTED


@dataclass(frozen=True, slots=True)
class ClaimReport:
    """One claim with all its proofs: none when it is about overlays and there are none."""

    invariant: Invariant
    proofs: tuple[Proof, ...]

    @property
    def result(self) -> Result:
        """Proven only if it is for everybody and every day."""
        found = {proof.result for proof in self.proofs}
        return next((one for one in (Result.REFUTED, Result.UNDECIDED) if one in found), Result.PROVEN)

    @property
    def seconds(self) -> float:
        """How long its proofs took."""
        return sum(proof.verdict.seconds for proof in self.proofs)


def claims_of(ruleset: Ruleset, only: Collection[str] = ()) -> tuple[Invariant, ...]:
    """The claims of a ruleset, that about overlays always among them; or those with the ids of ``only``.

    Raises ``NotFound`` for an id that there is not.
    """
    claims = ruleset.invariants
    if not any(one.claim is Claim.OVERLAY_NEVER_LOOSENS for one in claims):
        claims = (*claims, ONLY_TIGHTEN)
    ids = [one.id for one in claims]
    for name in only:
        if name not in ids:
            hint = did_you_mean(name, ids, otherwise="see invariants.yaml")
            raise NotFound("there is no claim of this id", where=name, remedy=hint)
    return tuple(one for one in claims if not only or one.id in only)


def tasks_of(ruleset: Ruleset, *, on: date, only: Collection[str] = ()) -> tuple[Task, ...]:
    """What is to be proven: each claim for each day from which something new is in force, for the base and each client.

    A client whose overlay is not in force on a day has the base's rules then. That some rule always decides is claimed
    of the base alone: what an overlay no longer approves may go to people without a rule of its own.
    """
    claims, tasks = claims_of(ruleset, only), []
    for day in change_days(ruleset, on):
        clients = [name for name, overlay in ruleset.overlays.items() if _in_force(overlay, day)]
        for client in ("", *clients):
            left_out = Claim.ALWAYS_DECIDED if client else Claim.OVERLAY_NEVER_LOOSENS
            tasks += [Task(one, day, client) for one in claims if one.claim is not left_out]
    return tuple(tasks)


def _in_force(overlay: Overlay, on: date) -> bool:
    return any(rule.in_force(on) for rule in overlay.rules) or bool(overlay.policy.in_force(POLICY, on))


def prove(candidate: Candidate, tasks: Iterable[Task], *, seconds: float = SECONDS) -> Iterator[Proof]:
    """Prove tasks one after another; each is undecided after so many seconds.

    What is proven of the base, and cannot be broken by an overlay that is proven to tighten it, is not proven again.
    """
    tasks = tuple(tasks)
    proving = _Proving(candidate, tasks, seconds)
    return (proving.proof(task) for task in tasks)


class _Proving:
    """Proves tasks, each once: those of the base, and that a client's overlay tightens it, serve for others."""

    def __init__(self, candidate: Candidate, tasks: Iterable[Task], seconds: float) -> None:
        self._ruleset = candidate.policy.ruleset
        self._bases = familiar(candidate)
        self._seconds = seconds
        self._tasks = {_key(task): task for task in tasks}
        self._tightens = {(task.on, task.client): task for task in self._tasks.values() if _of_overlays(task)}
        self._provers: dict[tuple[date, str], Prover] = {}
        self._proofs: dict[tuple[date, str, str], Proof] = {}

    def proof(self, task: Task) -> Proof:
        """What becomes of one task."""
        if (key := _key(task)) not in self._proofs:
            self._proofs[key] = Proof(task, self._verdict(task))
        return self._proofs[key]

    def _verdict(self, task: Task) -> Verdict:
        if _of_overlays(task):
            against = self._ruleset.in_force(task.on, task.client)
            return self._prover(task.on, "").prove(task.invariant, against=against)
        prover = self._prover(task.on, task.client)
        found = prover.follows(task.invariant) if task.client and self._both_hold(task) else None
        return prover.prove(task.invariant) if found is None else found

    def _both_hold(self, task: Task) -> bool:
        """The claim holds for the base on this day, and the client's overlay only tightens: both are proven."""
        of_base = self._tasks.get((task.on, "", task.invariant.id))
        of_overlay = self._tightens.get((task.on, task.client))
        return all(one is not None and self.proof(one).result is Result.PROVEN for one in (of_base, of_overlay))

    def _prover(self, on: date, client: str) -> Prover:
        key = on, client
        if key not in self._provers:
            self._provers[key] = Prover(
                self._ruleset.in_force(on, client),
                evaluate=judge,
                limit=limit,
                bases={name: replace(base, on=on) for name, base in self._bases.items()},
                seconds=self._seconds,
                base=self._prover(on, "") if client else None,
            )
        return self._provers[key]


def _key(task: Task) -> tuple[date, str, str]:
    return task.on, task.client, task.invariant.id


def _of_overlays(task: Task) -> bool:
    return task.invariant.claim is Claim.OVERLAY_NEVER_LOOSENS


def familiar(candidate: Candidate) -> dict[str, Application]:
    """The profiles of a version's cases as applications by name."""
    return bases_of(candidate.cases, candidate.on)


def reports(candidate: Candidate, proofs: Iterable[Proof], only: Collection[str] = ()) -> tuple[ClaimReport, ...]:
    """Proofs by claim, in the order of the file."""
    found = tuple(proofs)
    claims = claims_of(candidate.policy.ruleset, only)
    return tuple(ClaimReport(one, tuple(proof for proof in found if proof.task.invariant is one)) for one in claims)
