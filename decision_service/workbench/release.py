"""Release with four eyes: publish, approve, activate, roll back; each act is a signed leaf of the log, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from decision_service.audit import release as records
from decision_service.audit.release import ACTIVATED, INSTALLED, ROLLED_BACK, Act, Judged, Named
from decision_service.decide import Platform, business_date
from decision_service.errors import Refused, StoreError
from decision_service.policy import Policy
from decision_service.rule_folder import Candidate
from decision_service.rulebook.ruleset import Ruleset
from decision_service.store import ReleaseEvent, RulesetEntry
from decision_service.vocabulary import Person
from decision_service.workbench import history as past
from decision_service.workbench.judging import Judgement
from decision_service.workbench.versions import ensure_whole, packed

History = tuple[ReleaseEvent, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The act that stands now; ``new`` is false when it had been done before and nothing was written.

    ``cancelled`` are activations that were still to come and are not any more.
    """

    event: ReleaseEvent
    new: bool
    cancelled: tuple[ReleaseEvent, ...] = ()


def publish(
    platform: Platform, candidate: Candidate, judgements: Iterable[Judgement], act: Act, *, report: bytes | None = None
) -> Done:
    """Freeze a version that passed every gate, with its cases and the backtest report, under its digest.

    A version is published once. Raises ``Refused`` when a gate was not passed, and as ``ensure_whole`` when it was
    published before and is damaged.
    """
    judgements = tuple(judgements)
    if failed := [one.gate for one in judgements if not one.result.passed]:
        raise Refused(f"not published: {', '.join(failed)} did not pass", remedy="correct what they name")
    ruleset = candidate.policy.ruleset
    if (known := past.publication(platform.store.releases(), ruleset.digest)) is not None:
        ensure_whole(platform, _named(ruleset), on=business_date(act.at))
        return Done(known, new=False)
    judged = _kept(platform, candidate, judgements, act, report)

    def decide(history: History) -> Mapping[str, Any] | None:
        if past.publication(history, ruleset.digest) is not None:
            return None
        return records.publication(_named(ruleset), act, judged)

    written = platform.store.append_release(decide, platform.signer.receipt)
    return _done(written, past.publication(platform.store.releases(), ruleset.digest))


def approve(platform: Platform, entry: RulesetEntry, act: Act) -> Done:
    """Let a published version become active; once is enough.

    Raises ``Refused`` when it is not published, or by whoever published it, and as ``ensure_whole``.
    """
    ensure_whole(platform, Named(entry.digest, entry.version), on=business_date(act.at))

    def decide(history: History) -> Mapping[str, Any] | None:
        publication = past.publication(history, entry.digest)
        if publication is None or publication.person is None:
            raise Refused(f"version {entry.version} is not published", remedy="publish it first")
        if act.person.is_same_as(publication.person):
            what = f"version {entry.version} was published by {publication.person}, and {act.person} would approve it"
            raise two_persons(what, "publisher and approver must be two persons", act.person, publication.person)
        if past.approval(history, entry.digest) is not None:
            return None
        return records.approval(Named(entry.digest, entry.version), act)

    written = platform.store.append_release(decide, platform.signer.receipt)
    return _done(written, past.approval(platform.store.releases(), entry.digest))


def activate(platform: Platform, entry: RulesetEntry, act: Act, *, effective_at: datetime | None = None) -> Done:
    """Decide by an approved version, at once or from a later moment on. Raises ``Refused`` for any other version.

    The last word wins: what was to become active at that moment or later does not any more. Raises as
    ``ensure_whole``, too: a version that is damaged could decide nothing.
    """
    ensure_whole(platform, Named(entry.digest, entry.version), on=business_date(effective_at or act.at))

    def decide(history: History) -> Mapping[str, Any] | None:
        present = past.active(history, act.at)
        if effective_at is None and _is(present, entry.digest) and not past.coming(history, act.at):
            return None
        if past.approval(history, entry.digest) is None:
            remedy = "let somebody other than its publisher approve it first, by `rules approve` with their own key"
            if past.publication(history, entry.digest) is None:
                remedy = "publish it and let another person approve it first"
            raise Refused(f"version {entry.version} is not approved", remedy=remedy)
        if present is None and effective_at is not None:
            raise Refused("no version is active yet", remedy="the first one must decide at once: leave --at out")
        named, instead_of = Named(entry.digest, entry.version), None if present is None else present.subject
        return records.activation(named, act, how=ACTIVATED, effective_at=effective_at, instead_of=instead_of)

    written = platform.store.append_release(decide, platform.signer.receipt)
    history = platform.store.releases()
    done = _done(written, past.active(history, act.at))
    return Done(done.event, done.new, tuple(past.cancelled_by(history, done.event)) if done.new else ())


