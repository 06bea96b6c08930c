"""From a signed request to an access token, and from an access token to the client that calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from decision_service.audit.signing import Signer
from decision_service.errors import GrantRefused, NotAuthentic
from decision_service.identity import assertions, jose, tokens
from decision_service.identity.assertions import Used
from decision_service.identity.tokens import Token, TokenKeys
from decision_service.permissions import KINDS, SCOPES, Caller
from decision_service.store import KeyHolder, Store
from decision_service.store.clients import KEY_PREFIX
from decision_service.vocabulary import CLIENT_ID, Client

TOKEN_PATH, REVOCATION_PATH, KEYS_PATH = "/v1/oauth/token", "/v1/oauth/revoke", "/v1/oauth/jwks"
NOT_KNOWN = "this is not a statement that a client of this platform has signed with a valid key of its own"
"""All that is told before a signature is known to be good: whether a client exists is nobody's business."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues tokens: ``url`` is its name (RFC 8414), whatever address it is called by."""

    url: str = "http://127.0.0.1:8080"
    token_seconds: int = 600

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for."""
        return self.url + TOKEN_PATH

    @property
    def revocation_endpoint(self) -> str:
        """Where tokens are ended before their time."""
        return self.url + REVOCATION_PATH


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a token or for its end, as sent; ``certificate`` is the thumbprint of the one it came with."""

    assertion: str
    scope: str | None = None
    client_id: str | None = None
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A request whose sender is known."""

    asked: Asked
    holder: KeyHolder
    kid: str
    claims: Mapping[str, Any]

    @property
    def client(self) -> Client:
        """The sender."""
        return self.holder.client


@dataclass(frozen=True, slots=True)
class Granted:
    """A token and what it is good for."""

    token: str
    seconds: int
    scopes: tuple[str, ...]


class IdentityDesk:
    """Clients' keys of a store, and tokens signed by keys that follow from that of ``signer``."""

    def __init__(self, store: Store, signer: Signer, issuer: Issuer) -> None:
        self.issuer = issuer
        self._clients = store.client_keys()
        self._keys = TokenKeys(signer.derived)

    def sender(self, asked: Asked) -> Known:
        """Who signed a request. Raises ``GrantRefused``, in the same words for whatever is wrong."""
        try:
            signed = jose.read(asked.assertion, types=assertions.TYPES)
        except NotAuthentic as error:
            raise GrantRefused("invalid_client", NOT_KNOWN) from error
        client_id = signed.claims.get("iss")
        if not isinstance(client_id, str) or not CLIENT_ID.fullmatch(client_id):
            raise GrantRefused("invalid_client", NOT_KNOWN)
        holder = self._clients.holder(client_id, signed.key_id)
        if not assertions.is_authentic(signed, holder) or holder is None:
            raise GrantRefused("invalid_client", NOT_KNOWN)
        return Known(asked, holder, signed.key_id, signed.claims)

    def grant(self, known: Known, now: datetime) -> Granted:
        """A token for whoever signed the request, which is used up by it. Raises ``GrantRefused``."""
        asked, client = known.asked, known.client
        used = self._checked(known, self.issuer.token_endpoint, now)
        if known.holder.bound and asked.certificate is None:
            raise GrantRefused("invalid_client", "tokens of this client are bound to its certificate, and none came")
        scopes = granted(asked.scope, client.kind)
        self._use_up(client, used, now)
        return self._token(known, scopes, now)

    def revoke(self, known: Known, text: str, now: datetime) -> None:
        """End a token of whoever signed the request, which is used up by it; of others nothing is told or ended.

        Raises ``GrantRefused``.
        """
        used = self._checked(known, self.issuer.revocation_endpoint, now)
        if text.startswith(KEY_PREFIX):
            raise GrantRefused("unsupported_token_type", "a bearer key is ended by the platform: ask for that")
        self._use_up(known.client, used, now)
        try:
            token = tokens.verified(self._keys, text, issuer=self.issuer.url, now=now)
        except NotAuthentic:
            return
        if token.client_id == known.client.client_id:
            useless_at = token.expires_at + 2 * tokens.SKEW  # a worker whose clock is behind must not forget it either
            self._clients.revoke_token(token.client_id, token.jti, useless_at, now)

    def _checked(self, known: Known, endpoint: str, now: datetime) -> Used:
        """What the statement allows to be used now, at one endpoint. Raises ``GrantRefused``."""
        client_id, audiences = known.client.client_id, frozenset({self.issuer.url, endpoint})
        try:
            used = assertions.checked(known.claims, client_id=client_id, audiences=audiences, now=now)
        except NotAuthentic as error:
            raise GrantRefused("invalid_client", error.what) from error
        if known.asked.client_id not in (None, client_id):
            raise GrantRefused("invalid_client", "client_id is not that of the signed statement")
        return used

    def _use_up(self, client: Client, used: Used, now: datetime) -> None:
        if not self._clients.use(client.client_id, used.jti, used.useless_at, now):
            raise GrantRefused("invalid_client", "this statement was used before; sign a new one with another jti")

    def _token(self, known: Known, scopes: frozenset[str], now: datetime) -> Granted:
        token = Token(
            client_id=known.client.client_id,
            key=known.kid,
            scopes=scopes,
            expires_at=now + timedelta(seconds=self.issuer.token_seconds),
            certificate=known.asked.certificate if known.holder.bound else None,
        )
        text = tokens.issue(self._keys, token, issuer=self.issuer.url, now=now)
        return Granted(text, self.issuer.token_seconds, tuple(sorted(scopes)))

    def caller(self, text: str, now: datetime) -> Caller | None:
        """Who holds a token that is valid now; ``None`` when it is not, or it, client or key were revoked since."""
        try:
            token = tokens.verified(self._keys, text, issuer=self.issuer.url, now=now)
        except NotAuthentic:
            return None
        holder = self._clients.holder(token.client_id, token.key, token.jti)
        if holder is None or (holder.bound and token.certificate is None):
            return None
        scopes = token.scopes & KINDS[holder.client.kind].scopes
        return Caller(holder.client, scopes, token.expires_at, token.certificate)

    def published_keys(self, now: datetime) -> dict[str, Any]:
        """The keys by which tokens can be verified, as a JWK set."""
        return self._keys.published(now)


def granted(asked: str | None, kind: str) -> frozenset[str]:
    """The scopes asked for, which must all be the kind's; without any, all of the kind's. Raises ``GrantRefused``."""
    allowed = KINDS[kind].scopes
    if asked is None:
        return allowed
    wanted = asked.split(" ")
    if not set(wanted) <= allowed:
        lacking = [name for name in wanted if name not in allowed]
        names = ", ".join(name if name in SCOPES else "an unknown one" for name in lacking)
        what = f"a {kind} client may not have {names}; it may have {', '.join(sorted(allowed))}"
        raise GrantRefused("invalid_scope", what)
    return frozenset(wanted)
