"""How a challenger's scores differ from the champions' on live decisions, and which outcomes would have been others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from decision_service.radar.drift import FEWEST
from decision_service.scoring.stability import psi
from decision_service.store import Challenged
from decision_service.workbench.challenger import MILLION
from decision_service.workbench.shadow_compare import Pairs
from decision_service.workbench.shadow_follow import COMPARED

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 10
MOST_FLIPS = 1_000


@dataclass(frozen=True, slots=True)
class Distribution:
    """A score on n decisions, recorded and by the challenger: quantiles, PSI in bins of the recorded, ranks.

    Below ``FEWEST`` decisions there is no PSI: ten bins of so few differ by chance alone.
    """

    n: int
    active: tuple[float, ...]
    challenger: tuple[float, ...]
    psi: float | None
    rank_correlation: float | None


@dataclass(frozen=True, slots=True)
class ModelFlip:
    """A decision whose outcome would have been another, and the rules that say so: (rule, recorded, challenger)."""

    decision_id: str
    product: str
    active: str
    challenger: str
    rules: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class ChallengerReport:
    """All of it. ``left_out`` counts decisions by why; ``rules`` counts flips by the rules behind them."""

    subject: str
    compared: int
    left_out: dict[str, int]
    unknown: int
    own: Distribution | None
    blend: Distribution | None
    flipped: int
    outcomes: tuple[tuple[str, str, int], ...]
    rules: tuple[tuple[str, int], ...]
    flips: tuple[ModelFlip, ...]

    @property
    def summary(self) -> str:
        """In one line."""
        if not self.compared:
            return f"0 live decisions scored by {self.subject}"
        moved = ""
        if self.blend is not None and self.blend.psi is not None:
            moved = f", PSI {self.blend.psi:.4f}"
        elif self.blend is not None:
            moved = f", PSI not judged below {FEWEST} scored decisions"
        if self.blend is not None and self.blend.rank_correlation is not None:
            moved += f", rank correlation {self.blend.rank_correlation:.4f}"
        share = self.flipped / self.compared
        return f"{self.compared} live decisions, {self.flipped} outcomes would flip ({share:.2%}){moved}"

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "summary": self.summary}


def report(subject: str, results: Iterable[Challenged]) -> ChallengerReport:
    """Count what a challenger says of decisions."""
    left_out: Counter[str] = Counter()
    outcomes: Counter[tuple[str, str]] = Counter()
    rules: Counter[str] = Counter()
    flips: list[ModelFlip] = []
    own: list[tuple[int, int]] = []
    blend: list[tuple[int, int]] = []
    unknown = 0
    for one in results:
        said = one.result
        if said.status != COMPARED or said.outcome is None or said.rules is None:
            left_out[said.status] += 1
            continue
        outcomes[one.outcome, said.outcome] += 1
        unknown += said.pd_12m is None
        for known, pair in ((own, (said.active_pd, said.pd)), (blend, (said.active_pd_12m, said.pd_12m))):
            if pair[0] is not None and pair[1] is not None:
                known.append((pair[0], pair[1]))
        if one.outcome != said.outcome:
            behind = tuple((name, *truths) for name, truths in sorted(Pairs.read(said.rules).differing.items()))
            rules.update(name for name, _, _ in behind)
            if len(flips) < MOST_FLIPS:
                flips.append(ModelFlip(one.decision_id, one.product, one.outcome, said.outcome, behind))
    return ChallengerReport(
        subject=subject,
        compared=sum(outcomes.values()),
        left_out=dict(sorted(left_out.items())),
        unknown=unknown,
        own=_distribution(own),
        blend=_distribution(blend),
        flipped=sum(count for (was, now), count in outcomes.items() if was != now),
        outcomes=tuple((was, now, count) for (was, now), count in sorted(outcomes.items())),
        rules=tuple(sorted(rules.items(), key=lambda item: (-item[1], item[0]))),
        flips=tuple(flips),
    )


def _distribution(pairs: Sequence[tuple[int, int]]) -> Distribution | None:
    if not pairs:
        return None
    active, challenger = (np.array(column) / MILLION for column in zip(*pairs, strict=True))
    varied = len(np.unique(active)) > 1 and len(np.unique(challenger)) > 1
    return Distribution(
        n=len(pairs),
        active=tuple(np.quantile(active, QUANTILES).tolist()),
        challenger=tuple(np.quantile(challenger, QUANTILES).tolist()),
        psi=_psi(active, challenger) if len(pairs) >= FEWEST else None,
        rank_correlation=float(spearmanr(active, challenger).statistic) if varied else None,
    )


def _psi(active: Any, challenger: Any) -> float:
    """Over tenths of the recorded scores; half a decision more in each bin, so that none is empty."""
    ends = np.unique(np.quantile(active, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    shares = []
    for scores in (active, challenger):
        counts = np.bincount(np.searchsorted(ends, scores, side="left"), minlength=len(ends) + 1) + 0.5
        shares.append(counts / counts.sum())
    return psi(*shares)
