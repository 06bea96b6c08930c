"""Exact numbers as text, by their type alone."""

from __future__ import annotations

from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue

_NUMBERS = {kind.value: FactCatalogue([Fact(kind.value, kind)]) for kind in FactType}


def exact_text(kind: str, exact: int) -> str:
    """An exact number of a type (``money``, ``ratio`` …) as people read it."""
    return _NUMBERS[kind].text(kind, exact)
