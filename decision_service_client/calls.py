"""The calls of the HTTP contract, each a ``Call`` that knows its bytes, its key and what it answers.

``Client`` has a method for each; ``AsyncClient.send`` and ``AsyncClient.each`` take the calls themselves.
A ``key`` is yours to choose (1 to 128 printable ASCII characters without blanks), such as your own number of the
application; without one, a call makes its own.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from decision_service_client.exchange import Answer, Call, json_bytes
from decision_service_client.reading import document_of, read
from decision_service_client.records import (
    Act,
    Application,
    Batch,
    BatchLine,
    Decision,
    Delivery,
    Event,
    History,
    Models,
    Outcome,
    Proof,
    Ruleset,
    Simulation,
    Webhook,
    WebhookSecret,
    money,
)

T = TypeVar("T")
JSON, JSON_LINES = "application/json", "application/x-ndjson"
PAGE, LINES = 100, 500
"""Items of a page; lines of results read at a time."""
START = "evt_start"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and the call for those that follow."""

    items: tuple[T, ...]
    next: Call[Page[T]] | None


def decide(application: Application, *, key: str | None = None) -> Call[Decision]:
    """Decide one application. The same key always has the same decision."""
    return _write("/v1/decisions", application.body(), _decision, key)


def decision(decision_id: str) -> Call[Decision]:
    """A decision, in the bytes in which it was answered."""
    return _get(_of(decision_id), _decision)


def decisions(after: str | None = None) -> Call[Page[Decision]]:
    """One's decisions, newest first."""
    return _listed("/v1/decisions", "decisions", _decision_in, after)


def explanation(decision_id: str, lang: str = "zh") -> Call[Mapping[str, Any]]:
    """Every rule with what it saw, the score, the limit, what would have to change; in ``zh`` or ``en``."""
    return _get(f"{_of(decision_id, 'explanation')}?{urlencode({'lang': lang})}", _document)


def proof(decision_id: str) -> Call[Proof]:
    """The evidence that ``verify`` reads."""
    return _get(_of(decision_id, "proof"), _as(Proof))


def simulate(
    application: Application | None = None,
    *,
    facts: Mapping[str, Any] | None = None,
    industry: str | None = None,
    as_of: date | None = None,
) -> Call[Simulation]:
    """What would be decided, with facts changed or of facts alone; nothing is stored."""
    body = {} if application is None else application.body()
    given = {name: str(value) if isinstance(value, Decimal) else value for name, value in (facts or {}).items()}
    optional = {"facts": given or None, "industry": industry, "as_of": None if as_of is None else as_of.isoformat()}
    return _post("/v1/simulations", {**body, **_present(optional)}, _as(Simulation))


def final(
    decision_id: str,
    *,
    outcome: Outcome,
    reason: str,
    amount: Decimal | int | None = None,
    contract_id: str | None = None,
    comment: str | None = None,
    key: str | None = None,
) -> Call[Act]:
    """The bank's own final decision; ``amount`` with an approval only."""
    said = {"outcome": str(outcome), "reason": reason, "contract_id": contract_id, "comment": comment}
    return _act(decision_id, "final", {**said, "amount": _money(amount)}, key)


def drawdown(
    decision_id: str, *, amount: Decimal | int, on: date, contract_id: str, key: str | None = None
) -> Call[Act]:
    """The customer has drawn."""
    return _act(decision_id, "drawdowns", _moved(amount, on, contract_id), key)


def repayment(
    decision_id: str, *, amount: Decimal | int, on: date, contract_id: str, key: str | None = None
) -> Call[Act]:
    """The customer has repaid."""
    return _act(decision_id, "repayments", _moved(amount, on, contract_id), key)


def overdue(
    decision_id: str,
    *,
    days: int,
    on: date,
    contract_id: str,
    amount: Decimal | int | None = None,
    key: str | None = None,
) -> Call[Act]:
    """The customer is in arrears; zero days, without an amount, once they are made good."""
    said = {"days": days, "amount": _money(amount), "on": on.isoformat(), "contract_id": contract_id}
    return _act(decision_id, "overdues", said, key)


def closure(
    decision_id: str, *, end: str, on: date, contract_id: str | None = None, key: str | None = None
) -> Call[Act]:
    """The contract has ended: ``settled``, ``cancelled`` or ``written_off``."""
    return _act(decision_id, "closure", {"end": end, "on": on.isoformat(), "contract_id": contract_id}, key)


def resume(decision_id: str, *, comment: str | None = None, key: str | None = None) -> Call[Act]:
    """The documents that were awaited have come."""
    return _act(decision_id, "resume", {"comment": comment}, key)


def history(decision_id: str) -> Call[History]:
    """Every act, the state, and what it admits."""
    return _get(_of(decision_id, "history"), _as(History))


