"""The client: ``Client`` for plain code, ``AsyncClient`` for asyncio, over the same calls and the same steps."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from types import TracebackType
from typing import Any, TypeVar

import httpx

from decision_service_client import calls
from decision_service_client.addresses import checked, usable
from decision_service_client.calls import Page
from decision_service_client.exchange import Answer, Call, Pause, Retry, Send, steps
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
)

T = TypeVar("T")
USER_AGENT = "decision-service-client"


class Client:
    """Calls the platform. Each method is the call of the same name in ``calls``; it may be shared by threads.

    Every method raises ``ProblemError`` for what the platform refuses and ``Unanswered`` when it is not known whether
    it acted; ``ValueError`` for what cannot be sent.
    """

    def __init__(
        self, url: str, credential: httpx.Auth, *, retry: Retry = Retry(), http: httpx.Client | None = None
    ) -> None:
        """``url`` is where the platform is, without ``/v1``; plain http is for this machine alone.

        ``credential`` is a ``BearerKey`` or ``PrivateKeyJwt``. ``http`` may bring certificates or a proxy of your own;
        it is then yours to close.
        """
        self._url, self._credential, self._retry = checked(url), usable(credential), retry
        self._http = http or httpx.Client()
        self._is_mine = http is None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        if self._is_mine:
            self._http.close()

    def send(self, call: Call[T]) -> T:
        """Send a call until it is answered or its time is over."""
        course = steps(call, self._retry, clock=time.monotonic, chance=random.random)
        given: Answer | httpx.RequestError | None = None
        try:
            while True:
                step = course.send(given)
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    given = None
                else:
                    given = self._answer(call, step)
        except StopIteration as end:
            found: T = end.value
            return found

    def each(self, call: Call[Page[T]]) -> Iterator[T]:
        """The items of a list, page by page as they are asked for."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = self.send(following)
            yield from page.items
            following = page.next

    def _answer(self, call: Call[Any], step: Send) -> Answer | httpx.RequestError:
        try:
            return _whole(self._http.request(**_request(self._url, self._credential, call, step)))
        except httpx.RequestError as error:
            return error

    def decide(self, application: Application, *, key: str | None = None) -> Decision:
        """Decide one application. The same key always has the same decision."""
        return self.send(calls.decide(application, key=key))

    def decision(self, decision_id: str) -> Decision:
        """A decision, in the bytes in which it was answered."""
        return self.send(calls.decision(decision_id))

    def decisions(self) -> Iterator[Decision]:
        """One's decisions, newest first."""
        return self.each(calls.decisions())

    def explanation(self, decision_id: str, lang: str = "zh") -> Mapping[str, Any]:
        """Every rule with what it saw, the score, the limit, what would have to change; in ``zh`` or ``en``."""
        return self.send(calls.explanation(decision_id, lang))

    def proof(self, decision_id: str) -> Proof:
        """The evidence that ``verify`` reads."""
        return self.send(calls.proof(decision_id))

    def simulate(
        self,
        application: Application | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        industry: str | None = None,
        as_of: date | None = None,
    ) -> Simulation:
        """What would be decided, with facts changed or of facts alone; nothing is stored."""
        return self.send(calls.simulate(application, facts=facts, industry=industry, as_of=as_of))

    def final(
        self,
        decision_id: str,
        *,
        outcome: Outcome,
        reason: str,
        amount: Decimal | int | None = None,
        contract_id: str | None = None,
        comment: str | None = None,
        key: str | None = None,
    ) -> Act:
        """The bank's own final decision; ``amount`` with an approval only."""
        call = calls.final(
            decision_id,
            outcome=outcome,
            reason=reason,
            amount=amount,
            contract_id=contract_id,
            comment=comment,
            key=key,
        )
        return self.send(call)

    def drawdown(
        self, decision_id: str, *, amount: Decimal | int, on: date, contract_id: str, key: str | None = None
    ) -> Act:
        """The customer has drawn."""
        return self.send(calls.drawdown(decision_id, amount=amount, on=on, contract_id=contract_id, key=key))

    def repayment(
        self, decision_id: str, *, amount: Decimal | int, on: date, contract_id: str, key: str | None = None
    ) -> Act:
        """The customer has repaid."""
        return self.send(calls.repayment(decision_id, amount=amount, on=on, contract_id=contract_id, key=key))

    def overdue(
        self,
        decision_id: str,
        *,
        days: int,
        on: date,
        contract_id: str,
        amount: Decimal | int | None = None,
        key: str | None = None,
    ) -> Act:
        """The customer is in arrears; zero days, without an amount, once they are made good."""
        call = calls.overdue(decision_id, days=days, on=on, contract_id=contract_id, amount=amount, key=key)
        return self.send(call)

    def closure(
        self, decision_id: str, *, end: str, on: date, contract_id: str | None = None, key: str | None = None
    ) -> Act:
        """The contract has ended: ``settled``, ``cancelled`` or ``written_off``."""
        return self.send(calls.closure(decision_id, end=end, on=on, contract_id=contract_id, key=key))

    def resume(self, decision_id: str, *, comment: str | None = None, key: str | None = None) -> Act:
        """The documents that were awaited have come."""
        return self.send(calls.resume(decision_id, comment=comment, key=key))

    def history(self, decision_id: str) -> History:
        """Every act, the state, and what it admits."""
        return self.send(calls.history(decision_id))

    def submit(self, applications: Iterable[Application], *, key: str | None = None) -> Batch:
        """Up to 10,000 applications, decided in their order."""
        return self.send(calls.submit(applications, key=key))

    def batch(self, batch_id: str) -> Batch:
        """How far a batch has come."""
        return self.send(calls.batch(batch_id))

    def batches(self) -> Iterator[Batch]:
        """One's batches, newest first."""
        return self.each(calls.batches())

    def cancel(self, batch_id: str) -> Batch:
        """Decide no further line; decisions that were taken stand."""
        return self.send(calls.cancel(batch_id))

    def results(self, batch_id: str, after: int = 0) -> Iterator[BatchLine]:
        """The results so far, line by line; ``after`` is the last line that was read."""
        return self.each(calls.results(batch_id, after))

    def events(self, after: str = calls.START, types: Iterable[str] = ()) -> Iterator[Event]:
        """One's events after one that is known, oldest first, to the present end of the log."""
        return self.each(calls.events(after, types))

    def webhooks(self) -> tuple[Webhook, ...]:
        """One's webhooks, oldest first; read one alone before changing it."""
        return self.send(calls.webhooks())

    def webhook(self, webhook_id: str) -> Webhook:
        """A webhook as it stands."""
        return self.send(calls.webhook(webhook_id))

    def add_webhook(
        self, url: str, types: Iterable[str], *, description: str = "", signature: str = "hmac", key: str | None = None
    ) -> Webhook:
        """Have events sent to an address, from now on; ``signature`` is ``hmac`` or ``ed25519``."""
        return self.send(calls.add_webhook(url, types, description=description, signature=signature, key=key))

    def change_webhook(
        self,
        webhook: Webhook,
        *,
        url: str | None = None,
        types: Iterable[str] | None = None,
        description: str | None = None,
        state: str | None = None,
    ) -> Webhook:
        """Change a webhook as it was read."""
        return self.send(calls.change_webhook(webhook, url=url, types=types, description=description, state=state))

    def remove_webhook(self, webhook: Webhook) -> None:
        """Forget a webhook; what waits for it is not sent."""
        return self.send(calls.remove_webhook(webhook))

    def rotate_secret(
        self, webhook_id: str, *, signature: str = "hmac", keep_hours: int = 24, key: str | None = None
    ) -> WebhookSecret:
        """A new key; the old ones stay valid for ``keep_hours``."""
        return self.send(calls.rotate_secret(webhook_id, signature=signature, keep_hours=keep_hours, key=key))

    def ping(self, webhook_id: str, *, key: str | None = None) -> str:
        """Send a ``ping``; answers the event's id."""
        return self.send(calls.ping(webhook_id, key=key))

    def replay(self, webhook_id: str, after: str = calls.START, *, key: str | None = None) -> Webhook:
        """Send again what came after an event."""
        return self.send(calls.replay(webhook_id, after, key=key))

    def deliveries(self, webhook_id: str, before: str | None = None) -> tuple[Delivery, ...]:
        """What became of events at a webhook, newest first."""
        return self.send(calls.deliveries(webhook_id, before))

    def ruleset(self) -> Ruleset:
        """The ruleset in force, with its products and purposes."""
        return self.send(calls.ruleset())

    def models(self) -> Models:
        """The models in use."""
        return self.send(calls.models())

    def checkpoint(self) -> str:
        """The log's signed size and root: keep it, and open it with the pinned key."""
        return self.send(calls.checkpoint())


