"""The sandbox's enterprises: fixed codes and applications, and what comes of each, whatever day it is.

``sandbox.csv`` is the contract with those who test against a sandbox; ``ml`` draws firms that keep it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

PREFIX = "91990000MC9"
"""All codes of the sandbox begin so; 990000 is no administrative division, so no real enterprise has one."""
NOT_ON_RECORD = "91990000MC9999993P"
"""A code of the sandbox that is never on record."""


@dataclass(frozen=True, slots=True)
class SandboxCase:
    """An enterprise with its application. ``reasons`` are among those given; ``amount`` in CNY."""

    key: str
    uscc: str
    product: str
    purpose: str
    amount: str
    outcome: str
    reasons: tuple[str, ...]
    zh: str
    en: str

    def application(self, application_id: str) -> dict[str, Any]:
        """The application as it is sent."""
        return {
            "application_id": application_id,
            "product": self.product,
            "amount": self.amount,
            "term_months": 12,
            "purpose": self.purpose,
            "authorization_id": f"AUTH-{self.key}",
            "enterprise": {"uscc": self.uscc},
        }


@cache
def sandbox_cases() -> tuple[SandboxCase, ...]:
    """All of them, in the order of the file."""
    with files("decision_service").joinpath("sandbox.csv").open(encoding="utf-8") as file:
        return tuple(_case(row) for row in csv.DictReader(file))


def _case(row: dict[str, str]) -> SandboxCase:
    reasons = tuple(row.pop("reasons").split())
    return SandboxCase(reasons=reasons, **row)
