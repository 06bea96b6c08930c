"""Records of acts on a single thing: the life of an application, objections, notices; each a signed leaf of its own."""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from decision_service.audit.canonical import canonical, moment
from decision_service.audit.record import SECRET_SIZE, Record, commitments

LIFE, OBJECTION, NOTICE = ACT_KINDS = ("life", "objection", "notice")
"""Kinds of such leaves, as the ``type`` of their records."""
SLA_NEAR, SLA_BREACHED, CARD_CHANGED, MODEL_SWITCHED, OBJECTION_NEAR, OBJECTION_BREACHED, LATER_REPAIRED = NOTICES = (
    "sla.near",
    "sla.breached",
    "card.changed",
    "model.switched",
    "objection.near",
    "objection.breached",
    "decision.later_repaired",
)
"""What the platform notices by itself."""
FORMAT = 1
TEXTS = ("type", "how", "subject", "at")
OPTIONAL_TEXTS = ("client_id", "once")

Content = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewAct:
    """What is to be written: ``how`` is the verb, ``by`` the client who acts (``None``: the platform itself).

    ``client_id`` is the client whose thing it concerns. ``details`` stand in the leaf; of ``private`` only salted
    commitments do, so that they can be erased. No two acts of a kind have the same ``once``.
    """

    how: str
    at: datetime
    by: tuple[str, str] | None = None
    client_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict)
    once: str | None = None


def act_record(
    kind: str, subject: str, act: NewAct, *, entropy: Callable[[int], bytes] = secrets.token_bytes
) -> tuple[Content, Record]:
    """The record of an act on a subject, as content and as bytes; ``private`` is empty when there is nothing private.

    Raises ``AuditError`` for what cannot be written as evidence.
    """
    secret = entropy(SECRET_SIZE) if act.private else b""
    content: Content = {
        "type": kind,
        "format": FORMAT,
        "how": act.how,
        "subject": subject,
        "at": moment(act.at),
        "by": None if act.by is None else {"kind": act.by[0], "id": act.by[1]},
        "client_id": act.client_id,
        "once": act.once,
        "details": dict(act.details),
        "commitments": commitments(secret, act.private) if act.private else {},
    }
    opened = {"secret": b64encode(secret).decode(), "values": dict(act.private)}
    return content, Record(canonical(content), canonical(opened) if act.private else b"")


def act_row(content: Mapping[str, Any]) -> dict[str, Any]:
    """What an act's row must hold beside its place and signature. Raises ``KeyError`` for what is no such record."""
    return {
        "kind": content["type"],
        "how": content["how"],
        "subject": content["subject"],
        "client_id": content["client_id"],
        "at": content["at"],
        "once": content["once"],
    }


def is_whole_act(content: Mapping[str, Any]) -> bool:
    """Whether a record holds what it must, so that it can be judged."""
    texts = all(isinstance(content.get(name), str) for name in TEXTS)
    optional = all(isinstance(content.get(name, 0), str | None) for name in OPTIONAL_TEXTS)
    by = content.get("by", 0)
    known = by is None or isinstance(by, dict) and all(isinstance(by.get(name), str) for name in ("kind", "id"))
    maps = all(isinstance(content.get(name), dict) for name in ("details", "commitments"))
    return texts and optional and known and maps and content["type"] in ACT_KINDS