def submit(applications: Iterable[Application], *, key: str | None = None) -> Call[Batch]:
    """Up to 10,000 applications, decided in their order."""
    lines = b"".join(json_bytes(one.body()) + b"\n" for one in applications)
    return _write("/v1/decision-batches", lines, _as(Batch), key)


def batch(batch_id: str) -> Call[Batch]:
    """How far a batch has come."""
    return _get(f"/v1/decision-batches/{_part(batch_id)}", _as(Batch))


def batches(after: str | None = None) -> Call[Page[Batch]]:
    """One's batches, newest first."""
    return _listed("/v1/decision-batches", "batches", lambda one: read(Batch, one), after)


def cancel(batch_id: str) -> Call[Batch]:
    """Decide no further line; decisions that were taken stand."""
    return Call("POST", f"/v1/decision-batches/{_part(batch_id)}/cancellation", _as(Batch))


def results(batch_id: str, after: int = 0) -> Call[Page[BatchLine]]:
    """The results so far; ``after`` is the last line that was read."""

    def page(answer: Answer) -> Page[BatchLine]:
        found = tuple(_line(text) for text in answer.content.splitlines())
        if [one.line for one in found] != list(range(after + 1, after + 1 + len(found))):
            raise ValueError("lines are missing")
        return Page(found, results(batch_id, found[-1].line) if found else None)

    where = f"/v1/decision-batches/{_part(batch_id)}/results"
    return _get(f"{where}?{urlencode({'after': after, 'limit': LINES})}", page)


def events(after: str = START, types: Iterable[str] = ()) -> Call[Page[Event]]:
    """One's events after one that is known, oldest first, to the present end of the log."""
    wanted = ",".join(types)

    def page(answer: Answer) -> Page[Event]:
        found = document_of(answer.content)
        ended = _member(found, "next", str) == _member(found, "newest", str)
        items = tuple(read(Event, one) for one in _member(found, "events", list))
        return Page(items, None if ended else events(found["next"], tuple(wanted.split(",")) if wanted else ()))

    query = _present({"after": after, "types": wanted or None, "limit": PAGE})
    return _get(f"/v1/events?{urlencode(query)}", page)


def webhooks() -> Call[tuple[Webhook, ...]]:
    """One's webhooks, oldest first; read one alone before changing it."""
    return _get("/v1/webhooks", _several("webhooks", Webhook))


def webhook(webhook_id: str) -> Call[Webhook]:
    """A webhook as it stands."""
    return _get(_hook(webhook_id), _webhook)


def add_webhook(
    url: str, types: Iterable[str], *, description: str = "", signature: str = "hmac", key: str | None = None
) -> Call[Webhook]:
    """Have events sent to an address, from now on; ``signature`` is ``hmac`` or ``ed25519``."""
    body = {"url": url, "types": list(types), "description": description, "signature": signature}
    return _write("/v1/webhooks", body, _webhook, key)


def change_webhook(
    webhook: Webhook,
    *,
    url: str | None = None,
    types: Iterable[str] | None = None,
    description: str | None = None,
    state: str | None = None,
) -> Call[Webhook]:
    """Change what was read: not repeated once an answer is lost, because the state it names is then no more."""
    body = {"url": url, "types": None if types is None else list(types), "description": description, "state": state}
    made = _post(_hook(webhook.webhook_id), _present(body), _webhook)
    headers = {**made.headers, "If-Match": _etag(webhook)}
    return replace(made, method="PATCH", headers=headers, repeatable=False)


def remove_webhook(webhook: Webhook) -> Call[None]:
    """Forget a webhook; what waits for it is not sent."""
    headers = {"If-Match": _etag(webhook)}
    return Call("DELETE", _hook(webhook.webhook_id), lambda answer: None, headers=headers, repeatable=False)


def rotate_secret(
    webhook_id: str, *, signature: str = "hmac", keep_hours: int = 24, key: str | None = None
) -> Call[WebhookSecret]:
    """A new key; the old ones stay valid for ``keep_hours``."""
    body = {"signature": signature, "keep_hours": keep_hours}
    return _write(_hook(webhook_id, "secret"), body, _as(WebhookSecret), key)


def ping(webhook_id: str, *, key: str | None = None) -> Call[str]:
    """Send a ``ping``; answers the event's id."""

    def sent(answer: Answer) -> str:
        return _member(document_of(answer.content), "event_id", str)

    return _write(_hook(webhook_id, "test"), {}, sent, key)


def replay(webhook_id: str, after: str = START, *, key: str | None = None) -> Call[Webhook]:
    """Send again what came after an event."""
    return _write(_hook(webhook_id, "replay"), {"after": after}, _webhook, key)


