"""Rulesets by digest, and the active one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text
from store_samples import NOW, RULESET
from store_samples import SOURCES as SOURCES_OF_DECISIONS
from store_samples import application, commit, decision, draft, verified

from decision_service.errors import NotFound, StoreError

SOURCES = {"cards.yaml": "stage: status\n# 红牌\n", "products/x.yaml": "\ufeffname: x\r\n"}


def test_texts_are_kept_to_the_character(store):
    store.save_ruleset("sha256:1", "v1", SOURCES, NOW)
    assert store.ruleset_sources("sha256:1") == SOURCES
    assert store.ruleset_sources("sha256:2") is None
    assert [(one.digest, one.version, one.saved_at) for one in store.list_rulesets()] == [("sha256:1", "v1", NOW)]


def test_saving_the_same_again_changes_nothing(store):
    store.save_ruleset("sha256:1", "v1", SOURCES, NOW)
    store.save_ruleset("sha256:1", "v1", SOURCES, NOW + timedelta(days=1))
    assert store.list_rulesets()[0].saved_at == NOW


def test_other_texts_under_a_known_digest_are_refused(store):
    store.save_ruleset("sha256:1", "v1", SOURCES, NOW)
    with pytest.raises(StoreError, match="other texts"):
        store.save_ruleset("sha256:1", "v1", {}, NOW)


def test_nothing_is_active_at_first(store):
    assert store.active_ruleset() is None


def test_the_last_one_activated_is_active_also_within_one_moment(store, signer):
    for digest in ("sha256:1", "sha256:2"):
        store.save_ruleset(digest, "v", SOURCES, NOW)
    for digest in ("sha256:2", "sha256:1", "sha256:2"):
        store.activate(digest, NOW, signer.receipt)
        assert store.active_ruleset() == digest


def test_the_list_tells_when_each_was_last_activated_if_ever(store, signer):
    for number in (1, 2, 3):
        store.save_ruleset(f"sha256:{number}", "v", SOURCES, NOW + timedelta(hours=number))
    for hours, number in ((4, 1), (5, 2), (6, 1)):
        store.activate(f"sha256:{number}", NOW + timedelta(hours=hours), signer.receipt)
    activated = [one.activated_at for one in store.list_rulesets()]
    assert activated == [NOW + timedelta(hours=6), NOW + timedelta(hours=5), None]


def test_an_activation_is_a_signed_leaf_of_the_log(store, signer):
    store.save_ruleset(RULESET, "v1", SOURCES_OF_DECISIONS, NOW)
    store.activate(RULESET, NOW, signer.receipt)
    commit(store, signer, draft(decision(application(1))))
    store.activate(RULESET, NOW + timedelta(days=1), signer.receipt)
    report = verified(store, signer)
    assert report.ok, report.findings
    assert (report.leaves, report.decisions, report.activations) == (3, 1, 2)
    assert [one.leaf_index for one in store.each_decision()] == [1]


def test_only_a_stored_ruleset_becomes_active(store, signer):
    with pytest.raises(NotFound):
        store.activate("sha256:9", NOW, signer.receipt)
    assert store.active_ruleset() is None


def test_damaged_texts_are_an_error(sqlite_store):
    sqlite_store.save_ruleset("sha256:1", "v1", SOURCES, NOW)
    with sqlite_store._database.write() as connection:
        connection.execute(text("UPDATE rulesets SET sources = '{'"))
    with pytest.raises(StoreError, match="damaged"):
        sqlite_store.ruleset_sources("sha256:1")
