"""The client: ``Client`` for plain code, ``AsyncClient`` for asyncio, over the same calls and the same steps."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import update_wrapper
from inspect import Parameter, signature
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx

from decision_service_client import calls
from decision_service_client.addresses import checked, usable
from decision_service_client.calls import Page
from decision_service_client.exchange import Answer, Call, Pause, Retry, Send, steps

T = TypeVar("T")
P = ParamSpec("P")
Method = TypeVar("Method", bound=Callable[..., Any])
USER_AGENT = "decision-service-client"


def _sends(call: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """The method that sends a call."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.send(call(*args, **kwargs))

    return _like(call, method)


def _lists(call: Callable[P, Call[Page[T]]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """The method that reads a list."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return self.each(call(*args, **kwargs))

    return _like(call, method)


def _like(call: Callable[..., Any], method: Method) -> Method:
    """The method with a call's name, text and parameters, as ``help`` shows them."""
    update_wrapper(method, call)
    told, self = signature(call), Parameter("self", Parameter.POSITIONAL_ONLY)
    method.__signature__ = told.replace(parameters=[self, *told.parameters.values()])  # type: ignore[attr-defined]
    return method


class Client:
    """Calls the platform. Each method sends the call of the same name in ``calls``; it may be shared by threads.

    A method whose call is one of a list reads page by page as its items are asked for.

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

    decide = _sends(calls.decide)
    decision = _sends(calls.decision)
    decisions = _lists(calls.decisions)
    explanation = _sends(calls.explanation)
    proof = _sends(calls.proof)
    simulate = _sends(calls.simulate)

    final = _sends(calls.final)
    drawdown = _sends(calls.drawdown)
    repayment = _sends(calls.repayment)
    overdue = _sends(calls.overdue)
    closure = _sends(calls.closure)
    history = _sends(calls.history)

    reviews = _lists(calls.reviews)
    assign = _sends(calls.assign)
    review = _sends(calls.review)
    pause = _sends(calls.pause)
    resume = _sends(calls.resume)

    records_behind = _sends(calls.records_behind)
    object_to_record = _sends(calls.object_to_record)
    object_to_decision = _sends(calls.object_to_decision)
    objection = _sends(calls.objection)
    objections = _lists(calls.objections)
    objection_history = _sends(calls.objection_history)
    appeal = _sends(calls.appeal)

    accept_objection = _sends(calls.accept_objection)
    refuse_objection = _sends(calls.refuse_objection)
    check_objection_source = _sends(calls.check_objection_source)
    rule_objection = _sends(calls.rule_objection)
    apply_objection = _sends(calls.apply_objection)
    notify_objection = _sends(calls.notify_objection)
    arbitrate_objection = _sends(calls.arbitrate_objection)

    submit = _sends(calls.submit)
    batch = _sends(calls.batch)
    batches = _lists(calls.batches)
    cancel = _sends(calls.cancel)
    results = _lists(calls.results)
    events = _lists(calls.events)

    webhooks = _sends(calls.webhooks)
    webhook = _sends(calls.webhook)
    add_webhook = _sends(calls.add_webhook)
    change_webhook = _sends(calls.change_webhook)
    remove_webhook = _sends(calls.remove_webhook)
    rotate_secret = _sends(calls.rotate_secret)
    ping = _sends(calls.ping)
    replay = _sends(calls.replay)
    deliveries = _lists(calls.deliveries)

    ruleset = _sends(calls.ruleset)
    models = _sends(calls.models)
    checkpoint = _sends(calls.checkpoint)


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