def deliveries(webhook_id: str, before: str | None = None) -> Call[tuple[Delivery, ...]]:
    """What became of events at a webhook, newest first."""
    query = urlencode(_present({"before": before, "limit": PAGE}))
    return _get(f"{_hook(webhook_id, 'deliveries')}?{query}", _several("deliveries", Delivery))


def ruleset() -> Call[Ruleset]:
    """The ruleset in force, with its products and purposes."""
    return _get("/v1/rulesets/active", _as(Ruleset))


def models() -> Call[Models]:
    """The models in use."""
    return _get("/v1/models", _as(Models))


def checkpoint() -> Call[str]:
    """The log's signed size and root: keep it, and ``open_checkpoint`` it with the pinned key."""
    return _get("/v1/log/checkpoint", lambda answer: answer.content.decode())


def _act(decision_id: str, what: str, body: Mapping[str, Any], key: str | None) -> Call[Act]:
    return _write(_of(decision_id, what), _present(body), _as(Act), key)


def _moved(amount: Decimal | int, on: date, contract_id: str) -> dict[str, Any]:
    return {"amount": money(amount), "on": on.isoformat(), "contract_id": contract_id}


def _write(path: str, body: Mapping[str, Any] | bytes, reader: Callable[[Answer], T], key: str | None) -> Call[T]:
    """A POST that acts at most once: its key is chosen here, before anything is sent."""
    chosen = str(uuid.uuid4()) if key is None else key
    if not _KEY.fullmatch(chosen):
        raise ValueError(f"{chosen!r} is no idempotency key: 1 to 128 printable ASCII characters without blanks")
    made = _post(path, body, reader)
    return replace(made, key=chosen, headers={**made.headers, "Idempotency-Key": chosen})


def _post(path: str, body: Mapping[str, Any] | bytes, reader: Callable[[Answer], T]) -> Call[T]:
    if isinstance(body, bytes):
        return Call("POST", path, reader, body, {"Content-Type": JSON_LINES})
    return Call("POST", path, reader, json_bytes(body), {"Content-Type": JSON})


def _get(path: str, reader: Callable[[Answer], T]) -> Call[T]:
    return Call("GET", path, reader)


def _listed(path: str, name: str, item: Callable[[Any], T], after: str | None) -> Call[Page[T]]:
    def page(answer: Answer) -> Page[T]:
        found = document_of(answer.content)
        items = tuple(item(one) for one in _member(found, name, list))
        cursor = found.get("next")
        return Page(items, None if cursor is None else _listed(path, name, item, str(cursor)))

    return _get(f"{path}?{urlencode(_present({'after': after, 'limit': PAGE}))}", page)


def _decision(answer: Answer) -> Decision:
    found = read(Decision, document_of(answer.content))
    return replace(found, answer=answer.content, replayed=answer.headers.get("idempotent-replayed") == "true")


def _decision_in(document: Any) -> Decision:
    return replace(read(Decision, document), answer=json_bytes(document))


def _line(text: bytes) -> BatchLine:
    document = document_of(text)
    found = read(BatchLine, document)
    return found if found.decision is None else replace(found, decision=_decision_in(document["decision"]))


def _webhook(answer: Answer) -> Webhook:
    return replace(read(Webhook, document_of(answer.content)), etag=answer.headers.get("etag"))


def _etag(webhook: Webhook) -> str:
    if webhook.etag is None:
        raise ValueError("this webhook was read in a list; read it alone, so that its state has a name")
    return webhook.etag


def _document(answer: Answer) -> Mapping[str, Any]:
    return document_of(answer.content)


def _as(kind: type[T]) -> Callable[[Answer], T]:
    return lambda answer: read(kind, document_of(answer.content))


def _several(name: str, kind: type[T]) -> Callable[[Answer], tuple[T, ...]]:
    return lambda answer: tuple(read(kind, one) for one in _member(document_of(answer.content), name, list))


def _member(document: Mapping[str, Any], name: str, kind: type[T]) -> T:
    found = document.get(name)
    if not isinstance(found, kind):
        raise ValueError(f"{name} is missing")
    return found


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _money(amount: Decimal | int | None) -> str | None:
    return None if amount is None else money(amount)


def _of(decision_id: str, what: str = "") -> str:
    return f"/v1/decisions/{_part(decision_id)}" + (f"/{what}" if what else "")


def _hook(webhook_id: str, what: str = "") -> str:
    return f"/v1/webhooks/{_part(webhook_id)}" + (f"/{what}" if what else "")


def _part(identity: str) -> str:
    """An id as one part of an address: an empty one would be that of the list, ``..`` that of something else."""
    if not _ID.fullmatch(identity):
        raise ValueError(f"{identity!r} is no id of the platform")
    return identity
