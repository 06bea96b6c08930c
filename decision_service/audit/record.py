"""The canonical record of a decision: what the log's leaf covers, and the erasable values behind its commitments."""

from __future__ import annotations

import secrets
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256, shake_256
from struct import iter_unpack
from typing import Any, Protocol

import orjson

from decision_service.audit.canonical import LARGEST_INTEGER, moment, money, parsed
from decision_service.errors import AuditError
from decision_service.vocabulary import CreditApplication, Decision, Reason, ScoreReason, Scores, SeenValue

FORMAT = 1
SALT_SIZE = 16
SECRET_SIZE = 32
SHANGHAI = timezone(timedelta(hours=8))  # no daylight saving since 1991; the record needs the date only
FACT_PREFIX = "facts."
RECORDS = "records"
"""The commitment to which records spoke: their keys, and the digests of what they said."""


@dataclass(frozen=True, slots=True)
class Record:
    """``body`` is the leaf's content; ``private`` holds values and their secret and may be erased; canonical JSON."""

    body: bytes
    private: bytes


class KnownFacts(Protocol):
    """A table of facts that can tell the known ones."""

    def known(self) -> Mapping[str, int | str]:
        """Exact values by name."""


class ModelInputs(Protocol):
    """What the models read of an enterprise."""

    @property
    def series(self) -> Sequence[Sequence[float]]:
        """Months by series, oldest first; NaN where not reported."""

    @property
    def mask(self) -> Sequence[bool]:
        """Which months exist."""

    def features_for(self, product: str) -> Mapping[str, Any]:
        """Feature values by name; NaN where missing."""


class StageResult(Protocol):
    """Ids of the rules that matched and of those that are unknown."""

    @property
    def matched(self) -> tuple[str, ...]:
        """Sorted ids."""

    @property
    def unknown(self) -> tuple[str, ...]:
        """Sorted ids."""


class Verdict(Protocol):
    """A stage's result and whether both engines agreed on it."""

    @property
    def result(self) -> StageResult:
        """The reference evaluator's result."""

    @property
    def alarm(self) -> str | None:
        """``None`` when both engines agreed."""

    @property
    def detail(self) -> str:
        """What differed."""


class StageName(Protocol):
    """A stage of the rulebook."""

    @property
    def value(self) -> Any:
        """Its name."""


