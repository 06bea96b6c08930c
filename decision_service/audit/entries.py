"""Everything about one leaf of the log that its own row can show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

from decision_service.audit.act import ACT_KINDS, act_row, is_whole_act
from decision_service.audit.answer import Render, answer_problems
from decision_service.audit.canonical import moment, parsed
from decision_service.audit.merkle import leaf_hash
from decision_service.audit.record import commitment, key_hash, salts, secret_of
from decision_service.audit.release import KINDS, is_whole, row_of
from decision_service.audit.signing import LogKey
from decision_service.errors import AuditError
from decision_service.vocabulary import RESERVATION

Row = Mapping[str, Any]
OWN_COLUMN = {"decision": "decision_id", "release": "kind", "erasure": "erases", "act": "act_kind"}
"""Families of leaves, and the column that is there exactly when the leaf has a row of this family."""
FAMILY = {
    "decision": "decision",
    "erasure": "erasure",
    **dict.fromkeys(KINDS, "release"),
    **dict.fromkeys(ACT_KINDS, "act"),
}
"""The family of each kind of record."""


class Things(Protocol):
    """What acts are about, as it lies in the tables."""

    def decision_record(self, decision_id: str) -> Any:
        """The record of a decision's leaf; ``None`` when there is no such decision."""

    def lives(self) -> Iterable[Row]:
        """What the store says of applications on which there was any act."""

    def objections(self) -> Iterable[Row]:
        """What the store says of objections."""


class ActOrder(Protocol):
    """Sees the acts of one kind one after the other, in the order of the log."""

    def problems(self, content: Mapping[str, Any], things: Things) -> Iterable[str]:
        """What is wrong with the next record."""

    def at_the_end(self, things: Things) -> Iterable[str]:
        """What the store says otherwise than the acts."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What verification takes from outside this room.

    ``clock`` gives the present moment, aware; ``ruleset_digest`` the digest of a ruleset's texts by path; ``orders``
    by kind of act what sees whether acts were allowed in their order.
    """

    render: Render
    clock: Callable[[], datetime]
    ruleset_digest: Callable[[Mapping[str, str]], str]
    orders: Mapping[str, Callable[[], ActOrder]] = field(default_factory=dict)


def entry_problems(row: Row, record: bytes, key: LogKey, outside: Outside) -> Iterator[str]:
    """What of one leaf and the rows that belong to it does not agree."""
    try:
        content = content_of(record)
        family = FAMILY[content["type"]]
        for other, column in OWN_COLUMN.items():
            if other != family and row[column] is not None:
                yield f"{other} {row[column]!r} stands at the leaf of another kind, {content['type']!r}"
        leaf = leaf_hash(record)
        if family == "decision":
            yield from _decision_problems(row, content, key=key, leaf=leaf, outside=outside)
        elif family == "release":
            yield from _release_problems(row, content, key=key, leaf=leaf)
        elif family == "act":
            yield from _act_problems(row, content, key=key, leaf=leaf)
        else:
            yield from _erasure_problems(row, content, key=key, leaf=leaf)
    except AuditError as error:
        yield f"the record cannot be read: {error}"
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        yield f"the record lacks or mistypes a part: {error!r}"


@lru_cache(maxsize=1)
def content_of(record: bytes) -> dict[str, Any]:
    """What a leaf's record says; the last one is kept. Raises ``AuditError``: of no kind that is known."""
    content = parsed(record)
    if not isinstance(content, dict) or content.get("type") not in FAMILY:
        raise AuditError("it is not the record of a decision, an erasure or an act")
    return content


def ruleset_of(record: bytes) -> tuple[str, str] | None:
    """Digest and version of the ruleset that a record names; ``None`` when it cannot be read."""
    try:
        named = content_of(record)["ruleset"]
        return str(named["digest"]), str(named["version"])
    except (AuditError, KeyError, TypeError):
        return None


def release_of(record: bytes) -> dict[str, Any] | None:
    """What a record says if it is that of an act on the rules and can be judged; else ``None``."""
    try:
        content = content_of(record)
        return content if FAMILY[content["type"]] == "release" and is_whole(content) else None
    except AuditError:
        return None  # which ``entry_problems`` tells


def _decision_problems(
    row: Row, content: dict[str, Any], *, key: LogKey, leaf: bytes, outside: Outside
) -> Iterator[str]:
    yield from _column_problems(row, content)
    yield from _private_problems(row["private"], content["commitments"], erased=row["erased_by"] is not None)
    yield from _reservation_problems(row, content, outside.clock)
    yield from answer_problems(
        row["body"], content, leaf_index=row["leaf_index"], leaf=leaf, key=key, render=outside.render
    )


def _release_problems(row: Row, content: dict[str, Any], *, key: LogKey, leaf: bytes) -> Iterator[str]:
    """The row of an act on the rules against its record, and the signature over its leaf."""
    if not is_whole(content):
        yield "the record lacks or mistypes a part"
        return
    expected = row_of(content)
    yield from _differing(row, expected)
    yield from _signature_problems(row, expected["subject"], row["release_signature"], key=key, leaf=leaf)