class AsyncClient:
    """Sends the calls of ``calls`` under asyncio: ``await client.send(calls.decide(application))``."""

    def __init__(
        self, url: str, credential: httpx.Auth, *, retry: Retry = Retry(), http: httpx.AsyncClient | None = None
    ) -> None:
        """As ``Client``."""
        self._url, self._credential, self._retry = checked(url), usable(credential), retry
        self._http = http or httpx.AsyncClient()
        self._is_mine = http is None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        if self._is_mine:
            await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call until it is answered or its time is over."""
        course = steps(call, self._retry, clock=time.monotonic, chance=random.random)
        given: Answer | httpx.RequestError | None = None
        try:
            while True:
                step = course.send(given)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    given = None
                else:
                    given = await self._answer(call, step)
        except StopIteration as end:
            found: T = end.value
            return found

    async def each(self, call: Call[Page[T]]) -> AsyncIterator[T]:
        """The items of a list, page by page as they are asked for."""
        following: Call[Page[T]] | None = call
        while following is not None:
            page = await self.send(following)
            for one in page.items:
                yield one
            following = page.next

    async def _answer(self, call: Call[Any], step: Send) -> Answer | httpx.RequestError:
        try:
            return _whole(await self._http.request(**_request(self._url, self._credential, call, step)))
        except httpx.RequestError as error:
            return error


def _request(url: str, credential: httpx.Auth, call: Call[Any], step: Send) -> dict[str, Any]:
    """The very same bytes for each try of a call."""
    return {
        "method": call.method,
        "url": url + call.path,
        "content": call.content,
        "headers": {"User-Agent": USER_AGENT, "Accept-Language": "en", **call.headers},
        "auth": credential,
        "timeout": step.timeout,
        "follow_redirects": False,
    }


def _whole(response: httpx.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)
