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


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
