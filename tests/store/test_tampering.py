"""Every kind of tampering with the stored evidence is found, and never by a traceback."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from store_samples import NOW, RULESET, SOURCES, application, commit, commit_some, decision, draft, verified

from decision_service.audit import merkle
from decision_service.audit.canonical import canonical
from decision_service.audit.release import (
    ACTIVATED,
    INSTALLED,
    OFF,
    ON,
    ROLLED_BACK,
    STARTED,
    STOPPED,
    Act,
    Judged,
    Named,
    activation,
    approval,
    publication,
    row_of,
    shadow,
    switch,
    written_person,
)
from decision_service.audit.signing import Signer
from decision_service.store import Store
from decision_service.vocabulary import Person
from tests.releasing import ANN, BOB

SIZE = 7


@pytest.fixture
def log(sqlite_store, sqlite_url, signer):
    """A log of seven decisions, and raw access to its file."""
    commit_some(sqlite_store, signer, SIZE)
    raw = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    yield raw
    raw.close()


def findings(store: Store, signer: Signer, **options) -> list[str]:
    return [str(finding) for finding in verified(store, signer, **options).findings]


def dump(raw: sqlite3.Connection) -> list[str]:
    return list(raw.iterdump())


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_an_untouched_log_verifies(sqlite_store, log, signer):
    report = verified(sqlite_store, signer)
    assert report.ok, report.findings
    assert (report.leaves, report.decisions, report.erased) == (SIZE, SIZE, 0)
    assert report.root == sqlite_store.log_head()[1]


def test_an_untouched_log_verifies_on_postgresql(postgresql_url, signer):
    store = Store.open(postgresql_url)
    commit_some(store, signer, SIZE)
    assert verified(store, signer).ok
    store.close()


def test_an_empty_log_verifies(sqlite_store, signer):
    assert verified(sqlite_store, signer).ok


def test_a_finding_on_a_ruleset_names_it_and_the_first_decision_by_it(sqlite_store, log, signer):
    log.execute("DELETE FROM rulesets")
    assert findings(sqlite_store, signer) == [
        f"leaf 0 (decision D-bank-1-APP-0): its ruleset, '{RULESET}' version 'v1', is not stored"
    ]


def test_progress_counts_every_leaf(sqlite_store, log, signer):
    seen: list[int] = []
    verified(sqlite_store, signer, progress=seen.append)
    assert sum(seen) == SIZE


TAMPERINGS = {
    "a record emptied": "UPDATE leaves SET record = x'' WHERE leaf_index = 3",
    "a record turned into text": "UPDATE leaves SET record = CAST(record AS TEXT) WHERE leaf_index = 3",
    "a record turned into a number": "UPDATE leaves SET record = 7 WHERE leaf_index = 3",
    "a leaf hash changed": "UPDATE leaves SET leaf_hash = randomblob(32) WHERE leaf_index = 3",
    "a leaf hash turned into text": "UPDATE leaves SET leaf_hash = 'x' WHERE leaf_index = 3",
    "another decision's record": "UPDATE leaves SET record = (SELECT record FROM leaves WHERE leaf_index = 2),"
    " leaf_hash = (SELECT leaf_hash FROM leaves WHERE leaf_index = 2) WHERE leaf_index = 3",
    "a leaf deleted": "DELETE FROM leaves WHERE leaf_index = 3",
    "the last leaf deleted": "DELETE FROM leaves WHERE leaf_index = 6",
    "the first leaf deleted": "DELETE FROM leaves WHERE leaf_index = 0",
    "all leaves deleted": "DELETE FROM leaves",
    "a leaf added": "INSERT INTO leaves SELECT 7, leaf_hash, record FROM leaves WHERE leaf_index = 3",
    "a leaf before the first": "INSERT INTO leaves SELECT -1, leaf_hash, record FROM leaves WHERE leaf_index = 3",
    "two leaves exchanged": "UPDATE leaves SET leaf_index = CASE leaf_index WHEN 2 THEN -3 ELSE -2 END"
    " WHERE leaf_index IN (2, 3); UPDATE leaves SET leaf_index = -leaf_index WHERE leaf_index < 0",
    "a decision deleted": "DELETE FROM decisions WHERE leaf_index = 3",
    "a decision added": "INSERT INTO decisions SELECT 99, 'D-9', client_id, 'K-9', body_digest, application_id, uscc,"
    " product, outcome, decided_at, ruleset_digest, private, body FROM decisions WHERE leaf_index = 3",
    "decision id": "UPDATE decisions SET decision_id = 'D-9' WHERE leaf_index = 3",
    "client": "UPDATE decisions SET client_id = 'bank-2' WHERE leaf_index = 3",
    "application": "UPDATE decisions SET application_id = 'APP-9' WHERE leaf_index = 3",
    "customer": "UPDATE decisions SET uscc = '91350100M000100Y44' WHERE leaf_index = 3",
    "product": "UPDATE decisions SET product = 'invoice_loan' WHERE leaf_index = 3",
    "outcome": "UPDATE decisions SET outcome = 'DECLINE' WHERE leaf_index = 3",
    "outcome turned into a number": "UPDATE decisions SET outcome = x'00ff' WHERE leaf_index = 3",
    "time": "UPDATE decisions SET decided_at = '2026-11-24T02:30:15.123457Z' WHERE leaf_index = 3",
    "time turned into nonsense": "UPDATE decisions SET decided_at = 'yesterday' WHERE leaf_index = 3",
    "ruleset": "UPDATE decisions SET ruleset_digest = 'sha256:cd' WHERE leaf_index = 3",
    "idempotency key": "UPDATE decisions SET idempotency_key = 'another' WHERE leaf_index = 3",
    "idempotency key turned into bytes": "UPDATE decisions SET idempotency_key = CAST(idempotency_key AS BLOB)"
    " WHERE leaf_index = 3",
    "digest of the request": "UPDATE decisions SET body_digest = 'body-2' WHERE leaf_index = 3",
    "an answer emptied": "UPDATE decisions SET body = x'' WHERE leaf_index = 3",
    "an answer turned into a number": "UPDATE decisions SET body = 1.5 WHERE leaf_index = 3",
    "an answer that is deeply nested": f"UPDATE decisions SET body = CAST('{'[' * 100_000}' AS BLOB)"
    " WHERE leaf_index = 3",
    "another decision's answer": "UPDATE decisions SET body = (SELECT body FROM decisions WHERE leaf_index = 2)"
    " WHERE leaf_index = 3",
    "a receipt removed": "UPDATE decisions SET body = CAST(json_remove(CAST(body AS TEXT), '$.receipt') AS BLOB)"
    " WHERE leaf_index = 3",
    "a word added to an answer": "UPDATE decisions SET"
    " body = CAST(json_set(CAST(body AS TEXT), '$.note', 'x') AS BLOB) WHERE leaf_index = 3",
    "an answer without its reasons": "UPDATE decisions SET"
    " body = CAST(json_remove(CAST(body AS TEXT), '$.reasons') AS BLOB) WHERE leaf_index = 3",
    "a card removed from an answer": "UPDATE decisions SET"
    " body = CAST(json_remove(CAST(body AS TEXT), '$.card') AS BLOB) WHERE leaf_index = 3",
    "an answer in another order": "UPDATE decisions SET body = CAST(json_patch('{\"outcome\": 0}', CAST(body AS TEXT))"
    " AS BLOB) WHERE leaf_index = 3",
    "an answer with a space": "UPDATE decisions SET body = CAST(replace(CAST(body AS TEXT), ',\"card\"', ', \"card\"')"
    " AS BLOB) WHERE leaf_index = 3",
    "an answer's time without microseconds": "UPDATE decisions SET"
    " body = CAST(replace(CAST(body AS TEXT), '.123456Z', 'Z') AS BLOB) WHERE leaf_index = 3",
    "an answer that ends with a line": "UPDATE decisions SET body = CAST(CAST(body AS TEXT) || char(10) AS BLOB)"
    " WHERE leaf_index = 3",
    "an answer turned into text": "UPDATE decisions SET body = CAST(body AS TEXT) WHERE leaf_index = 3",
    "values of another decision": "UPDATE decisions SET private = (SELECT private FROM decisions WHERE leaf_index = 2)"
    " WHERE leaf_index = 3",
    "values emptied": "UPDATE decisions SET private = x'' WHERE leaf_index = 3",
    "values turned into text": "UPDATE decisions SET private = 'x' WHERE leaf_index = 3",
    "one value removed": "UPDATE decisions SET"
    " private = CAST(json_remove(CAST(private AS TEXT), '$.values.mask') AS BLOB) WHERE leaf_index = 3",
    "a value added": "UPDATE decisions SET"
    " private = CAST(json_set(CAST(private AS TEXT), '$.values.x', 1) AS BLOB) WHERE leaf_index = 3",
    "the secret removed": "UPDATE decisions SET"
    " private = CAST(json_remove(CAST(private AS TEXT), '$.secret') AS BLOB) WHERE leaf_index = 3",
    "the secret turned into a number": "UPDATE decisions SET"
    " private = CAST(json_set(CAST(private AS TEXT), '$.secret', 7) AS BLOB) WHERE leaf_index = 3",
    "values turned into a list": "UPDATE decisions SET"
    " private = CAST(json_set(CAST(private AS TEXT), '$.values', json('[]')) AS BLOB) WHERE leaf_index = 3",
    "head missing": "DELETE FROM log_head",
    "head too short": "UPDATE log_head SET size = 6",
    "head's size turned into text": "UPDATE log_head SET size = 'seven'",
    "head's root": "UPDATE log_head SET root = randomblob(32)",
    "head's frontier": "UPDATE log_head SET frontier = randomblob(96)",
    "a reservation removed": "DELETE FROM reservations WHERE application_id = 'APP-3'",
    "a reservation's amount": "UPDATE reservations SET amount = amount - 1 WHERE application_id = 'APP-3'",
    "a reservation's amount turned into text": "UPDATE reservations SET amount = 'x' WHERE application_id = 'APP-3'",
    "a reservation ended early": "UPDATE reservations SET expires_at = '2026-11-25T02:30:15.123455Z'"
    " WHERE application_id = 'APP-3'",
    "a reservation prolonged": "UPDATE reservations SET expires_at = '2027-11-25T02:30:15.123456Z'"
    " WHERE application_id = 'APP-3'",
    "a reservation for another customer": "UPDATE reservations SET uscc = '91350100M000100Y44'"
    " WHERE application_id = 'APP-3'",
    "a reservation for another client": "UPDATE reservations SET client_id = 'bank-2' WHERE application_id = 'APP-3'",
    "a reservation forged for another application": "INSERT INTO reservations SELECT client_id, 'APP-99', uscc, amount,"
    " decision_id, expires_at FROM reservations WHERE application_id = 'APP-3'",
    "a reservation forged for a referred application": "INSERT INTO reservations SELECT client_id, 'APP-2', uscc,"
    " amount, 'D-bank-1-APP-2', expires_at FROM reservations WHERE application_id = 'APP-3'",
    "a reservation given to another decision": "UPDATE reservations SET decision_id = 'D-bank-1-APP-2'"
    " WHERE application_id = 'APP-3'",
    "a reservation of no decision": "UPDATE reservations SET decision_id = 'D-9' WHERE application_id = 'APP-3'",
    "a second head": "INSERT INTO log_head SELECT 2, size, frontier, root FROM log_head",
    "a head under another id": "UPDATE log_head SET id = 2",
    "a ruleset deleted": "DELETE FROM rulesets",
    "a ruleset's texts": "UPDATE rulesets SET sources = replace(sources, 'status', 'limit')",
    "a ruleset's texts emptied": "UPDATE rulesets SET sources = ''",
    "a ruleset's texts turned into numbers": "UPDATE rulesets SET sources = '{\"cards.yaml\": 7}'",
    "a ruleset's texts turned into bytes": "UPDATE rulesets SET sources = x'ff00'",
    "a ruleset's texts deeply nested": f"UPDATE rulesets SET sources = '{'[' * 100_000}'",
    "a ruleset's version": "UPDATE rulesets SET version = 'v2'",
    "a ruleset's digest": "UPDATE rulesets SET digest = 'sha256:cd'",
    "a forged ruleset": "INSERT INTO rulesets SELECT 'sha256:cd', version, '{}', saved_at FROM rulesets",
    "a table dropped": "DROP TABLE reservations",
}


@pytest.mark.parametrize("statements", TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampering_is_found(sqlite_store, log, signer, statements):
    before = dump(log)
    log.executescript(statements)
    assert dump(log) != before
    assert findings(sqlite_store, signer)


@pytest.mark.parametrize(
    ("table", "column"),
    [("leaves", "record"), ("leaves", "leaf_hash"), ("decisions", "private"), ("decisions", "body")],
)
def test_any_single_flipped_bit_of_any_byte_is_found(sqlite_store, log, signer, table, column):
    whole = log.execute(f"SELECT {column} FROM {table} WHERE leaf_index = 3").fetchone()[0]
    for at in range(0, len(whole), 7 if len(whole) > 100 else 1):
        log.execute(f"UPDATE {table} SET {column} = ? WHERE leaf_index = 3", (flipped(whole, at),))
        assert findings(sqlite_store, signer), f"byte {at}: {whole[max(0, at - 20) : at + 20]!r}"
    log.execute(f"UPDATE {table} SET {column} = ? WHERE leaf_index = 3", (whole,))
    assert not findings(sqlite_store, signer)


@pytest.fixture
def noted(sqlite_store, log, signer):
    """After seven decisions: publication, approval, activation, decision, erasure, switches, activation, shadow."""
    cases, report = sqlite_store.attach(b"{}"), sqlite_store.attach(b"report")
    named, ann, bob = Named(RULESET, "v1"), Act(ANN, NOW, "why"), Act(BOB, NOW)
    note(sqlite_store, signer, publication(named, ann, Judged((("check", "fine"),), cases, report)))
    note(sqlite_store, signer, approval(named, bob))
    note(sqlite_store, signer, activation(named, ann, how=ACTIVATED))
    commit(sqlite_store, signer, draft(decision(application(8))))
    sqlite_store.erase_private("D-bank-1-APP-1", NOW, signer.receipt)
    note(sqlite_store, signer, switch("product:working_capital", ann, state=OFF))
    note(sqlite_store, signer, switch("product:working_capital", bob, state=ON))
    note(sqlite_store, signer, activation(named, ann, how=ACTIVATED, effective_at=NOW + timedelta(days=1)))
    note(sqlite_store, signer, shadow(named, ann, state=STARTED))
    return log


def note(store: Store, signer: Signer, content: dict[str, Any]) -> None:
    """An act on the rules, whether it may be done or not."""
    store.append_release(lambda history: content, signer.receipt)


LATER = "'2027-01-01T00:00:00.000000Z'"
KINDS = {"publication": 7, "approval": 8, "activation": 9, "switch": 12, "shadow": 15}
COLUMNS = {
    "kind": "'switch'",
    "how": "'rolled back'",
    "subject": "'sha256:cd'",
    "at": LATER,
    "effective_at": LATER,
    "signature": "'x'",
}
OF_ANOTHER = "(SELECT signature FROM release_events WHERE leaf_index = 14)"
COPIED = "kind, how, subject, at, effective_at, signature"
ACTS = {
    f"a {kind}'s {column}": f"UPDATE release_events SET {column} = {value} WHERE leaf_index = {index}"
    for kind, index in KINDS.items()
    for column, value in COLUMNS.items()
    if (kind, column) != ("switch", "kind")
} | {
    f"a {kind}'s {what}": text.format(index=index)
    for kind, index in KINDS.items()
    for what, text in {
        "row deleted": "DELETE FROM release_events WHERE leaf_index = {index}",
        "leaf deleted": "DELETE FROM leaves WHERE leaf_index = {index}",
        "moment turned into bytes": "UPDATE release_events SET at = CAST(at AS BLOB) WHERE leaf_index = {index}",
        "signature of another": "UPDATE release_events SET signature = " + OF_ANOTHER + " WHERE leaf_index = {index}",
        "row without a leaf": f"INSERT INTO release_events SELECT 99, {COPIED} FROM release_events"
        " WHERE leaf_index = {index}",
        "row at a decision's leaf": f"INSERT INTO release_events SELECT 3, {COPIED} FROM release_events"
        " WHERE leaf_index = {index}",
        "record turned into another's": "UPDATE leaves SET record = (SELECT record FROM leaves WHERE leaf_index = 14)"
        " WHERE leaf_index = {index}",
    }.items()
}
NOTED = {
    **ACTS,
    "all acts on the rules deleted": "DELETE FROM release_events",
    "acts on the rules dropped": "DROP TABLE release_events",
    "the last act with its leaf deleted": "DELETE FROM release_events WHERE leaf_index = 15;"
    " DELETE FROM leaves WHERE leaf_index = 15",
    "the cases of a publication deleted": "DELETE FROM attachments WHERE content = CAST('{}' AS BLOB)",
    "the report of a publication deleted": "DELETE FROM attachments WHERE content = CAST('report' AS BLOB)",
    "a report changed": "UPDATE attachments SET content = x'00' WHERE content = CAST('report' AS BLOB)",
    "a report turned into text": "UPDATE attachments SET content = 'report' WHERE content = CAST('report' AS BLOB)",
    "a forged attachment": "INSERT INTO attachments VALUES ('sha256:00', x'00')",
    "attachments dropped": "DROP TABLE attachments",
    "values gone without an erasure": "UPDATE decisions SET private = NULL WHERE leaf_index = 3",
    "an erasure's row deleted": "DELETE FROM erasures",
    "an erasure of another decision": "UPDATE erasures SET decision_id = 'D-bank-1-APP-3'",
    "an erasure moved to where values were removed": "UPDATE erasures SET decision_id = 'D-bank-1-APP-3';"
    " UPDATE decisions SET private = NULL WHERE leaf_index = 3",
    "an erasure's moment": f"UPDATE erasures SET erased_at = {LATER}",
    "an erasure's signature": "UPDATE erasures SET signature = 7",
    "an erasure without a leaf": f"INSERT INTO erasures SELECT 99, 'D-bank-1-APP-3', {LATER}, signature FROM erasures;"
    " UPDATE decisions SET private = NULL WHERE leaf_index = 3",
    "values back after an erasure": "UPDATE decisions SET"
    " private = (SELECT private FROM decisions WHERE leaf_index = 2) WHERE leaf_index = 1",
    "an activation's record turned into an erasure's": "UPDATE leaves SET"
    " record = (SELECT record FROM leaves WHERE leaf_index = 11) WHERE leaf_index = 9",
    "erasures dropped": "DROP TABLE erasures",
}


@pytest.mark.parametrize("statements", NOTED.values(), ids=NOTED)
def test_tampering_with_acts_on_the_rules_and_erasures_is_found(sqlite_store, noted, signer, statements):
    assert not findings(sqlite_store, signer)
    noted.executescript(statements)
    assert findings(sqlite_store, signer)


@pytest.mark.parametrize("index", [*KINDS.values(), 11], ids=[*KINDS, "erasure"])
def test_a_note_rewritten_with_its_whole_tree_is_found_by_its_signature(sqlite_store, noted, signer, index):
    """Whoever rewrites row, leaf and tree together still has no key."""
    record = noted.execute("SELECT record FROM leaves WHERE leaf_index = ?", (index,)).fetchone()[0]
    forged = record.replace(b"2026-11-24", b"2025-11-24")
    assert forged != record
    hashed = merkle.leaf_hash(forged)
    noted.execute("UPDATE leaves SET record = ?, leaf_hash = ? WHERE leaf_index = ?", (forged, hashed, index))
    for table, column in (("release_events", "at"), ("release_events", "effective_at"), ("erasures", "erased_at")):
        noted.execute(f"UPDATE {table} SET {column} = replace({column}, '2026', '2025') WHERE leaf_index = ?", (index,))
    frontier = merkle.frontier_of(sqlite_store.leaf_hashes())
    noted.execute("UPDATE log_head SET frontier = ?, root = ?", (frontier.to_bytes(), frontier.root()))
    found = findings(sqlite_store, signer)
    assert len(found) == 1 and "signature does not verify" in found[0]


FIRST, SECOND = Named(RULESET, "v1"), Named("sha256:00", "v2")
PUBLISHED = publication(FIRST, Act(ANN, NOW), Judged())
APPROVED = approval(FIRST, Act(BOB, NOW))
BY_ANN, BY_BOB = switch("all", Act(ANN, NOW), state=OFF), switch("all", Act(BOB, NOW), state=ON)
BEGUN, ENDED = (shadow(SECOND, Act(ANN, NOW), state=state) for state in (STARTED, STOPPED))
NOBODYS = {**APPROVED, "person": None}
ROOT, ALICE, BERT = (Person("os_user", number, number) for number in ("0", "1001", "1002"))
OF_ROOT, OF_ALICE = Person("client", "c", "C", (ROOT, ALICE)), Person("client", "d", "D", (ALICE,))
IN_ORDER = {
    "published by a user, approved by a key of another's making": [
        publication(FIRST, Act(BERT, NOW), Judged()), approval(FIRST, Act(OF_ROOT, NOW))
    ],
    "two keys that one user made": [
        publication(FIRST, Act(OF_ROOT, NOW), Judged()), approval(FIRST, Act(OF_ALICE, NOW))
    ],
    "published, approved, activated": [PUBLISHED, APPROVED, activation(FIRST, Act(ANN, NOW), how=ACTIVATED)],
    "installed": [activation(FIRST, Act(ANN, NOW), how=INSTALLED)],
    "switched off and on": [BY_ANN, BY_BOB],
    "a shadow started, stopped and started by one person": [shadow(FIRST, Act(ANN, NOW), state=STARTED)]
    + [shadow(FIRST, Act(ANN, NOW), state=state) for state in (STOPPED, STARTED)],
    "switched off twice, on by who was first": [BY_ANN, {**BY_BOB, "state": "off"}, {**BY_ANN, "state": "on"}],
}
OUT_OF_ORDER = {
    "approved with a key that the publisher made": [
        publication(FIRST, Act(ROOT, NOW), Judged()), approval(FIRST, Act(OF_ROOT, NOW))
    ],
    "published with a key that the approver made, as root": [
        publication(FIRST, Act(OF_ROOT, NOW), Judged()), approval(FIRST, Act(ALICE, NOW))
    ],
    "switched on with the key of who switched it off": [
        switch("all", Act(ALICE, NOW), state=OFF), switch("all", Act(OF_ALICE, NOW), state=ON)
    ],
    "a person who is also a number": [{**BY_ANN, "person": {"kind": "client", "id": "x", "name": "x", "also": [7]}}],
    "a person who is also nobody": [{**BY_ANN, "person": {"kind": "client", "id": "x", "name": "x", "also": None}}],
    "a person who is also somebody whose id is a number": [
        {**BY_ANN, "person": {**written_person(ANN), "also": [{"kind": "os_user", "id": 7, "name": "x"}]}}
    ],
    "approved by its publisher": [PUBLISHED, approval(FIRST, Act(ANN, NOW))],
    "approved by nobody": [PUBLISHED, NOBODYS],
    "approved before it was published": [APPROVED],
    "published twice": [PUBLISHED, PUBLISHED],
    "activated without approval": [PUBLISHED, activation(FIRST, Act(ANN, NOW), how=ACTIVATED)],
    "activated by the approval of another": [PUBLISHED, APPROVED, activation(SECOND, Act(ANN, NOW), how=ACTIVATED)],
    "installed beside another": [activation(FIRST, Act(ANN, NOW), how=INSTALLED)] * 2,
    "rolled back to what was never active": [activation(FIRST, Act(ANN, NOW), how=ROLLED_BACK)],
    "switched on by who switched it off": [BY_ANN, {**BY_ANN, "state": "on"}],
    "switched on while it was on": [BY_BOB],
    "a shadow started twice": [BEGUN, BEGUN],
    "a shadow stopped that did not run": [ENDED],
    "a shadow stopped twice": [BEGUN, ENDED, ENDED],
    "a shadow started by nobody": [{**BEGUN, "person": None}],
    "a shadow with a state that is a number": [{**BEGUN, "state": 7}],
    "a person without a name": [{**BY_ANN, "person": {"kind": "client", "id": "x"}}],
    "a person that is a list": [{**BY_ANN, "person": [1]}],
    "a subject that is a list": [{**PUBLISHED, "ruleset": {"digest": [1], "version": "v1"}}],
    "a ruleset that is a text": [{**PUBLISHED, "ruleset": "v1"}],
    "an attachment that is a number": [{**PUBLISHED, "report": 7}],
}


@pytest.mark.parametrize("contents", IN_ORDER.values(), ids=IN_ORDER)
def test_acts_by_two_people_in_their_order_verify(sqlite_store, signer, contents):
    sqlite_store.save_ruleset(RULESET, "v1", SOURCES, NOW)
    for content in contents:
        note(sqlite_store, signer, content)
    assert not findings(sqlite_store, signer)


@pytest.mark.parametrize("contents", OUT_OF_ORDER.values(), ids=OUT_OF_ORDER)
def test_an_act_that_lacks_its_second_person_or_its_order_is_found_even_if_it_is_signed(
    sqlite_store, signer, sqlite_url, contents
):
    sqlite_store.save_ruleset(RULESET, "v1", SOURCES, NOW)
    sqlite_store.save_ruleset("sha256:00", "v2", {}, NOW)
    before = len(findings(sqlite_store, signer))
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as raw:
        for content in contents:
            force(raw, sqlite_store, signer, content)
    assert len(findings(sqlite_store, signer)) > before


def force(raw: sqlite3.Connection, store: Store, signer: Signer, content: dict[str, Any]) -> None:
    """A leaf as a program would write it that has the key and minds no rule, with a row as like it as can be."""
    record = canonical(content)
    index, hashed = store.log_head()[0], merkle.leaf_hash(record)
    subject = str(content.get("scope") or content["ruleset"])
    if isinstance(content.get("ruleset"), dict):
        subject = str(content["ruleset"]["digest"])
    row = row_of(content) if content.get("ruleset") != "v1" else row_of({**content, "ruleset": {"digest": "v1"}})
    signature = signer.receipt(subject, index, hashed)["signature"]
    frontier = merkle.frontier_of([*store.leaf_hashes(), hashed])
    raw.execute("INSERT INTO leaves VALUES (?, ?, ?)", (index, hashed, record))
    values = (index, row["kind"], row["how"], subject, row["at"], row["effective_at"], signature)
    raw.execute("INSERT INTO release_events VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    head = (frontier.size, frontier.to_bytes(), frontier.root())
    raw.execute("UPDATE log_head SET size = ?, frontier = ?, root = ?", head)


def test_only_what_has_expired_may_be_gone(sqlite_store, log, signer):
    log.execute("DELETE FROM reservations")
    ends = NOW + timedelta(hours=24)
    before = verified(sqlite_store, signer, now=ends - timedelta(microseconds=1)).findings
    assert {one.what for one in before} == {"its reservation is missing"} and len(before) == 5
    assert verified(sqlite_store, signer, now=ends).ok


def test_an_expired_reservation_that_a_new_approval_replaced_verifies(sqlite_store, signer):
    later = NOW + timedelta(hours=24)
    commit(sqlite_store, signer, draft(decision(application(1))))
    commit(sqlite_store, signer, draft(decision(application(1), decision_id="D-2", now=later)))
    assert verified(sqlite_store, signer, now=later).ok


@pytest.mark.slow
@pytest.mark.parametrize("column", ["private", "body"])
def test_any_other_value_of_any_byte_is_found(sqlite_store, log, signer, column):
    whole = log.execute(f"SELECT {column} FROM decisions WHERE leaf_index = 0").fetchone()[0]
    log.execute("DELETE FROM leaves WHERE leaf_index > 0")
    log.execute("DELETE FROM decisions WHERE leaf_index > 0")
    for at in range(len(whole)):
        for change in (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40):
            changed = whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :]
            log.execute(f"UPDATE decisions SET {column} = ? WHERE leaf_index = 0", (changed,))
            assert any("leaf 0" in one for one in findings(sqlite_store, signer)), (at, changed[at - 20 : at + 20])


def test_a_whole_forged_log_without_the_key_is_found(sqlite_store, log, signer):
    """Whoever can write the tables but has not the key cannot sign receipts."""
    for table in ("reservations", "decisions", "leaves"):
        log.execute(f"DELETE FROM {table}")
    log.execute("UPDATE log_head SET size = 0, frontier = x'', root = ?", (merkle.EMPTY_ROOT,))
    forger = Signer(Ed25519PrivateKey.generate())
    commit_some(sqlite_store, forger, SIZE)
    assert verified(sqlite_store, forger).ok
    assert len(findings(sqlite_store, signer)) == SIZE


def test_a_log_cut_at_its_end_is_found_with_a_kept_checkpoint(sqlite_store, log, signer):
    kept = signer.public.checkpoint(signer.checkpoint(*sqlite_store.log_head()))
    hashes = list(sqlite_store.leaf_hashes())[: SIZE - 1]
    for table in ("reservations", "decisions"):
        log.execute(f"DELETE FROM {table} WHERE decision_id = 'D-bank-1-APP-6'")
    log.execute("DELETE FROM leaves WHERE leaf_index = 6")
    frontier = merkle.frontier_of(hashes)
    log.execute("UPDATE log_head SET size = 6, frontier = ?, root = ?", (frontier.to_bytes(), frontier.root()))
    assert not findings(sqlite_store, signer)
    assert "cut off" in findings(sqlite_store, signer, checkpoints=[kept])[0]
    commit(sqlite_store, signer, draft(decision(application(60), now=NOW)))
    assert "not those of the checkpoint" in findings(sqlite_store, signer, checkpoints=[kept])[0]


def test_earlier_checkpoints_of_a_growing_log_agree(sqlite_store, signer):
    kept = [signer.public.checkpoint(signer.checkpoint(*sqlite_store.log_head()))]
    for number in range(5):
        commit(sqlite_store, signer, draft(decision(application(number))))
        kept.append(signer.public.checkpoint(signer.checkpoint(*sqlite_store.log_head())))
    assert not findings(sqlite_store, signer, checkpoints=kept)
