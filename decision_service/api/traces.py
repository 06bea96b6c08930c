"""Requests as traces: method, route and status; neither bodies nor addresses."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask, Response, g, request

from decision_service import tracing
from decision_service.api.requests import METHODS, request_id


def install(app: Flask) -> None:
    """Hook traces into an application, if they are on."""
    if not tracing.is_on():
        return

    @app.before_request
    def begin() -> None:
        headers = {name.lower(): value for name, value in request.headers}
        g.trace = ExitStack()
        g.span = g.trace.enter_context(tracing.request_span(_method(), headers))

    @app.after_request
    def told(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else "none"
        g.span.update_name(f"{_method()} {route}")
        g.span.set_attributes(
            {
                "http.request.method": _method(),
                "http.route": route,
                "http.response.status_code": response.status_code,
                "decision_service.request_id": request_id(),
            }
        )
        return response

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        if (stack := g.pop("trace", None)) is not None:
            stack.close()


def _method() -> str:
    return request.method if request.method in METHODS else "other"
