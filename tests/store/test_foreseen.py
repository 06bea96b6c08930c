"""What is asked ahead is answered as if it were asked in turn, and a decision foresees all that it asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from store_samples import NOW, USCC, application, commit, decision, draft

from decision_service.audit.signing import Signer
from decision_service.errors import StoreError
from decision_service.store import Store
from decision_service.store.database import Session
from decision_service.store.decisions import asks_reserved, is_reserved
from decision_service.store.exposure import asks_exposure, exposure_state
from decision_service.store.log import asks_frontier, locked_frontier
from decision_service.store.wire import Answer, Asked

ON_POSTGRESQL = pytest.mark.parametrize("store", ["postgresql"], indirect=True)


@contextmanager
def asked_in_turn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The statements that were not asked ahead."""
    asked: list[str] = []
    answer = Session._answer

    def counting(self: Session, one: Asked) -> Answer:
        if one not in self._foreseen:
            asked.append(one[0])
        return answer(self, one)

    with monkeypatch.context() as patched:
        patched.setattr(Session, "_answer", counting)
        yield asked


def test_what_was_foreseen_is_what_is_read(store: Store, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(store, signer, draft(decision(application(1))))
    made = application(1)
    with store._database.read_session() as session:
        plain = exposure_state(session, USCC, NOW), is_reserved(session, "bank-1", made, NOW)
    with store._database.read_session() as session, asked_in_turn(monkeypatch) as asked:
        session.foresee([*asks_exposure(USCC, NOW), asks_reserved("bank-1", made, NOW)])
        assert (exposure_state(session, USCC, NOW), is_reserved(session, "bank-1", made, NOW)) == plain
    assert plain[0].reserved == 100_000 and plain[1]
    assert len(asked) == (0 if store._database.dialect == "postgresql" else 3)


def test_an_answer_that_was_foreseen_is_given_once(store: Store, signer: Signer) -> None:
    with store._database.read_session() as session:
        session.foresee(asks_exposure(USCC, NOW))
        before = exposure_state(session, USCC, NOW)
        commit(store, signer, draft(decision(application(1))))
        if store._database.dialect == "postgresql":  # each statement sees a moment of its own; SQLite all the same
            assert exposure_state(session, USCC, NOW).reserved == before.reserved + 100_000
        else:
            assert exposure_state(session, USCC, NOW) == before


@ON_POSTGRESQL
def test_a_decision_that_finds_what_it_foresaw_asks_nothing_in_turn(
    store: Store, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(store, signer, draft(decision(application(0))))
    expected = store.exposure_state(USCC, NOW)
    with asked_in_turn(monkeypatch) as asked:
        commit(store, signer, draft(decision(application(1))), expected=expected)
    assert not [text for text in asked if "leases" not in text and "rulesets" not in text]


def test_a_statement_that_fails_among_several_leaves_nothing_and_the_connection_usable(store: Store) -> None:
    def broken(_: str) -> object:
        from sqlalchemy import text

        return text("SELECT nothing FROM nowhere")

    size = store.log_head()[0]
    with pytest.raises(StoreError, match="the store failed"), store._database.write_session() as session:
        session.foresee([asks_frontier(), (broken, {})])
        session.rows(broken, {})
    assert store.log_head()[0] == size
    with store._database.write_session() as session:
        assert locked_frontier(session).size == size
