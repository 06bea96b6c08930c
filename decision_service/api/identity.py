"""`/v1/oauth`: access tokens of clients that sign with keys of their own, and their end; what is told of the issuer."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from flask import Response, current_app, g, request
from flask.views import MethodView
from marshmallow import fields, validate

from decision_service.api.access import CHALLENGE, limited
from decision_service.api.documents import JSON, StrictBlueprint
from decision_service.api.render import to_bytes
from decision_service.api.requests import real, runtime
from decision_service.api.schemas import Strict
from decision_service.api.trust import Trust
from decision_service.errors import GrantRefused
from decision_service.identity.desk import KEYS_PATH, REVOCATION_PATH, TOKEN_PATH, Asked
from decision_service.identity.jose import LONGEST, SIGNATURES
from decision_service.permissions import SCOPES

METADATA_PATH = "/.well-known/oauth-authorization-server"
FORM = "application/x-www-form-urlencoded"
MAX_FORM_BYTES = 4 * LONGEST
CLIENT_CREDENTIALS = "client_credentials"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CODES = ("invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope", "unsupported_token_type")
PUBLIC_SECONDS = 300
"""How long others may keep what is published here."""
OPEN: dict[str, list[str]] = {"security": []}
blueprint = StrictBlueprint("identity", __name__, description="Access tokens (OAuth 2.0)")


class TokenSchema(Strict):
    """An access token and what it is good for (RFC 6749, 5.1)."""

    access_token = fields.String(required=True)
    token_type = fields.String(required=True, validate=validate.Equal("Bearer"))
    expires_in = fields.Integer(required=True, metadata={"description": "Seconds"})
    scope = fields.String(required=True, metadata={"description": "What was granted, with blanks between"})


class TokenErrorSchema(Strict):
    """Why there is no token, or none was ended (RFC 6749, 5.2; RFC 7009, 2.2.1)."""

    error = fields.String(required=True, validate=validate.OneOf(CODES))
    error_description = fields.String(required=True)


class KeySetSchema(Strict):
    """Public keys (RFC 7517)."""

    keys = fields.List(fields.Dict(), required=True)


class MetadataSchema(Strict):
    """What clients must know of the issuer (RFC 8414)."""

    issuer = fields.String(required=True)
    token_endpoint = fields.String(required=True)
    jwks_uri = fields.String(required=True)
    response_types_supported = fields.List(fields.String(), required=True)
    grant_types_supported = fields.List(fields.String(), required=True)
    token_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)
    token_endpoint_auth_signing_alg_values_supported = fields.List(fields.String(), required=True)
    scopes_supported = fields.List(fields.String(), required=True)
    revocation_endpoint = fields.String(required=True)
    revocation_endpoint_auth_methods_supported = fields.List(fields.String(), required=True)
    revocation_endpoint_auth_signing_alg_values_supported = fields.List(fields.String(), required=True)
    tls_client_certificate_bound_access_tokens = fields.Boolean(required=True)


SIGNED = {
    "client_assertion_type": {"type": "string", "enum": [JWT_BEARER]},
    "client_assertion": {"type": "string", "minLength": 1, "maxLength": LONGEST, "description": "A signed JWT"},
    "client_id": {"type": "string", "description": "May be given; must be that of the JWT"},
}


def _body(*required: str, **properties: Any) -> dict[str, Any]:
    needed = [*required, "client_assertion_type", "client_assertion"]
    others = {"type": "string"}  # they are not looked at, but each may stand once
    known = {**properties, **SIGNED}
    schema = {"type": "object", "required": needed, "properties": known, "additionalProperties": others}
    return {"required": True, "content": {FORM: {"schema": schema}}}


BODY = _body(
    "grant_type",
    grant_type={"type": "string", "enum": [CLIENT_CREDENTIALS]},
    scope={"type": "string", "description": "With blanks between; by default all of the kind"},
)
REVOCATION_BODY = _body(
    "token",
    token={"type": "string", "minLength": 1, "description": "An access token of the client's own"},
    token_type_hint={"type": "string", "description": "Not needed"},
)


@blueprint.route(TOKEN_PATH)
class Tokens(MethodView):
    """The token endpoint."""

    @blueprint.doc(operationId="createToken", **OPEN, requestBody=BODY)
    @blueprint.problems(413, 429, 503)
    @blueprint.alt_response(401, schema=TokenErrorSchema, content_type=JSON, description="invalid_client")
    @blueprint.alt_response(400, schema=TokenErrorSchema, content_type=JSON, description="any other error")
    @blueprint.response(200, TokenSchema)
    def post(self) -> Response:
        """An access token for a client that signs who it is (RFC 6749, 4.4; RFC 7523, 2.2).

        The JWT names the client (`iss`, `sub`), this issuer or this address (`aud`), `iat`, `exp` at most five minutes
        later, and a `jti` of its own; its header the key (`kid`). It is used up by a token.
        """
        platform = runtime()
        desk = platform.service.identity()
        try:
            known = desk.sender(_asked())
            real(g).client = known.client
            limited(known.client)
            granted = desk.grant(known, platform.clock())
        except GrantRefused as error:
            return _refused(error)
        content = {
            "access_token": granted.token,
            "token_type": "Bearer",
            "expires_in": granted.seconds,
            "scope": " ".join(granted.scopes),
        }
        return Response(to_bytes(content), content_type=JSON, headers={"Pragma": "no-cache"})


@blueprint.route(REVOCATION_PATH)
class Revocation(MethodView):
    """The revocation endpoint."""

    @blueprint.doc(operationId="revokeToken", **OPEN, requestBody=REVOCATION_BODY)
    @blueprint.problems(413, 429, 503)
    @blueprint.alt_response(401, schema=TokenErrorSchema, content_type=JSON, description="invalid_client")
    @blueprint.alt_response(400, schema=TokenErrorSchema, content_type=JSON, description="any other error")
    @blueprint.response(200, description="It counts no longer, or never did")
    def post(self) -> Response:
        """End an access token before its time (RFC 7009), signed for as one is asked for.

        What is no valid token of the client's own is left as it is and answered alike. Within seconds every worker
        refuses the token; the key by which it was got goes on.
        """
        platform = runtime()
        desk = platform.service.identity()
        try:
            form = _form()
            if "token" not in form:
                raise GrantRefused("invalid_request", "token is missing")
            known = desk.sender(_signed(form))
            real(g).client = known.client
            limited(known.client)
            desk.revoke(known, form["token"], platform.clock())
        except GrantRefused as error:
            return _refused(error)
        answer = Response()
        del answer.headers["Content-Type"]
        return answer


@blueprint.route(KEYS_PATH)
class Keys(MethodView):
    """The issuer's keys."""

    @blueprint.doc(operationId="getKeySet", **OPEN)
    @blueprint.response(200, KeySetSchema, content_type="application/jwk-set+json")
    def get(self) -> Response:
        """The public keys of access tokens: yesterday's, today's and tomorrow's."""
        platform = runtime()
        found = platform.service.identity().published_keys(platform.clock())
        return _public(found, "application/jwk-set+json")


