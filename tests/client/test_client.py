"""Every call of the contract over the real application, typed and exact."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from inspect import signature
from pathlib import Path
from typing import Any

import httpx
import pytest

from decision_service.api.schemas import DecisionSchema
from decision_service_client import (
    BearerKey,
    Client,
    Decision,
    EnterpriseUnknown,
    IdempotencyConflict,
    InvalidFields,
    NotFound,
    NotNow,
    Outcome,
    PrivateKeyJwt,
    Unauthorized,
    building,
    calls,
)
from decision_service_client.errors import Changed
from tests.client.served import URL, Served

TODAY = (datetime.now(UTC) + timedelta(hours=8)).date()


def test_a_decision_is_typed_and_money_is_exact(served: Served) -> None:
    client, _ = served.client()
    found = client.decide(served.application("line", application_id="T-1", amount=Decimal("1000.10")), key="typed")
    assert (found.outcome, found.approved_amount) == (Outcome.APPROVE, Decimal("1000.10"))
    assert [one.code for one in found.reasons] == ["AUTO_OK"]
    assert found.decided_at.utcoffset() == timedelta(0) and not found.replayed
    assert client.decision(found.decision_id) == found
    assert client.decision(found.decision_id).answer == found.answer


def test_the_same_key_gives_the_same_decision_and_says_so(served: Served) -> None:
    client, _ = served.client()
    first, again = (client.decide(served.small("K-1"), key="K-1") for _ in range(2))
    assert again == first and again.answer == first.answer
    assert (first.replayed, again.replayed) == (False, True)


def test_lists_are_read_to_their_end_page_by_page(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client, wire = served.client()
    made = [client.decide(served.small(f"P-{number}")) for number in range(5)]
    monkeypatch.setattr(building, "PAGE", 2)
    before = len(wire.sent)
    found = list(client.decisions())
    assert found[:5] == made[::-1] and len(found) == served.decided()
    assert len(wire.sent) - before == (len(found) + 1) // 2
    events = list(client.events(types=["decision.made"]))
    assert [one.data["decision_id"] for one in events] == [one.decision_id for one in found[::-1]]
    assert list(client.events(events[-2].id)) == events[-1:]


def test_the_life_of_a_loan(tmp_path: Path) -> None:
    served = Served(tmp_path)
    client, _ = served.client()
    decided = client.decide(served.application("line", application_id="L-1", amount=20_000))
    this, contract = decided.decision_id, dict[str, Any](on=TODAY, contract_id="C-1")
    done = client.final(
        this, outcome=Outcome.APPROVE, reason="BANK_REDUCED", amount=Decimal("15000.00"), contract_id="C-1"
    )
    assert done.state == "committed" and "drawn" in done.allowed
    assert client.drawdown(this, amount=10_000, **contract).state == "drawn"
    served.ahead, contract["on"] = timedelta(days=5), TODAY + timedelta(days=5)
    assert client.overdue(this, days=3, amount=500, **contract).state == "overdue"
    assert client.overdue(this, days=0, **contract).state == "drawn"
    assert client.repayment(this, amount=10_000, key="repaid", **contract).state == "repaid"
    assert client.repayment(this, amount=10_000, key="repaid", **contract).state == "repaid"
    assert client.closure(this, end="settled", **contract).state == "closed"
    history = client.history(this)
    assert (history.drawn, history.repaid) == (Decimal("10000.00"), Decimal("10000.00"))
    assert [one.act for one in history.acts][-1] == "closed"
    with pytest.raises(NotNow):
        client.resume(this)
    served.platform.store.close()


def test_what_if_leaves_no_trace(served: Served) -> None:
    client, _ = served.client()
    before = served.decided()
    changed = client.simulate(served.small("S-1"), facts={"debt_to_asset_ratio": Decimal("0.99")})
    assert changed.overridden_facts == ("debt_to_asset_ratio",) and isinstance(changed.outcome, Outcome)
    assert served.decided() == before


def test_a_decision_is_explained_in_the_language_asked_for(served: Served) -> None:
    client, _ = served.client()
    decided = client.decide(served.small("E-1"))
    texts = {lang: str(client.explanation(decided.decision_id, lang)) for lang in ("zh", "en")}
    assert texts["zh"] != texts["en"] and "AUTO-001" in texts["en"]


def test_a_batch_is_read_where_one_has_come_to(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    client, wire = served.client()
    lines = [served.small(f"B-{number}") for number in range(4)]
    batch = client.submit([*lines, replace(lines[0], purpose="gambling")], key="july")
    assert client.submit([*lines, replace(lines[0], purpose="gambling")], key="july") == batch
    assert list(client.results(batch.batch_id)) == []
    served.work_off(batch.batch_id)
    monkeypatch.setattr(calls, "LINES", 2)
    found = list(client.results(batch.batch_id))
    assert [(one.line, one.status) for one in found] == [(1, 201), (2, 201), (3, 201), (4, 201), (5, 422)]
    assert found[4].problem is not None and found[4].problem.errors[0].field == "purpose"
    decision = found[0].decision
    assert decision is not None and client.decision(decision.decision_id) == decision
    assert list(client.results(batch.batch_id, after=3)) == found[3:]
    ended = client.batch(batch.batch_id)
    assert (ended.outcomes.APPROVE, ended.refused) == (4, 1) and client.cancel(batch.batch_id) == ended
    assert list(client.batches()) == [ended]


def test_webhooks_are_made_changed_and_forgotten(served: Served) -> None:
    client, _ = served.client()
    made = client.add_webhook("https://1.1.1.1/events", ["decision.made"])
    assert made.secret is not None and made.secret.startswith("whsec_") and made.secret not in repr(made)
    changed = client.change_webhook(made, description="ours")
    with pytest.raises(Changed):
        client.change_webhook(made, state="disabled")
    assert client.webhook(made.webhook_id).description == "ours" and len(client.webhooks()) == 1
    with pytest.raises(ValueError, match="read it alone"):
        client.remove_webhook(client.webhooks()[0])
    sent = client.ping(made.webhook_id)
    assert [one.event_id for one in client.deliveries(made.webhook_id)] == [sent]
    assert client.rotate_secret(made.webhook_id, keep_hours=1).secret.startswith("whsec_")
    assert client.replay(made.webhook_id).webhook_id == made.webhook_id
    client.remove_webhook(changed)
    assert client.webhooks() == ()


def test_what_is_in_force_is_told(served: Served) -> None:
    client, _ = served.client()
    assert "working_capital" in client.ruleset().products
    assert [one.name for one in client.models().models] == ["pd-fixed"]
    assert client.checkpoint().startswith("financing-credit-platform/decisions\n")


def test_refusals_are_exceptions_of_their_own_kind_with_the_key(served: Served) -> None:
    client, _ = served.client()
    with pytest.raises(InvalidFields) as refused:
        client.decide(served.small("F-1", purpose="gambling", term_months=0), key="F-1")
    assert {one.field for one in refused.value.problem.errors} == {"purpose", "term_months"}
    assert refused.value.key == "F-1" and refused.value.problem.request_id
    client.decide(served.small("F-2"), key="F-2")
    with pytest.raises(IdempotencyConflict):
        client.decide(served.small("F-3"), key="F-2")
    with pytest.raises(EnterpriseUnknown):
        client.decide(served.small("F-4", uscc="91350100M000100Y43"))
    with pytest.raises(NotFound):
        client.proof("nobody-s")
    stranger = Client(URL, BearerKey("wrong"), http=httpx.Client(transport=httpx.WSGITransport(served.app)))
    with pytest.raises(Unauthorized):
        stranger.ruleset()


INEXACT: dict[str, tuple[Any, type[Exception], str]] = {
    "an amount in binary": (0.1, TypeError, r'Decimal\("0.10"\)'),
    "an amount in text": ("1000.00", TypeError, "Decimal"),
    "a flag as amount": (True, TypeError, "Decimal"),
    "three decimals": (Decimal("1.001"), ValueError, "round it"),
    "no number": (Decimal("NaN"), ValueError, "Decimal"),
}


@pytest.mark.parametrize(("amount", "kind", "remedy"), INEXACT.values(), ids=INEXACT.keys())
def test_what_is_not_exact_is_refused_when_it_is_made(
    served: Served, amount: Any, kind: type[Exception], remedy: str
) -> None:
    with pytest.raises(kind, match=remedy):
        served.application(amount=amount)
    with pytest.raises(kind, match=remedy):
        replace(served.application(), amount=amount)
    with pytest.raises(kind, match=remedy):
        calls.drawdown("D-1", amount=amount, on=TODAY, contract_id="C-1")


@pytest.mark.parametrize("key", ["", "with blank", "ä", "x" * 129])
def test_a_key_that_could_not_be_one_is_not_sent(served: Served, key: str) -> None:
    with pytest.raises(ValueError, match="no idempotency key"):
        calls.decide(served.application(), key=key)


@pytest.mark.parametrize("decision_id", ["", "..", "a/b", "a?b"])
def test_an_id_stays_one_part_of_the_address(decision_id: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        calls.decision(decision_id)


@pytest.mark.parametrize("url", ["http://platform.example", "ftp://a", "platform.example", "https://a/?b", ""])
def test_an_address_that_would_show_the_key_or_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Client(url, BearerKey("key"))


def test_the_client_knows_every_field_of_a_decision(served: Served) -> None:
    assert set(Decision.__dataclass_fields__) - {"answer", "replayed"} == set(DecisionSchema().fields)


def test_the_client_stands_alone() -> None:
    run = "import sys, decision_service_client; print(*(one for one in sys.modules if one.split('.')[0] in {names}))"
    names = {"decision_service", "ml", "flask", "sqlalchemy", "marshmallow"}
    done = subprocess.run([sys.executable, "-c", run.format(names=names)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


MISTAKEN_KEYS = {
    "no variable": (None, TypeError, "variable"),
    "nothing": ("", ValueError, "empty"),
    "a path": ("/etc/secret.key", ValueError, "a path; read the file"),
    "a line": ("dsk_secret\n", ValueError, "line's end"),
    "a header": ("Bearer dsk_secret", ValueError, "whole header"),
    "dashes of a word processor": ("dsk\u2013secret", ValueError, "characters"),
}


@pytest.mark.parametrize(("key", "kind", "hint"), MISTAKEN_KEYS.values(), ids=MISTAKEN_KEYS.keys())
def test_what_cannot_be_a_bearer_key_is_told_and_not_shown(key: Any, kind: type[Exception], hint: str) -> None:
    with pytest.raises(kind, match=hint) as refused:
        BearerKey(key)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("key", ["client-key.pem", "-----BEGIN PRIVATE KEY-----"])
def test_a_private_key_is_given_as_its_bytes(key: Any) -> None:
    with pytest.raises(TypeError, match="PEM itself"):
        PrivateKeyJwt("bank-03", kid="k", private_key=key, issuer=URL)


def test_methods_of_the_client_are_the_calls_of_the_same_names() -> None:
    sent = {name for name, one in vars(Client).items() if not name.startswith("_")} - {"close", "send", "each"}
    assert sent == set(calls.__all__) - {"LINES", "Page", "START"}
    for name in sent:
        method, call = getattr(Client, name), getattr(calls, name)
        assert method.__doc__ == call.__doc__
        assert list(signature(method).parameters) == ["self", *signature(call).parameters]


def test_a_bare_key_is_refused_at_once_and_not_shown() -> None:
    with pytest.raises(TypeError, match="BearerKey") as refused:
        Client(URL, "dsk_secret")  # type: ignore[arg-type]
    assert "secret" not in str(refused.value)
