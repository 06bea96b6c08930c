"""How a client says who it is: a key, sent with each request."""

from __future__ import annotations

from collections.abc import Generator

import httpx


class BearerKey(httpx.Auth):
    """The key that ``clients add`` printed."""

    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The key in its header."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request