@blueprint.route(METADATA_PATH)
class Metadata(MethodView):
    """The issuer."""

    @blueprint.doc(operationId="getServerMetadata", **OPEN)
    @blueprint.response(200, MetadataSchema)
    def get(self) -> Response:
        """Where tokens are to be had, and how (RFC 8414)."""
        issuer = runtime().service.identity().issuer
        content = {
            "issuer": issuer.url,
            "token_endpoint": issuer.token_endpoint,
            "jwks_uri": issuer.url + KEYS_PATH,
            "response_types_supported": [],
            "grant_types_supported": [CLIENT_CREDENTIALS],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": list(SIGNATURES),
            "scopes_supported": list(SCOPES),
            "revocation_endpoint": issuer.revocation_endpoint,
            "revocation_endpoint_auth_methods_supported": ["private_key_jwt"],
            "revocation_endpoint_auth_signing_alg_values_supported": list(SIGNATURES),
            "tls_client_certificate_bound_access_tokens": bool(_trust().proxies),
        }
        return _public(content, JSON)


def _asked() -> Asked:
    """The form. Raises ``GrantRefused`` for what is no request for a token of the one kind there is."""
    form = _form()
    if "grant_type" not in form:
        raise GrantRefused("invalid_request", f"grant_type is missing; it must be {CLIENT_CREDENTIALS}")
    if form["grant_type"] != CLIENT_CREDENTIALS:
        raise GrantRefused("unsupported_grant_type", f"grant_type must be {CLIENT_CREDENTIALS}")
    return _signed(form)


def _signed(form: dict[str, str]) -> Asked:
    """What shows who sent a form. Raises ``GrantRefused``."""
    if "client_secret" in form or request.headers.get("Authorization"):
        raise GrantRefused("invalid_request", "clients show who they are by client_assertion, and by nothing else")
    if form.get("client_assertion_type") != JWT_BEARER or "client_assertion" not in form:
        raise GrantRefused("invalid_request", f"send client_assertion, with client_assertion_type {JWT_BEARER}")
    certificate = _trust().certificate(request.headers, request.remote_addr)
    return Asked(form["client_assertion"], form.get("scope"), form.get("client_id"), certificate)


def _form() -> dict[str, str]:
    """Parameters by name: each once, one without a value is as good as none (RFC 6749, 3.2)."""
    if request.mimetype != FORM:
        raise GrantRefused("invalid_request", f"the body must be {FORM}")
    content = request.get_data(cache=False)
    if len(content) > MAX_FORM_BYTES:
        raise GrantRefused("invalid_request", f"the body is longer than {MAX_FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError as error:
        raise GrantRefused("invalid_request", f"the body is not {FORM} in UTF-8") from error
    if len(dict(pairs)) < len(pairs):
        raise GrantRefused("invalid_request", "a parameter stands twice")
    return {name: value for name, value in pairs if value}


def _refused(error: GrantRefused) -> Response:
    status = 401 if error.code == "invalid_client" else 400
    headers = {"WWW-Authenticate": CHALLENGE} if status == 401 else {}
    content = {"error": error.code, "error_description": error.text()}
    return Response(to_bytes(content), status, content_type=JSON, headers={"Pragma": "no-cache", **headers})


def _public(content: dict[str, Any], content_type: str) -> Response:
    headers = {"Cache-Control": f"public, max-age={PUBLIC_SECONDS}"}
    return Response(to_bytes(content), content_type=content_type, headers=headers)


def _trust() -> Trust:
    found: Trust = current_app.extensions["decision_service_trust"]
    return found
