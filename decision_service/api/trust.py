"""What is taken for proof of who calls: whether keys count beside tokens, and whom we believe about certificates.

A proxy that ends TLS with the client's certificate tells it in ``Client-Cert`` (RFC 9440: the DER in base64 between
colons) or ``X-Client-Cert`` (the PEM, percent-encoded, as nginx has it). From any other address both say nothing.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote

from werkzeug.datastructures import Headers

Network = IPv4Network | IPv6Network
DER, PEM = "Client-Cert", "X-Client-Cert"
_DER = re.compile(r":([A-Za-z0-9+/]+={0,2}):")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)\n-----END CERTIFICATE-----\n?")


@dataclass(frozen=True, slots=True)
class Trust:
    """``keys``: bearer keys count. ``proxies``: whose word about the client's certificate counts."""

    keys: bool = True
    proxies: tuple[Network, ...] = ()

    def certificate(self, headers: Headers, remote: str | None) -> str | None:
        """The thumbprint (``x5t#S256``, RFC 8705) of the certificate that a request came with, if a proxy says so."""
        if not self._is_proxy(remote):
            return None
        given = [name for name in (DER, PEM) if name in headers]
        if len(given) != 1:
            return None
        der = _of_der(headers[DER]) if given == [DER] else _of_pem(headers[PEM])
        return None if der is None else urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()

    def _is_proxy(self, remote: str | None) -> bool:
        try:
            address = ip_address((remote or "").strip("[]"))
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self.proxies)


def _of_der(header: str) -> bytes | None:
    match = _DER.fullmatch(header)
    return None if match is None else _decoded(match[1])


def _of_pem(header: str) -> bytes | None:
    match = _PEM.fullmatch(unquote(header, errors="replace").replace("\r\n", "\n"))
    return None if match is None else _decoded(match[1].replace("\n", ""))


def _decoded(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True) or None
    except ValueError:
        return None
