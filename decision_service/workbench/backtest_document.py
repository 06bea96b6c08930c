"""A backtest as one JSON document: everything that was counted, amounts as decimal text in CNY."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from decision_service.workbench.backtest import Backtest, Flip, Rate, Result, Swap, Swaps


def document(found: Backtest) -> dict[str, Any]:
    """The whole backtest."""
    return {
        "old": asdict(found.old),
        "new": asdict(found.new),
        "on": found.on.isoformat(),
        "engine": found.engine,
        "changed": found.changed,
        "notes": [dict(note) for note in found.notes],
        "populations": [_population(result) for result in found.results],
    }


def yuan(fen: int) -> str:
    """Fen as CNY with two decimals."""
    return f"{Decimal(fen).scaleb(-2):f}"


def separated(fen: int) -> str:
    """Fen as CNY for people: thousands apart."""
    return f"{Decimal(fen).scaleb(-2):,f}"


def _population(result: Result) -> dict[str, Any]:
    about = result.population
    return {
        "name": about.name,
        "rows": about.rows,
        "left_out": about.left_out,
        "mistakes": list(about.mistakes),
        "notes": [dict(note) for note in about.notes],
        **_swaps(result.swaps),
        "by": {name: [{"value": one.value, **_swaps(one)} for one in groups] for name, groups in result.groups.items()},
        "rules": [
            {"rule": one.rule, "old": one.old and asdict(one.old), "new": one.new and asdict(one.new)}
            for one in result.rules
        ],
        "flips": [_flip(one) for one in result.flips],
    }


def _swaps(found: Swaps) -> dict[str, Any]:
    approved = {by: found.approved(by) for by in ("old", "new")}
    limits = {name: yuan(fen) if name in ("limit_old", "limit_new") else fen for name, fen in found.limits.items()}
    return {
        "count": found.count,
        "changed": found.changed,
        "swaps": [_swap(cell) for cell in found.cells],
        "approved": {
            by: {"count": count, "amount": yuan(fen), "bad_rate": _rate(found.bad_rate(by))}
            for by, (count, fen) in approved.items()
        },
        "limits": {name.removeprefix("limit_"): value for name, value in limits.items()},
    }


def _swap(cell: Swap) -> dict[str, Any]:
    return {
        "old": cell.old.name,
        "new": cell.new.name,
        "rows": cell.rows,
        "count": cell.count,
        "amount": yuan(cell.amount),
        "bad_rate": _rate(cell.bad_rate),
    }


def _rate(rate: Rate | None) -> dict[str, Any] | None:
    """``None`` where no outcome is known; shares with six decimals."""
    if rate is None:
        return None
    shares = {name: f"{getattr(rate, name):.6f}" for name in ("share", "low", "high")}
    return {"bad": rate.bad, "known": rate.known, **shares}


def _flip(flip: Flip) -> dict[str, Any]:
    return {
        "key": flip.key,
        "product": flip.product,
        "industry": flip.industry,
        "amount": None if flip.amount is None else yuan(flip.amount),
        "old": flip.old.name,
        "new": flip.new.name,
        "rules": [asdict(rule) for rule in flip.rules],
    }
