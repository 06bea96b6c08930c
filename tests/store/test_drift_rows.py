"""Counts and figures by day in the store: written once, revised beside what was, on both kinds of database."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from store_samples import NOW, application, commit, decision, draft

from decision_service.portrait.records import Overdue
from decision_service.store import DayCount, DayMeasure
from decision_service.vocabulary import Outcome

COUNT = DayCount("2026-11-24", "working_capital", "", "", 10, 9, 4, 10, 4, 80_000, '{"inputs":{},"score":[]}')
FIGURE = DayMeasure(
    "2026-11-24", "working_capital", "", "", "approval", "", 10, 20, 0.4, 0.5, 0.1, 0.9, "", "none", "none", "[-1]"
)
FIGURES = [FIGURE, replace(FIGURE, kind="W8", value=None), replace(FIGURE, day="2026-11-20", alert="red")]


def test_a_day_is_counted_once(store):
    drifts = store.drifts()
    drifts.add_counts([COUNT, replace(COUNT, model="pd-xgboost/3", digest="sha256:aa")])
    drifts.add_counts([replace(COUNT, decisions=99)])
    assert drifts.counted_days() == ("2026-11-24",)
    assert drifts.counts("2026-11-24", "2026-11-24")[0] == COUNT
    assert drifts.counts("2026-11-01", "2026-11-30", bins=False)[0] == replace(COUNT, bins="")
    assert drifts.counts("2026-11-25", "2026-11-30") == ()


def test_a_figure_that_differs_becomes_a_revision_beside_the_old_one(store):
    drifts = store.drifts()
    assert (drifts.add_measures(FIGURES, NOW), drifts.add_measures(FIGURES, NOW)) == (3, 0)
    assert drifts.add_measures([*FIGURES, replace(FIGURE, value=0.45)], NOW + timedelta(hours=1)) == 1
    assert drifts.add_measures([FIGURE], NOW + timedelta(hours=2)) == 1
    kept = [one for one in drifts.revisions("2026-11-24") if one.measure.kind == "approval"]
    assert [(one.revision, one.measure.value) for one in kept] == [(1, 0.4), (2, 0.45), (3, 0.4)]
    assert kept[1].written_at == NOW + timedelta(hours=1)
    (newest,) = [one for one in drifts.measures("2026-11-24", "2026-11-24") if one.measure.kind == "approval"]
    assert newest == kept[2]


def test_the_last_figure_before_a_day_is_found_however_long_ago(store):
    drifts = store.drifts()
    drifts.add_measures([replace(FIGURES[2], alert="none")], NOW)
    drifts.add_measures(FIGURES, NOW)
    found = {one.measure.kind: one for one in drifts.last_before("2027-12-31")}
    assert {kind: one.measure.day for kind, one in found.items()} == {"approval": "2026-11-24", "W8": "2026-11-24"}
    (before,) = drifts.last_before("2026-11-24")
    assert (before.measure.day, before.measure.alert, before.revision) == ("2026-11-20", "red", 2)
    assert drifts.last_before("2026-11-20") == ()


def test_all_or_no_figures_are_written(store):
    with pytest.raises(Exception, match="written_at|NULL|null"):
        store.drifts().add_measures([FIGURE, replace(FIGURE, kind="W8", note=None)], NOW)
    assert store.drifts().measures("2026-01-01", "2026-12-31") == ()


def test_decisions_come_by_their_moment_each_once(store, signer, monkeypatch):
    monkeypatch.setattr("decision_service.store.drift.PAGE", 3)
    moments = [NOW + timedelta(minutes=minute) for minute in (5, 5, 5, 5, 1, 2, 9, 10)]
    for number, moment in enumerate(moments):
        commit(store, signer, draft(decision(application(number), now=moment)))
    pages = list(store.drifts().decisions(NOW + timedelta(minutes=1), NOW + timedelta(minutes=10)))
    assert [one.decided_at for page in pages for one in page] == sorted(moments)[:-1]
    assert len({one.record for page in pages for one in page}) == 7 and max(map(len, pages)) == 3
    assert store.drifts().next_decision(NOW + timedelta(minutes=6)) == NOW + timedelta(minutes=9)
    assert store.drifts().next_decision(NOW + timedelta(minutes=11)) is None


def test_arrears_and_the_approvals_of_enterprises(store, signer, monkeypatch):
    monkeypatch.setattr("decision_service.store.drift.PAGE", 2)
    monkeypatch.setattr("decision_service.store.drift.FIRMS", 2)
    drifts = store.drifts()
    assert drifts.delivered() is None and list(drifts.arrears()) == []
    record = Overdue("R1", "bank-1", NOW.date(), 95)
    firms = [f"9135010000000{number:04}X" for number in range(5)]
    store.write_records("overdues", [(uscc, "R1", record) for uscc in firms], source_time=NOW, now=NOW)
    store.set_feed("overdues", NOW)
    assert list(drifts.arrears()) == [(uscc, [record]) for uscc in firms] and drifts.delivered() == NOW
    for number, uscc in enumerate(firms):
        outcome = Outcome.REFER if number == 3 else Outcome.APPROVE
        made = decision(application(number, uscc=uscc), outcome=outcome, now=NOW + timedelta(hours=number))
        commit(store, signer, draft(made))
    found = list(drifts.approvals(firms, NOW, NOW + timedelta(hours=4)))
    assert [(uscc, moment) for uscc, moment, _ in found] == [
        (firms[number], NOW + timedelta(hours=number)) for number in (0, 1, 2)
    ]
