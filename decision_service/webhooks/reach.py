"""Where events may be sent: only to public addresses, found once and then connected to, so that no name can lie."""

from __future__ import annotations

import queue
import re
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from decision_service.errors import InputError

LONGEST = 1_024
LOCAL = "DECISION_WEBHOOK_LOCAL"
HTTPS = 443
PORTS = frozenset({HTTPS})
MOST_AT_ONCE = 4
_PLAIN = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]+")
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "168.63.129.16/32",  # a cloud's own service behind a public address
        "192.0.0.0/24", "192.88.99.0/24",
        "::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10",
        "3fff::/20",  # for documentation, which Python knows from 3.13 on
    )
)  # fmt: skip
"""What the registry calls global, or an IPv4 address in disguise."""
Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Iterable[str]]


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name. Raises ``OSError``."""
    return [str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Promptly:
    """Finds addresses for who cannot wait: a name whose server does not answer holds up no more than ``seconds``.

    At most ``MOST_AT_ONCE`` names are waited for, so that a crowd of such names does not hold up one after the other.
    """

    def __init__(self, resolve: Resolve = resolved, seconds: float = 0.5) -> None:
        self._resolve = resolve
        self._seconds = seconds
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)

    def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of a name. Raises ``OSError``, also when too many others are waited for."""
        if not self._free.acquire(blocking=False):
            raise OSError("too many names are slow to be found")
        found: queue.Queue[list[str] | OSError] = queue.Queue()

        def look() -> None:
            try:
                found.put(list(self._resolve(host, port)))
            except OSError as error:
                found.put(error)
            except ValueError as error:  # what cannot be a name at all
                found.put(OSError(str(error)))
            finally:
                self._free.release()

        threading.Thread(target=look, name="resolver", daemon=True).start()
        try:
            addresses = found.get(timeout=self._seconds)
        except queue.Empty:
            raise OSError(f"no answer within {self._seconds:g} seconds") from None
        if isinstance(addresses, OSError):
            raise addresses
        return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, and not reserved for anything."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _REFUSED if network.version == address.version)


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached. ``local`` admits http and loopback addresses at any port beside: for tests and sandboxes."""

    local: bool = False
    ports: frozenset[int] = PORTS
    resolve: Resolve = resolved

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Reach":
        """``DECISION_WEBHOOK_LOCAL`` (yes or no) and ``DECISION_WEBHOOK_PORTS``. Raises ``InputError``."""
        local, ports = environ.get(LOCAL, "no"), environ.get("DECISION_WEBHOOK_PORTS", str(HTTPS))
        if local not in ("yes", "no"):
            raise InputError(f"{local!r} is not usable", where=LOCAL, remedy="give yes or no")
        numbers = ports.split()
        if not numbers or not all(re.fullmatch("[0-9]{1,5}", one) and 0 < int(one) < 65_536 for one in numbers):
            raise InputError("these are no ports", where="DECISION_WEBHOOK_PORTS", remedy='such as "443 8443"')
        return cls(local == "yes", frozenset(map(int, numbers)))

    def check(self, url: str) -> None:
        """Raises ``InputError`` for an address to which nothing is ever sent."""
        parts = _split(url)
        host, port = str(parts.hostname), port_of(parts)
        try:
            addresses = [ip_address(one) for one in self.resolve(host, port)]
        except (OSError, ValueError):
            raise _refused("its name has no address", "check the name") from None
        is_loopback = bool(addresses) and all(one.is_loopback for one in addresses)
        local = self.local and is_loopback
        if is_loopback and not local:
            remedy = f"receive at a public address; to try it on this machine, serve with {LOCAL}=yes"
            raise _refused("it leads to this machine itself, which is not public", remedy)
        if parts.scheme != "https" and not local:
            raise _refused("it is not https", "give an address that begins with https://")
        if not local and port not in self.ports:
            admitted = ", ".join(map(str, sorted(self.ports)))
            raise _refused(f"its port is {port}", f"receive at port {admitted}")
        self._admitted(addresses)

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to now. Raises ``InputError`` if one of them is not admitted, ``OSError``."""
        found = [ip_address(one) for one in self.resolve(host, port)]
        self._admitted(found)
        return [str(one) for one in dict.fromkeys(found)]

    def _admitted(self, addresses: list[Address]) -> None:
        """One address that is not admitted is enough to refuse all: a name that has such a one is up to something."""
        if not addresses:
            raise _refused("its name has no address", "check the name")
        if not all(is_public(one) or (self.local and one.is_loopback) for one in addresses):
            raise _refused("its name leads to an address that is not public", "receive at a public address")


def port_of(parts: SplitResult) -> int:
    """The port of an address, its scheme's if it names none."""
    return parts.port or (HTTPS if parts.scheme == "https" else 80)


def _split(url: str) -> SplitResult:
    if not _PLAIN.fullmatch(url) or "\\" in url or len(url) > LONGEST:
        raise _refused(f"it is not 1 to {LONGEST:,} plain ASCII characters", "write it as a browser shows it")
    try:
        parts = urlsplit(url)
        port = port_of(parts)
    except ValueError:
        raise _refused("it is not an address", "such as https://bank.example/events") from None
    if parts.scheme not in ("https", "http") or not parts.hostname or not 0 < port < 65_536 or parts.port == 0:
        raise _refused("it is not an https address", "such as https://bank.example/events")
    if "@" in parts.netloc:
        raise _refused("it holds a user's name or password", "leave them out: signatures tell who sends")
    if "#" in url:
        raise _refused("it has a fragment", "leave out # and what follows")
    if not _NAME.fullmatch(parts.hostname):
        raise _refused("its host is no name", "such as https://bank.example/events")
    return parts


def _refused(what: str, remedy: str) -> InputError:
    return InputError(what, where="url", remedy=remedy)
