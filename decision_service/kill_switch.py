"""The fact by which rules know whether automatic approval is switched off for an application."""

from __future__ import annotations

from collections.abc import Sequence

from decision_service.errors import StoreError
from decision_service.rulebook.facts import FactCatalogue

SWITCH, ENABLED, DISABLED = "auto_approval_switch", "enabled", "disabled"


def switch_facts(catalogue: FactCatalogue, switched_off: Sequence[str]) -> dict[str, str]:
    """Whether automatic approval is switched on for this application, whose scopes that are off are given.

    Raises ``StoreError`` when it is off and the rules, of before there were switches, cannot know: nothing is decided.
    """
    if SWITCH in catalogue:
        return {SWITCH: DISABLED if switched_off else ENABLED}
    if not switched_off:
        return {}
    what = f"automatic approval is switched off for {', '.join(switched_off)}, which the active rules do not know"
    raise StoreError(what, remedy=f"publish and activate rules that declare {SWITCH}")