def build_record(
    decision: Decision,
    *,
    facts: KnownFacts,
    features: ModelInputs,
    verdicts: Mapping[Any, Verdict],
    idempotency_key: str,
    body_digest: str,
    code_version: str,
    records: Mapping[str, Any] | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> Record:
    """The record of a decision. ``verdicts`` is keyed by stage; ``entropy(n)`` gives n random bytes.

    ``records`` are those that were used, by kind.

    Raises ``AuditError`` for text that is not Unicode.
    """
    values, secret = committed_values(decision, facts, features), entropy(SECRET_SIZE)
    if records is not None:
        values[RECORDS] = dict(records)
    body = {
        **_decided(decision),
        "type": "decision",
        "format": FORMAT,
        "in_force_on": decision.decided_at.astimezone(SHANGHAI).date().isoformat(),
        "stages": {stage.value: _stage(verdict) for stage, verdict in verdicts.items()},
        "request": {"key_hash": key_hash(idempotency_key), "body_digest": body_digest},
        "commitments": commitments(secret, values),
        "code_version": code_version,
    }
    return Record(_written(body), _written({"secret": _base64(secret), "values": values}))


def erasure_record(decision_id: str, now: datetime) -> bytes:
    """The record of the moment in which a decision's values were erased; canonical JSON."""
    return _written({"type": "erasure", "format": FORMAT, "decision_id": decision_id, "erased_at": moment(now)})


def key_hash(idempotency_key: str) -> str:
    """SHA-256 of an idempotency key in hex: the record binds the answer to the key without telling it."""
    try:
        return sha256(idempotency_key.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise AuditError("the idempotency key is not Unicode text") from error


def salts(secret: bytes, names: Iterable[str]) -> dict[str, bytes]:
    """Each name's salt, 16 bytes: by the names' order, from SHAKE-256 of the secret.

    A salt tells nothing of the secret or of the others, so a single value can be shown, or be erased while the other
    salts are kept in place of the secret.
    """
    ordered = sorted(names)
    return {name: salt for name, (salt,) in zip(ordered, _stream(secret, len(ordered)), strict=True)}


def values_of(private: bytes) -> dict[str, Any]:
    """The committed values by name. Raises ``AuditError``, ``KeyError`` or ``TypeError`` for bytes that hold none."""
    values: dict[str, Any] = parsed(private)["values"]
    return values


def secret_of(opened: Mapping[str, Any]) -> bytes:
    """The secret in a record's private part. Raises ``ValueError``, ``KeyError`` … when it is no 32 bytes in base64."""
    secret = a2b_base64(opened["secret"].encode(), strict_mode=True)
    # Base64 has several spellings of the same bytes; a changed spelling is a changed byte.
    if len(secret) != SECRET_SIZE or _base64(secret) != opened["secret"]:
        raise ValueError("the secret is not one")
    return secret


def commitment(salt: bytes, name: str, value: Any) -> str:
    """Base64 of SHA-256 over salt and the canonical JSON of ``[name, value]``; hides and binds the value.

    Raises ``AuditError`` for text that is not Unicode.
    """
    return _base64(sha256(salt + _written([name, value])).digest())


def commitments(secret: bytes, values: Mapping[str, Any]) -> dict[str, str]:
    """The ``commitment`` to each value under its salt, by name: all 160 at once, each step in one pass.

    Raises ``AuditError`` for text that is not Unicode.
    """
    names, dumps, sort_keys = sorted(values), orjson.dumps, orjson.OPT_SORT_KEYS
    salted = zip(_stream(secret, len(names)), names, strict=True)
    try:
        hashes = [sha256(salt + dumps((name, values[name]), None, sort_keys)).digest() for (salt,), name in salted]
    except orjson.JSONEncodeError as error:
        raise _unwritable(error) from error
    return dict(zip(names, [b2a_base64(one, newline=False).decode() for one in hashes], strict=True))


def _stream(secret: bytes, count: int) -> Iterator[tuple[bytes]]:
    """The salts in the order of their names, each alone in a tuple."""
    return iter_unpack(f"{SALT_SIZE}s", shake_256(secret).digest(SALT_SIZE * count))


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _written(value: Any) -> bytes:
    """What ``canonical`` writes, ten times as fast: a decision commits to about 160 values.

    Every float has become text in ``number`` before; ``canonical`` would refuse one, orjson would not. Tests hold both
    against each other and against RFC 8785.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise _unwritable(error) from error


def _unwritable(error: Exception) -> AuditError:
    return AuditError(f"a value cannot be written as evidence: {error}")


def committed_values(decision: Decision, facts: KnownFacts, features: ModelInputs) -> dict[str, Any]:
    """Everything the decision rests on, by commitment name: each known fact, and what the models read."""
    values: dict[str, Any] = {FACT_PREFIX + name: value for name, value in facts.known().items()}
    for name, value in values.items():
        if value.__class__ is not str and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            values[name] = exact(value)
    values["features"] = {
        name: value if isinstance(value, str) else number(value)
        for name, value in features.features_for(decision.application.product).items()
    }
    # As ``number`` says it: calling it for each of some 240 numbers would take as long again.
    values["series"] = [[repr(float(one)) if one == one else None for one in month] for month in features.series]
    values["mask"] = [bool(month) for month in features.mask]
    values["contributions"] = {name: number(value) for name, value in decision.scores.contributions.items()}
    if decision.scores.reasons is not None:
        values["score_reasons"] = [_score_reason(one) for one in decision.scores.reasons]
    return values


def _score_reason(one: ScoreReason) -> dict[str, Any]:
    return {
        "score": one.score,
        "name": one.name,
        "effect": number(one.effect),
        "seen": _seen(one.seen),
        "healthy": _seen(one.healthy),
        "change": number(one.change),
        "healthy_change": number(one.healthy_change),
    }


def _seen(value: SeenValue) -> Any:
    """Numbers are text everywhere, so what is text is told apart."""
    return {"text": value} if isinstance(value, str) else number(value)


def exact(value: int | str) -> Any:
    """A fact's exact value in JSON; an integer that JSON numbers cannot hold exactly is ``{"integer": text}``."""
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        return {"integer": str(value)}
    return value


def number(value: float | None) -> str | None:
    """A float as its shortest exact text; NaN and ``None`` are missing."""
    return None if value is None or value != value else repr(float(value))


def _decided(decision: Decision) -> dict[str, Any]:
    return {
        "decision_id": decision.decision_id,
        "client_id": decision.client_id,
        "application": _application(decision.application),
        "outcome": decision.outcome.name,
        "approved_amount": money(decision.approved_amount),
        "limit": money(decision.limit),
        "card": decision.card,
        "whitelisted": decision.whitelisted,
        "grade": decision.grade,
        "decided_at": moment(decision.decided_at),
        "due_at": moment(decision.due_at),
        "scores": _scores(decision.scores),
        "models": [
            {"name": model.name, "version": model.version, "digest": model.digest} for model in decision.scores.models
        ],
        "reasons": _reasons(decision.reasons),
        "conditions": list(decision.conditions),
        "rate_spread_bp": decision.rate_spread_bp,
        "ruleset": {"version": decision.ruleset_version, "digest": decision.ruleset_digest},
    }


def _application(application: CreditApplication) -> dict[str, Any]:
    return {
        "application_id": application.application_id,
        "product": application.product,
        "amount": money(application.amount),
        "term_months": application.term_months,
        "purpose": application.purpose,
        "authorization_id": application.authorization_id,
        "uscc": application.uscc,
    }


def _scores(scores: Scores) -> dict[str, Any]:
    probabilities = {name: getattr(scores, name) for name in ("pd_12m", "pd_xgb", "pd_lstm")}
    texts = {name: None if value is None else f"{value:.6f}" for name, value in probabilities.items()}
    return {**texts, "status": scores.status, "problems": list(scores.problems)}


def _reasons(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    return [
        {"code": one.code, "rule": one.rule, "zh": one.zh, "en": one.en, "facts": list(one.facts)} for one in reasons
    ]


def _stage(verdict: Verdict) -> dict[str, Any]:
    return {
        "matched": list(verdict.result.matched),
        "unknown": list(verdict.result.unknown),
        "alarm": verdict.alarm,
        "detail": verdict.detail,
    }
