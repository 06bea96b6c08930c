"""The calls of the HTTP contract, each a ``Call`` that knows its bytes, its key and what it answers.

``Client`` has a method for each; ``AsyncClient.send`` and ``AsyncClient.each`` take the calls themselves.
A ``key`` is yours to choose (1 to 128 printable ASCII characters without blanks), such as your own number of the
application; without one, a call makes its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from decision_service_client import building
from decision_service_client.building import (
    Page,
    act,
    get,
    listed,
    member,
    money_text,
    path_of,
    post,
    present,
    record_of,
    several,
    whole_document,
    write,
)
from decision_service_client.case_calls import (
    accept_objection,
    appeal,
    apply_objection,
    arbitrate_objection,
    assign,
    check_objection_source,
    notify_objection,
    object_to_decision,
    object_to_record,
    objection,
    objection_history,
    objections,
    pause,
    records_behind,
    refuse_objection,
    resume,
    review,
    reviews,
    rule_objection,
)
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

__all__ = [
    "LINES",
    "Page",
    "START",
    "accept_objection",
    "add_webhook",
    "appeal",
    "apply_objection",
    "arbitrate_objection",
    "assign",
    "batch",
    "batches",
    "cancel",
    "change_webhook",
    "check_objection_source",
    "checkpoint",
    "closure",
    "decide",
    "decision",
    "decisions",
    "deliveries",
    "drawdown",
    "events",
    "explanation",
    "final",
    "history",
    "models",
    "notify_objection",
    "object_to_decision",
    "object_to_record",
    "objection",
    "objection_history",
    "objections",
    "overdue",
    "pause",
    "ping",
    "proof",
    "records_behind",
    "refuse_objection",
    "remove_webhook",
    "repayment",
    "replay",
    "results",
    "resume",
    "review",
    "reviews",
    "rotate_secret",
    "rule_objection",
    "ruleset",
    "simulate",
    "submit",
    "webhook",
    "webhooks",
]
LINES = 500
"""Lines of results read at a time."""
START = "evt_start"


def decide(application: Application, *, key: str | None = None) -> Call[Decision]:
    """Decide one application. The same key always has the same decision."""
    return write("/v1/decisions", application.body(), _decision, key)


def decision(decision_id: str) -> Call[Decision]:
    """A decision, in the bytes in which it was answered."""
    return get(_of(decision_id), _decision)


def decisions(after: str | None = None) -> Call[Page[Decision]]:
    """One's decisions, newest first."""
    return listed("/v1/decisions", "decisions", _decision_in, after)


def explanation(decision_id: str, lang: str = "zh") -> Call[Mapping[str, Any]]:
    """Every rule with what it saw, the score, the limit, what would have to change; in ``zh`` or ``en``."""
    return get(_of(decision_id, "explanation"), whole_document, lang=lang)


def proof(decision_id: str) -> Call[Proof]:
    """The evidence that ``verify`` reads."""
    return get(_of(decision_id, "proof"), record_of(Proof))


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
    return post("/v1/simulations", {**body, **present(optional)}, record_of(Simulation))


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
    return act(decision_id, "final", {**said, "amount": money_text(amount)}, key)


def drawdown(
    decision_id: str, *, amount: Decimal | int, on: date, contract_id: str, key: str | None = None
) -> Call[Act]:
    """The customer has drawn."""
    return act(decision_id, "drawdowns", _moved(amount, on, contract_id), key)


def repayment(
    decision_id: str, *, amount: Decimal | int, on: date, contract_id: str, key: str | None = None
) -> Call[Act]:
    """The customer has repaid."""
    return act(decision_id, "repayments", _moved(amount, on, contract_id), key)


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
    said = {"days": days, "amount": money_text(amount), "on": on.isoformat(), "contract_id": contract_id}
    return act(decision_id, "overdues", said, key)


def closure(
    decision_id: str, *, end: str, on: date, contract_id: str | None = None, key: str | None = None
) -> Call[Act]:
    """The contract has ended: ``settled``, ``cancelled`` or ``written_off``."""
    return act(decision_id, "closure", {"end": end, "on": on.isoformat(), "contract_id": contract_id}, key)


def history(decision_id: str) -> Call[History]:
    """Every act, the state, and what it admits."""
    return get(_of(decision_id, "history"), record_of(History))


def submit(applications: Iterable[Application], *, key: str | None = None) -> Call[Batch]:
    """Up to 10,000 applications, decided in their order."""
    lines = b"".join(json_bytes(one.body()) + b"\n" for one in applications)
    return write("/v1/decision-batches", lines, record_of(Batch), key)


