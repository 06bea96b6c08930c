"""flask-smorest set up for this contract: strict bodies, problem details, an OpenAPI 3.1 document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from threading import Lock
from typing import Any, NoReturn, TypeVar, cast

from apispec import APISpec
from flask import Flask, Request, Response, request
from flask_smorest import Api, Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge

from decision_service.api import bodies, event_schemas, problems
from decision_service.api.bodies import flat
from decision_service.api.fields import Count, Money, QueryCount, Text, Uscc
from decision_service.api.metrics import BATCHES
from decision_service.api.problems import HttpProblem, invalid_fields
from decision_service.api.render import to_bytes
from decision_service.api.requests import real, runtime
from decision_service.api.schemas import ProblemSchema, Strict
from decision_service.errors import StoreError
from decision_service.identity.desk import TOKEN_PATH
from decision_service.permissions import SCOPES

JSON = "application/json"
MAX_BODY_BYTES = 64 * 1024
NOTHING = b"{}"
"""What no body is read as, where none is needed."""
MAX_BATCH_BYTES = 8 * 1024 * 1024
LARGE_BODIES = {("POST", BATCHES): MAX_BATCH_BYTES}
"""What may be larger than other bodies, by method and path: read from authenticated clients only."""
PROBLEM_RESPONSES = {
    400: "invalid-json, invalid-header or bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found or enterprise-unknown",
    409: "still-running or not-now",
    412: "precondition-failed",
    413: "body-too-large",
    415: "unsupported-media-type",
    422: "invalid-fields or idempotency-conflict",
    428: "precondition-required",
    429: "too-many-requests",
    503: "unavailable",
}


ITSELF = {
    "operationId": "getDocument",
    "summary": "This document.",
    "tags": ["operations"],
    "security": [],
    "responses": {"200": {"description": "OK", "content": {JSON: {"schema": {"type": "object"}}}}},
}
CHOOSING = frozenset({"Application", "Simulation"})
"""Schemas with fields whose choices the active rules declare."""
View = TypeVar("View", bound=Callable[..., Any])
Decorator = Callable[[View], View]


class StrictParser(FlaskParser):
    """Reads query strings and reports every parameter that is not acceptable."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": None}

    def handle_error(self, error: ValidationError, *args: Any, **kwargs: Any) -> NoReturn:
        """Every message as a field of its own."""
        by_location: Any = error.messages
        raise invalid_fields(sorted(pair for messages in by_location.values() for pair in flat(messages))) from None