def install(platform: Platform, policy: Policy, act: Act, judged: Judged = Judged()) -> Done:
    """Activate the first rules of a store, which nobody can have published. Raises ``Refused`` once one was active."""
    ruleset = policy.ruleset
    platform.store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, act.at)

    def decide(history: History) -> Mapping[str, Any]:
        if was_active(history):
            raise Refused("another version is or was active here", remedy="publish, approve and activate this one")
        return records.activation(_named(ruleset), act, how=INSTALLED, judged=judged)

    return _done(platform.store.append_release(decide, platform.signer.receipt), None)


def install_candidate(platform: Platform, candidate: Candidate, judgements: Iterable[Judgement], act: Act) -> Done:
    """As ``install``, for a folder that passed every gate; its cases are kept."""
    judgements = tuple(judgements)
    if failed := [one.gate for one in judgements if not one.result.passed]:
        raise Refused(f"not activated: {', '.join(failed)} did not pass", remedy="correct what they name")
    return install(platform, candidate.policy, act, _kept(platform, candidate, judgements, act, None))


def rollback(platform: Platform, act: Act) -> Done:
    """Decide at once by the version that was active before the present one. Raises ``Refused`` when there is none.

    Raises as ``ensure_whole``, too.
    """
    seen = rolls_back_to(platform.store.releases(), act.at)
    ensure_whole(platform, seen, on=business_date(act.at))  # before the log is locked: loading takes a second

    def decide(history: History) -> Mapping[str, Any]:
        if rolls_back_to(history, act.at) != seen:
            raise Refused("another version became active at the same moment", remedy="see rules list, and try again")
        present = past.active(history, act.at)
        return records.activation(seen, act, how=ROLLED_BACK, instead_of=None if present is None else present.subject)

    done = _done(platform.store.append_release(decide, platform.signer.receipt), None)
    return Done(done.event, True, tuple(past.cancelled_by(platform.store.releases(), done.event)))


def rolls_back_to(history: History, at: datetime) -> Named:
    """The version that a rollback leads to. Raises ``Refused`` when there is none."""
    before = past.before_present(history, at)
    if before is None:
        raise Refused("no other version was active before this one", remedy="activate the version you mean")
    return Named(before.subject, before.content["ruleset"]["version"])


def two_persons(what: str, rule: str, person: Person, other: Person) -> Refused:
    """The refusal of an act that lacks its second person, with the doubt by which two are taken for one."""
    doubt = person.doubt(other)
    if not doubt:
        return Refused(f"{what}: {rule}", remedy="let somebody else do it")
    remedy = "let somebody else do it, by a login or key of their own that none of these created"
    return Refused(f"{what}: {rule}, and {doubt}", remedy=remedy)


def was_active(history: History) -> bool:
    """Whether any version ever became active, or will."""
    return any(event.kind == records.ACTIVATION for event in history)


def _kept(
    platform: Platform, candidate: Candidate, judgements: tuple[Judgement, ...], act: Act, report: bytes | None
) -> Judged:
    """Store a version's texts, cases and report; what the log will say of them. All of it lies under its own digest."""
    store, ruleset = platform.store, candidate.policy.ruleset
    store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, act.at)
    gates = tuple((one.gate, one.result.summary) for one in judgements)
    cases = store.attach(packed(candidate.case_texts))
    return Judged(gates, cases, None if report is None else store.attach(report))


def _named(ruleset: Ruleset) -> Named:
    return Named(ruleset.digest, ruleset.version)


def _is(event: ReleaseEvent | None, digest: str) -> bool:
    return event is not None and event.subject == digest


def _done(written: ReleaseEvent | None, known: ReleaseEvent | None) -> Done:
    event = written or known
    if event is None:
        raise StoreError("the act is not in the store", remedy="run: decision-service audit verify")
    return Done(event, new=written is not None)
