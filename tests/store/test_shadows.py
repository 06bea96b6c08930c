"""Shadows in the store: which run, how far each has come, each decision once whoever writes, one who follows."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from store_samples import NOW, RULESET, application, commit, commit_some, decision, draft, verified

from decision_service.audit.release import STARTED, STOPPED, Act, Named
from decision_service.audit.release import shadow as act
from decision_service.errors import StoreError
from decision_service.store import ShadowResult, ShadowRun, Store
from tests.releasing import ANN

FORK = multiprocessing.get_context("fork")
FIRST, SECOND = Named(RULESET, "v1"), Named("sha256:00", "v2")


def say(store: Store, signer: Any, state: str, named: Named = FIRST) -> None:
    store.append_release(lambda _: act(named, Act(ANN, NOW), state=state), signer.receipt)


def compared(run: ShadowRun, leaf: int, outcome: str = "APPROVE") -> ShadowResult:
    return ShadowResult(run.leaf, leaf, "compared", outcome, 1, 2, 3, "{}")


def test_a_shadow_runs_from_its_start_to_its_stop_and_may_run_again(store, signer):
    assert store.shadows().runs() == ()
    for state, named in ((STARTED, FIRST), (STARTED, SECOND), (STOPPED, FIRST), (STARTED, FIRST)):
        say(store, signer, state, named)
    known = store.shadows()
    assert known.runs() == (ShadowRun(0, RULESET, 2), ShadowRun(1, "sha256:00"), ShadowRun(3, RULESET))
    assert known.running() == (ShadowRun(1, "sha256:00"), ShadowRun(3, RULESET))


def test_starts_and_stops_verify(store, signer):
    commit_some(store, signer, 1)
    for state in (STARTED, STOPPED, STARTED):
        say(store, signer, state)
    report = verified(store, signer)
    assert report.ok, report.findings
    assert report.acts["shadow"] == 3


def test_only_decisions_after_the_start_and_before_the_stop_are_ahead(store, signer):
    commit_some(store, signer, 2)
    say(store, signer, STARTED)
    for number in (2, 3):
        commit(store, signer, draft(decision(application(number))))
    say(store, signer, STOPPED)
    commit(store, signer, draft(decision(application(4))))
    known = store.shadows()
    (run,) = known.runs()
    assert [one.leaf_index for one in known.ahead(run, 10)] == [3, 4]
    assert [one.leaf_index for one in known.ahead(run, 1)] == [3]
    assert (known.reached(run), known.behind(run)) == (2, 2)
    known.add([compared(run, 3)])
    assert (known.reached(run), known.behind(run)) == (3, 1)
    assert [one.leaf_index for one in known.ahead(run, 10)] == [4]
    known.add([compared(run, 4)])
    assert known.ahead(run, 10) == () and known.behind(run) == 0


def test_two_shadows_come_along_each_by_itself(store, signer):
    say(store, signer, STARTED)
    say(store, signer, STARTED, SECOND)
    commit_some(store, signer, 2)
    known = store.shadows()
    first, second = known.running()
    assert known.add([compared(first, 2), compared(first, 3)]) == 2
    assert (known.behind(first), known.behind(second)) == (0, 2)


def test_a_result_is_written_once_and_the_first_stays(store, signer):
    say(store, signer, STARTED)
    commit_some(store, signer, 2)
    known = store.shadows()
    (run,) = known.running()
    assert known.add([compared(run, 1)]) == 1
    assert known.add([compared(run, 1, "DECLINE"), compared(run, 2)]) == 1
    assert [(one.result.leaf_index, one.result.outcome) for one in known.results([run])] == [
        (1, "APPROVE"),
        (2, "APPROVE"),
    ]


def test_a_batch_is_written_whole_or_not_at_all(store, signer):
    say(store, signer, STARTED)
    commit_some(store, signer, 2)
    known = store.shadows()
    (run,) = known.running()
    with pytest.raises(StoreError):
        known.add([compared(run, 1), replace(compared(run, 2), status=None)])
    assert known.reached(run) == run.leaf and not list(known.results([run]))
    assert known.add([]) == 0


def test_results_come_with_their_decisions_over_many_pages_and_from_a_moment_on(store, signer, monkeypatch):
    monkeypatch.setattr("decision_service.store.shadows.PAGE", 2)
    say(store, signer, STARTED)
    moments = [NOW + timedelta(minutes=number) for number in range(5)]
    for number, moment in enumerate(moments):
        commit(store, signer, draft(decision(application(number), now=moment)))
    known = store.shadows()
    (run,) = known.running()
    known.add(compared(run, leaf) for leaf in range(1, 6))
    found = list(known.results([run]))
    assert [one.decision_id for one in found] == [f"D-bank-1-APP-{number}" for number in range(5)]
    first = found[0]
    assert (first.client_id, first.product, first.outcome) == ("bank-1", "working_capital", "APPROVE")
    assert (first.decided_at, first.ruleset_digest, first.result) == (NOW, RULESET, compared(run, 1))
    for since, count in ((moments[3], 2), (moments[3] + timedelta(microseconds=1), 1), (moments[4], 1)):
        assert len(list(known.results([run], since))) == count


def test_one_follows_at_a_time_and_another_when_its_turn_ends(url, signer):
    with closing(Store.open(url)) as one, closing(Store.open(url)) as other:
        with one.shadows().turn(NOW) as mine:
            assert mine
            with other.shadows().turn(NOW) as theirs:
                assert not theirs
        with other.shadows().turn(NOW) as theirs:
            assert theirs


def test_a_turn_ends_with_an_error_in_it(store):
    with pytest.raises(RuntimeError), store.shadows().turn(NOW):
        raise RuntimeError
    with store.shadows().turn(NOW) as mine:
        assert mine


def test_processes_that_follow_at_once_leave_no_gap_and_write_nothing_twice(url, signer):
    with closing(Store.open(url)) as store:
        say(store, signer, STARTED)
        workers = [FORK.Process(target=_follow, args=(url, 40)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for number in range(40):
            commit(store, signer, draft(decision(application(number))))
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0] * 3
        (run,) = store.shadows().running()
        assert [one.result.leaf_index for one in store.shadows().results([run])] == list(range(1, 41))


def _follow(url: str, until: int) -> None:
    with closing(Store.open(url)) as store:
        known = store.shadows()
        (run,) = known.running()
        while known.reached(run) < until:
            known.add([compared(run, one.leaf_index) for one in known.ahead(run, 3)])