def batch(batch_id: str) -> Call[Batch]:
    """How far a batch has come."""
    return get(_batch(batch_id), record_of(Batch))


def batches(after: str | None = None) -> Call[Page[Batch]]:
    """One's batches, newest first."""
    return listed("/v1/decision-batches", "batches", lambda one: read(Batch, one), after)


def cancel(batch_id: str) -> Call[Batch]:
    """Decide no further line; decisions that were taken stand."""
    return Call("POST", _batch(batch_id, "cancellation"), record_of(Batch))


def results(batch_id: str, after: int = 0) -> Call[Page[BatchLine]]:
    """The results so far; ``after`` is the last line that was read."""

    def page(answer: Answer) -> Page[BatchLine]:
        found = tuple(_line(text) for text in answer.content.splitlines())
        if [one.line for one in found] != list(range(after + 1, after + 1 + len(found))):
            raise ValueError("lines are missing")
        return Page(found, results(batch_id, found[-1].line) if found else None)

    return get(_batch(batch_id, "results"), page, after=after, limit=LINES)


def events(after: str = START, types: Iterable[str] = ()) -> Call[Page[Event]]:
    """One's events after one that is known, oldest first, to the present end of the log."""
    wanted = ",".join(types)

    def page(answer: Answer) -> Page[Event]:
        found = document_of(answer.content)
        ended = member(found, "next", str) == member(found, "newest", str)
        items = tuple(read(Event, one) for one in member(found, "events", list))
        return Page(items, None if ended else events(found["next"], tuple(wanted.split(",")) if wanted else ()))

    return get("/v1/events", page, after=after, types=wanted or None, limit=building.PAGE)


def webhooks() -> Call[tuple[Webhook, ...]]:
    """One's webhooks, oldest first; read one alone before changing it."""
    return get("/v1/webhooks", several("webhooks", Webhook))


def webhook(webhook_id: str) -> Call[Webhook]:
    """A webhook as it stands."""
    return get(_hook(webhook_id), _webhook)


def add_webhook(
    url: str, types: Iterable[str], *, description: str = "", signature: str = "hmac", key: str | None = None
) -> Call[Webhook]:
    """Have events sent to an address, from now on; ``signature`` is ``hmac`` or ``ed25519``."""
    body = {"url": url, "types": list(types), "description": description, "signature": signature}
    return write("/v1/webhooks", body, _webhook, key)


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
    made = post(_hook(webhook.webhook_id), present(body), _webhook)
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
    return write(_hook(webhook_id, "secret"), body, record_of(WebhookSecret), key)


def ping(webhook_id: str, *, key: str | None = None) -> Call[str]:
    """Send a ``ping``; answers the event's id."""

    def sent(answer: Answer) -> str:
        return member(document_of(answer.content), "event_id", str)

    return write(_hook(webhook_id, "test"), {}, sent, key)


def replay(webhook_id: str, after: str = START, *, key: str | None = None) -> Call[Webhook]:
    """Send again what came after an event."""
    return write(_hook(webhook_id, "replay"), {"after": after}, _webhook, key)


def deliveries(webhook_id: str, after: str | None = None) -> Call[Page[Delivery]]:
    """What became of events at a webhook, newest first."""
    return listed(_hook(webhook_id, "deliveries"), "deliveries", lambda one: read(Delivery, one), after)


def ruleset() -> Call[Ruleset]:
    """The ruleset in force, with its products and purposes."""
    return get("/v1/rulesets/active", record_of(Ruleset))


def models() -> Call[Models]:
    """The models in use."""
    return get("/v1/models", record_of(Models))


def checkpoint() -> Call[str]:
    """The log's signed size and root: keep it, and ``open_checkpoint`` it with the pinned key."""
    return get("/v1/log/checkpoint", lambda answer: answer.content.decode())


def _moved(amount: Decimal | int, on: date, contract_id: str) -> dict[str, Any]:
    return {"amount": money(amount), "on": on.isoformat(), "contract_id": contract_id}


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


def _of(decision_id: str, what: str = "") -> str:
    return path_of("decisions", decision_id, what)


def _batch(batch_id: str, what: str = "") -> str:
    return path_of("decision-batches", batch_id, what)


def _hook(webhook_id: str, what: str = "") -> str:
    return path_of("webhooks", webhook_id, what)
