"""Rulesets by digest, and what is attached to them."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import text
from store_samples import NOW

from decision_service.errors import StoreError

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


def test_attached_bytes_are_kept_under_their_own_digest_once(store):
    digest = store.attach("报告".encode())
    assert store.attach("报告".encode()) == digest == "sha256:" + sha256("报告".encode()).hexdigest()
    assert store.attachment(digest) == "报告".encode()
    assert store.attachment("sha256:none") is None


def test_an_attachment_that_was_changed_is_never_given_out(sqlite_store):
    digest = sqlite_store.attach(b"report")
    with sqlite_store._database.write() as connection:
        connection.execute(text("UPDATE attachments SET content = x'00'"))
    with pytest.raises(StoreError, match="has been changed"):
        sqlite_store.attachment(digest)


def test_damaged_texts_are_an_error(sqlite_store):
    sqlite_store.save_ruleset("sha256:1", "v1", SOURCES, NOW)
    with sqlite_store._database.write() as connection:
        connection.execute(text("UPDATE rulesets SET sources = '{'"))
    with pytest.raises(StoreError, match="damaged"):
        sqlite_store.ruleset_sources("sha256:1")
