"""From the registered industry to the division of GB/T 4754-2017 that the parameters are keyed by."""

from __future__ import annotations

from collections.abc import Mapping

from decision_service.portrait.records import Registration

DIVISIONS_2017 = frozenset(f"{number:02d}" for number in range(1, 98))
SPLIT_IN_2017 = frozenset({"58"})
"""Divisions of 2011 that became parts of two: 58 loading, carrying and agency is now in 58 and in 59."""
FIRST_SHIFTED, LAST_2011 = 79, 96
"""2017 inserted 79 (land management), so 79 to 96 of 2011 are now 80 to 97."""
CLASSIFICATIONS: Mapping[str, str] = {"2017": "gbt_2017", "2011": "gbt_2011"}


def industry_2017(code: str, version: str) -> str | None:
    """The 2017 division of a registered two-digit code; ``None`` if it has none or cannot be known.

    ``version`` is the classification the code was given by. A code without a version is never guessed: 82 is
    education in 2011 and other services in 2017.
    """
    if version == "2017":
        return code if code in DIVISIONS_2017 else None
    if version != "2011" or code in SPLIT_IN_2017 or code not in DIVISIONS_2017 or int(code) > LAST_2011:
        return None
    return f"{int(code) + 1}" if int(code) >= FIRST_SHIFTED else code


def industry_code(registration: Registration) -> str | None:
    """The 2017 division of an enterprise, or ``None`` when it is not known."""
    return industry_2017(registration.industry_code, registration.classification_version)


def classification(registration: Registration) -> str:
    """The fact ``industry_classification``: ``gbt_2017``, ``gbt_2011`` or ``unstated``."""
    return CLASSIFICATIONS.get(registration.classification_version, "unstated")
