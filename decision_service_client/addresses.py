"""Addresses to which keys may be sent."""

from __future__ import annotations

from ipaddress import ip_address

import httpx


def checked(url: str) -> str:
    """An address without a last slash. Raises ``ValueError`` for none, and where keys would travel in the clear."""
    parts = httpx.URL(url)
    if parts.scheme not in ("http", "https") or not parts.host or parts.query or parts.fragment or parts.userinfo:
        raise ValueError(f"{url!r} is no address such as https://platform.example")
    if parts.scheme == "http" and not _is_this_machine(parts.host):
        raise ValueError(f"{url!r} would send the key in the clear; use https")
    return url.rstrip("/")


def usable(credential: httpx.Auth) -> httpx.Auth:
    """The credential. Raises ``TypeError``, which does not show it, for a bare key."""
    if not isinstance(credential, httpx.Auth):
        raise TypeError(f"a credential is needed, not {type(credential).__name__}: BearerKey(key) or PrivateKeyJwt(…)")
    return credential


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
