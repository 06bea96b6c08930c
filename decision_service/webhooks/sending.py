"""One attempt to deliver: a POST to an address that was just checked, within a time, without redirects or proxies."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from decision_service.errors import InputError
from decision_service.webhooks.reach import Reach

SECONDS = 10.0
"""For all of an attempt: a receiver answers first and works afterwards."""
CONNECT_SECONDS = 5.0
MOST_READ = 4_096
"""Of an answer nothing more is read; what it says beside its status does not matter."""
FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of an attempt: a status, or the word for why there is none; ``retry_after`` in seconds."""

    status: int | None
    error: str = ""
    retry_after: int = 0

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has the event."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends events; each attempt has a connection of its own."""

    def __init__(self, reach: Reach, *, tls: ssl.SSLContext | None = None, seconds: float = SECONDS) -> None:
        self._reach = reach
        self._tls = tls or ssl.create_default_context()
        self._seconds = seconds

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send once; never raises for what the other side does."""
        backend = _Backend(self._reach, time.monotonic() + self._seconds)
        timeouts = {"connect": CONNECT_SECONDS, "read": self._seconds, "write": self._seconds, "pool": self._seconds}
        try:
            self._reach.check(url)
            with httpcore.ConnectionPool(ssl_context=self._tls, network_backend=backend, http2=False) as pool:
                with pool.stream(
                    "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": timeouts}
                ) as response:
                    if 200 <= response.status < 300:
                        _read_some(response.iter_stream())
                    return Reply(response.status, retry_after=_retry_after(response.headers))
        except InputError as error:
            return Reply(None, f"refused: {error.what}")
        except httpcore.TimeoutException:
            return Reply(None, "no answer in time")
        except FAILURES as error:
            return Reply(None, "not trusted" if "CERTIFICATE" in str(error).upper() else "no connection")


def _read_some(chunks: Iterable[bytes]) -> None:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MOST_READ:
            return


def _retry_after(headers: list[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 7:
            return int(value)
    return 0


class _Backend(httpcore.NetworkBackend):
    """Connects to addresses that were checked, not to names: TLS and Host still go by the name."""

    def __init__(self, reach: Reach, ends: float) -> None:
        self._reach = reach
        self._ends = ends
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        """Try the addresses of a name in their order."""
        failed: Exception | None = None
        for address in self._reach.addresses(host, port):
            try:
                left = _left(self._ends, timeout, httpcore.ConnectTimeout)
                return _Stream(self._plain.connect_tcp(address, port, left, None, socket_options), self._ends)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError("no address")


class _Stream(httpcore.NetworkStream):
    """A connection with an end: reading a little at a time cannot hold it longer."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See httpcore."""
        return self._stream.read(max_bytes, _left(self._ends, timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See httpcore."""
        self._stream.write(buffer, _left(self._ends, timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """See httpcore."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """See httpcore."""
        left = _left(self._ends, timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._ends)

    def get_extra_info(self, info: str) -> Any:
        """See httpcore."""
        return self._stream.get_extra_info(info)


def _left(ends: float, timeout: float | None, late: type[Exception]) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise late("the time is over")
    return left if timeout is None else min(left, timeout)
