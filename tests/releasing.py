"""Versions of the rules on their way into force, for tests: two people, the acts as the log gets them."""

from __future__ import annotations

from datetime import UTC, datetime

from decision_service.audit.release import ACTIVATED, Act, Judged, Named, activation, approval, publication
from decision_service.audit.signing import Signer
from decision_service.store import ReleaseEvent, Store
from decision_service.vocabulary import Person

ANN, BOB = Person("client", "c-ann", "Ann"), Person("client", "c-bob", "Bob")


def activate(store: Store, digest: str, signer: Signer, *, now: datetime | None = None) -> ReleaseEvent:
    """Ann publishes a stored version and Bob approves it, if that was not done yet; then Ann activates it."""
    now = now or datetime.now(UTC)
    named = Named(digest, next(one.version for one in store.list_rulesets() if one.digest == digest))
    done = {(event.kind, event.subject) for event in store.releases()}
    if ("publication", digest) not in done:
        store.append_release(lambda _: publication(named, Act(ANN, now), Judged()), signer.receipt)
        store.append_release(lambda _: approval(named, Act(BOB, now)), signer.receipt)
    return activate_at(store, named, signer, now=now)


def activate_at(
    store: Store, named: Named, signer: Signer, *, now: datetime, effective_at: datetime | None = None
) -> ReleaseEvent:
    """Ann activates a version, whatever was done before."""
    content = activation(named, Act(ANN, now), how=ACTIVATED, effective_at=effective_at)
    event = store.append_release(lambda _: content, signer.receipt)
    assert event is not None
    return event
