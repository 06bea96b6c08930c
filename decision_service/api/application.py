"""Joins blueprints, guards and handlers into a Flask application around a service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask

from decision_service.api import (
    batches,
    decisions,
    failures,
    identity,
    in_force,
    lives,
    objections,
    operations,
    requests,
    reviews,
    simulations,
    traces,
    webhooks,
)
from decision_service.api.access import CallerCache, look_up
from decision_service.api.documents import MAX_BODY_BYTES, document
from decision_service.api.limits import Limiter
from decision_service.api.metrics import Metrics
from decision_service.api.service import Runtime
from decision_service.api.trust import Trust
from decision_service.api.turns import Turnstile

BLUEPRINTS = (
    decisions.blueprint,
    lives.blueprint,
    reviews.blueprint,
    objections.blueprint,
    batches.blueprint,
    webhooks.blueprint,
    webhooks.events_blueprint,
    simulations.blueprint,
    in_force.blueprint,
    identity.blueprint,
    operations.blueprint,
)


class Synchronous(Flask):
    """No view here is a coroutine, so none is examined at each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function itself."""
        return func


def http_application(
    runtime: Runtime,
    *,
    version: str,
    shared_metrics: str | None = None,
    limiter: Limiter | None = None,
    told: requests.Told | None = None,
    trust: Trust = Trust(),
) -> Flask:
    """A Flask application that serves ``/v1`` from a runtime."""
    app = Synchronous("decision_service", static_folder=None)
    # Werkzeug refuses an announced length beyond this unread, but cuts a chunked body there without a word:
    # the byte beyond our limit tells the two apart.
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False  # a redirect would name whatever host the caller named
    app.extensions["decision_service"] = runtime
    app.extensions["decision_service_trust"] = trust
    app.extensions["decision_service_callers"] = CallerCache(look_up(runtime, trust))
    app.extensions["decision_service_metrics"] = metrics = Metrics(shared_metrics)
    app.extensions["decision_service_limiter"] = limiter
    app.extensions["decision_service_turnstile"] = Turnstile(limiter, metrics, told=told)
    requests.install(app, metrics, told)
    traces.install(app)
    failures.install(app)
    api = document(app, version)
    for blueprint in BLUEPRINTS:
        api.register_blueprint(blueprint)
    return app
