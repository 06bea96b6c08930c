"""Quotas: how many requests of a kind a client may send in how many seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from decision_service.errors import InputError

_TEXT = re.compile(r"([a-z]+)=([0-9]{1,7})/([0-9]{1,5})")
OFF = "off"


@dataclass(frozen=True, slots=True)
class Quota:
    """At most ``count`` requests at once; one more for each ``seconds / count`` that pass."""

    name: str
    count: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.name}={self.count}/{self.seconds}"


DEFAULTS: Mapping[str, Quota] = {
    one.name: one
    for one in (
        Quota("decide", 20_000, 10),  # POST /v1/decisions
        Quota("batch", 60, 3_600),  # POST /v1/decision-batches
        Quota("compute", 2_000, 10),  # simulations, explanations, proofs
        Quota("write", 5_000, 10),  # whatever else changes something
        Quota("read", 20_000, 10),
    )
}


def parsed(texts: Iterable[str], where: str) -> dict[str, Quota]:
    """Quotas such as ``decide=100/10``, by name. Raises ``InputError``."""
    found = {}
    for text in texts:
        match = _TEXT.fullmatch(text)
        if match is None or match[1] not in DEFAULTS or not int(match[2]) or not int(match[3]):
            remedy = f"give requests/seconds, such as decide=100/10; kinds are {', '.join(DEFAULTS)}"
            raise InputError(f"{ascii(text[:40])} is no quota", where=where, remedy=remedy)
        found[match[1]] = Quota(match[1], int(match[2]), int(match[3]))
    return found