def _declared(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        return runtime().service.field_problems(fields)
    except StoreError:  # no rules are in force; what the contract refuses is refused all the same
        return []


def _body(req: Request, *, is_needed: bool) -> bytes:
    headers = req.headers
    plain = headers.get("Content-Type") == JSON or req.mimetype == JSON
    if not is_needed and not req.get_data():
        return NOTHING
    if not plain or headers.get("Content-Encoding", "identity") != "identity":
        raise HttpProblem("unsupported-media-type", "the body is not plain application/json", remedy="send JSON")
    found = req.get_data(cache=False)
    if len(found) > MAX_BODY_BYTES:
        raise RequestEntityTooLarge
    return found


class StrictBlueprint(Blueprint):
    """A blueprint whose views answer ``Response`` objects: what it decorates is documentation, free at each call."""

    ARGUMENTS_PARSER = StrictParser()

    def doc(self, **kwargs: Any) -> Decorator:
        """Document a view."""
        return _documenting(super().doc(**kwargs))

    def response(self, *args: Any, **kwargs: Any) -> Decorator:
        """Document what a view answers when all is well."""
        return _documenting(super().response(*args, **kwargs))

    def problems(self, *statuses: int) -> Decorator:
        """Document the problems that a view answers."""

        def decorate(view: View) -> View:
            for status in sorted({*statuses, 429} if 401 in statuses else statuses):  # whoever is known has a quota
                answered = self.alt_response(
                    status,
                    schema=ProblemSchema,
                    content_type=problems.CONTENT_TYPE,
                    description=PROBLEM_RESPONSES[status],
                )
                view = _documenting(answered)(view)
            return view

        return decorate

    def body(self, schema: Schema, declared: bodies.Declared = _declared) -> Decorator:
        """Give a view what a schema makes of the JSON body, as its last argument; raises 400, 413, 415 or 422.

        Where the schema asks for nothing, no body is as good as an empty object.
        """
        is_needed = bool(schema.validate({}))

        def decorate(view: View) -> View:
            documented = self.arguments(schema, required=is_needed)(view)

            @wraps(view)
            def reading(*args: Any, **kwargs: Any) -> Any:
                document = bodies.read(_body(real(request), is_needed=is_needed))
                return view(*args, bodies.loaded(schema, document, declared), **kwargs)

            reading._apidoc = documented._apidoc  # type: ignore[attr-defined]
            return cast(View, reading)

        return decorate


def _documenting(decorator: Callable[[View], Any]) -> Decorator:
    """Keep the documentation that a decorator of flask-smorest writes, not its wrapper around each call."""

    def decorate(view: View) -> View:
        view._apidoc = decorator(view)._apidoc  # type: ignore[attr-defined]
        return view

    return decorate


class Documented(Api):
    """The OpenAPI document; errors are answered by ``failures``, not by flask-smorest."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask) -> None:
        self._undescribed: list[Blueprint] = []
        self._describing = Lock()
        super().__init__(app)

    def register_blueprint(self, blp: Blueprint, **options: Any) -> None:
        """Serve a blueprint at once; it is described, which takes far longer, when the document is first asked for."""
        self._app.register_blueprint(blp, **options)
        self._undescribed.append(blp)

    def _describe(self) -> None:
        with self._describing:
            if not self._undescribed:
                return
            while self._undescribed:
                blueprint = self._undescribed.pop(0)
                blueprint.register_views_in_doc(self, self._app, self.spec, name=blueprint.name, parameters=None)
                self.spec.tag({"name": blueprint.name, "description": blueprint.description})
            event_schemas.describe(self.spec)

    def _openapi_json(self) -> Response:
        """The document as it is true now: what the active rules declare as choices stands in it."""
        self._describe()
        found: dict[str, Any] = self.spec.to_dict()
        named = {schema_name(kind): kind for kind in _kinds_of(Strict)}
        choices = runtime().service.choices()
        found["servers"] = [
            {"url": "/", "description": "Where this document was read"},
            {"url": runtime().service.identity().issuer.url, "description": "As clients know the service"},
        ]
        for name, shown in found["components"]["schemas"].items():
            shown.update(getattr(named.get(name), "also", {}))
            if name in CHOOSING:
                for field, admitted in choices.items():
                    shown["properties"][field]["enum"] = [*admitted]
        _link(found)
        return Response(to_bytes(found), content_type=JSON)

    def _register_error_handlers(self) -> None:
        """Nothing: one place maps errors."""

    def _register_responses(self) -> None:
        """Nothing: every answer has a schema of this contract, none that of flask-smorest's errors."""

    def _register_pagination_header(self) -> None:
        """Nothing: pages here have cursors."""


def _link(found: dict[str, Any]) -> None:
    """Say of each answer that names something new which operations take its id."""
    schemas, paths = found["components"]["schemas"], found["paths"].items()
    operations = [(path, one) for path, methods in paths for one in methods.values() if "responses" in one]
    for path, operation in operations:
        answers = operation["responses"]
        made = answers.get("201") or answers.get("202") or {}
        schema = made.get("content", {}).get(JSON, {}).get("schema", {})
        known = schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
        links = {
            other["operationId"]: {"operationId": other["operationId"], "parameters": {name: f"$response.body#/{name}"}}
            for name in known
            for takes, other in operations
            if f"{{{name}}}" in takes and f"{{{name}}}" not in path
        }
        if links:
            made["links"] = links


def _kinds_of(kind: type[Schema]) -> Iterator[type[Schema]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds_of(one)


def schema_name(schema: Any) -> str:
    """``DecisionSchema`` is called ``Decision`` in the document."""
    kind = schema if isinstance(schema, type) else type(schema)
    return str(kind.__name__).removesuffix("Schema")


def document(app: Flask, version: str) -> Documented:
    """Attach the API to an application; the document is served at ``/v1/openapi.json``."""
    app.config.update(
        API_TITLE="Financing credit decisions",
        API_VERSION=version,
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/v1",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={
            "info": {"description": "Auditable decisions on loan applications of small and medium enterprises."},
            "security": [{"bearer": []}],
        },
    )
    api = Documented(app)
    spec: APISpec = api.spec
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    flow = {"tokenUrl": TOKEN_PATH, "scopes": dict(SCOPES)}
    spec.components.security_scheme("oauth2", {"type": "oauth2", "flows": {"clientCredentials": flow}})
    served = next(rule for rule in app.url_map.iter_rules() if rule.rule == "/v1/openapi.json")
    spec.path(rule=served, operations={"get": ITSELF})
    kinds = {Text: "string", Uscc: "string", Count: "integer", QueryCount: "integer", Money: ["string", "number"]}
    for field, kind in kinds.items():
        api.register_field(field, kind, None)
    return api