def _act_problems(row: Row, content: dict[str, Any], *, key: LogKey, leaf: bytes) -> Iterator[str]:
    """The row of an act on a single thing against its record, its private values, and the signature over its leaf."""
    if not is_whole_act(content):
        yield "the record lacks or mistypes a part"
        return
    yield from _differing(row, {f"act_{name}": value for name, value in act_row(content).items()})
    if content["commitments"]:
        erased = row["act_erased_by"] is not None
        yield from _private_problems(row["act_private"], content["commitments"], erased=erased)
    elif row["act_private"] is not None:
        yield "it has private values, of which its record does not tell"
    yield from _signature_problems(row, content["subject"], row["act_signature"], key=key, leaf=leaf)


def act_of(record: bytes) -> dict[str, Any] | None:
    """What a record says if it is that of an act on a single thing and can be judged; else ``None``."""
    try:
        content = content_of(record)
        return content if FAMILY[content["type"]] == "act" and is_whole_act(content) else None
    except AuditError:
        return None  # which ``entry_problems`` tells


def _erasure_problems(row: Row, content: dict[str, Any], *, key: LogKey, leaf: bytes) -> Iterator[str]:
    """The row of an erasure against its record, and the signature over its leaf."""
    yield from _differing(row, {"erases": content["decision_id"], "erased_at": content["erased_at"]})
    yield from _signature_problems(row, content["decision_id"], row["erasure_signature"], key=key, leaf=leaf)


def _differing(row: Row, expected: Mapping[str, Any]) -> Iterator[str]:
    for name, value in expected.items():
        if row[name] != value or type(row[name]) is not type(value):
            yield f"column {name} holds {row[name]!r}, the record says {value!r}"


def _signature_problems(row: Row, subject: str, signature: Any, *, key: LogKey, leaf: bytes) -> Iterator[str]:
    receipt = {"leaf_index": row["leaf_index"], "leaf_hash": leaf.hex(), "signature": signature}
    if not key.receipt_is_valid(subject, receipt):
        yield "its signature does not verify"


def _column_problems(row: Row, content: dict[str, Any]) -> Iterator[str]:
    application = content["application"]
    expected = {
        "decision_id": content["decision_id"],
        "client_id": content["client_id"],
        "application_id": application["application_id"],
        "uscc": application["uscc"],
        "product": application["product"],
        "outcome": content["outcome"],
        "decided_at": content["decided_at"],
        "ruleset_digest": content["ruleset"]["digest"],
        "body_digest": content["request"]["body_digest"],
    }
    yield from _differing(row, expected)
    key = row["idempotency_key"]
    if not isinstance(key, str) or key_hash(key) != content["request"]["key_hash"]:
        yield f"column idempotency_key holds {key!r}, which is not the key of the record"


def _reservation_problems(row: Row, content: dict[str, Any], clock: Callable[[], datetime]) -> Iterator[str]:
    """An approval reserves its amount for 24 hours; nothing else reserves.

    ``row`` has the reservation of the same client, application and customer, which names its own decision: after the
    24 hours, or once its life has gone on, another approval may have taken its place.
    """
    decided_at = datetime.fromisoformat(content["decided_at"])
    mine = row["reserved_by"] == content["decision_id"]
    if content["outcome"] != "APPROVE":
        if mine:
            yield "a reservation stands for it, which is not an approval"
    elif mine:
        expected = int(Decimal(content["approved_amount"]).scaleb(2)), moment(decided_at + RESERVATION)
        found = row["reserved"], row["reserved_until"]
        if found != expected or type(found[0]) is not int:
            yield f"its reservation of {found[0]!r} fen until {found[1]!r} should be {expected[0]} until {expected[1]}"
    elif row["lived"] is None and decided_at + RESERVATION > clock():
        yield "its reservation is missing"


def _private_problems(private: Any, commitments: Mapping[str, Any], *, erased: bool) -> Iterator[str]:
    """Each value against its commitment; only an erasure that the log tells of may have removed them."""
    if (private is None) != erased:
        yield "its values are gone, but no erasure is on record" if private is None else "it was erased, yet has values"
    if private is None:
        return
    if not isinstance(private, bytes):
        yield "the committed values are not bytes"
        return
    try:
        opened = parsed(private)
        values, secret = opened["values"], secret_of(opened)
    except (AuditError, ValueError, TypeError, KeyError, AttributeError) as error:
        yield f"the committed values cannot be read: {error!r}"
        return
    if opened.keys() != {"secret", "values"} or not isinstance(values, dict) or values.keys() != commitments.keys():
        yield "the committed values are not those of the record"
        return
    for name, salt in salts(secret, values).items():
        if commitment(salt, name, values[name]) != commitments[name]:
            yield f"the value of {name} is not the one committed to"
