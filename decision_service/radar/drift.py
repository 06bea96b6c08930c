"""Warning W8: how far scores, inputs, approvals and outcomes have moved, from counts of decisions by day; pure.

Every figure comes with what it would be without any change and the bounds in which chance alone leaves it (99.99 %):
daily figures of many inputs would otherwise cry wolf. Thresholds are the proposal of W8; equal to one is not over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import sqrt

from scipy.stats import binom

from decision_service.radar.levels import NONE, Alert, colour, crossed, well_below, worst
from decision_service.scoring.stability import LEVELS, Binned, Profile, chance, shift, usual

WINDOW, BASE, COHORT = 7, 28, 365
"""Days: what is judged, what approvals are held against, decisions whose outcomes are held against their scores."""
HORIZON = 365
"""Days after a decision in which a default counts, and after which its outcome is known."""
FEWEST = 200
"""Decisions; of fewer, nothing is judged."""
CERTAIN = 0.9999
SIGMAS = 3.8906
PSI_LIMITS = tuple(limit for limit, _ in reversed(LEVELS))
SHARE_LIMITS = (0.10, 0.15, 0.20)
SCORE, INPUT, MISSING, APPROVAL, CALIBRATION, WARNING = KINDS = (
    "score",
    "input",
    "missing",
    "approval",
    "calibration",
    "W8",
)
FEW, NO_PROFILE, NO_OUTCOMES = "few", "no profile", "no outcomes"
WHOLE = ""
"""The model of a subject that is the product's decisions as a whole; its score is the blend."""
DIGITS = 9


@dataclass(frozen=True, slots=True)
class Subject:
    """What is watched: a product, and of it one model version (``name/version`` and digest) or ``WHOLE``."""

    product: str
    model: str = WHOLE
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a subject's decisions on one day, or of several days.

    ``open``: those for which automatic approval was not switched off, ``approved`` of them. ``scored`` have a score;
    ``lent`` were approved with a score, whose sum is ``expected`` (millionths). ``score`` and ``inputs`` count by bin
    of the version's profile.
    """

    decisions: int = 0
    open: int = 0
    approved: int = 0
    scored: int = 0
    lent: int = 0
    expected: int = 0
    score: tuple[int, ...] = ()
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        names = self.inputs.keys() | other.inputs.keys()
        return Tally(
            self.decisions + other.decisions,
            self.open + other.open,
            self.approved + other.approved,
            self.scored + other.scored,
            self.lent + other.lent,
            self.expected + other.expected,
            _sum(self.score, other.score),
            {name: _sum(self.inputs.get(name, ()), other.inputs.get(name, ())) for name in names},
        )


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Approved, scored decisions whose year is over: how many, the sum of their scores (millionths), the defaults."""

    lent: int = 0
    expected: int = 0
    defaults: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a subject is judged on: the window's counts, those of the base before it, known outcomes, its profile."""

    window: Tally
    base: Tally
    outcomes: Outcomes | None
    profile: Profile | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a day. ``expected``: without any change; from ``low`` to ``high`` chance alone leaves it.

    ``n`` decisions are held against ``base``. ``level`` is what the figure says by itself, ``alert`` what stands after
    the days before. ``note`` says why nothing is judged, if so.
    """

    kind: str
    name: str
    n: int
    base: int
    value: float | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None
    note: str = ""
    level: str = NONE
    alert: Alert = Alert()


Before = Mapping[tuple[str, str], Alert]
"""The alerts of a subject on the day before, by kind and name."""


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them together."""
    return reduce(Tally.__add__, tallies, Tally())


def measures(subject: Subject, found: Evidence, before: Before) -> tuple[Measure, ...]:
    """Every figure of a subject on one day; the warning itself follows from those of all subjects (``warning``)."""
    if subject.model == WHOLE:
        made = [_approval(found, before), _unscored(found, before)]
    else:
        made = list(_stability(found, before))
    return (*made, _calibration(found, before))


def warning(found: Iterable[tuple[Subject, Measure]], before: Before) -> Measure:
    """W8 of a product: the worst colour of score PSI and approvals, by themselves and as alerts."""
    causes = [one for _, one in found if one.kind in (SCORE, APPROVAL)]
    alerts = [one.alert.calm for one in causes] or [before.get((WARNING, ""), Alert()).calm]
    return Measure(
        WARNING,
        "",
        n=max((one.n for one in causes), default=0),
        base=max((one.base for one in causes), default=0),
        note=FEW if all(one.note for one in causes) else "",
        level=worst([one.level for one in causes]),
        alert=Alert(tuple(max(column) for column in zip(*alerts, strict=True))),
    )


def _stability(found: Evidence, before: Before) -> Iterator[Measure]:
    if found.profile is None:
        alert = before.get((SCORE, SCORE), Alert())
        yield Measure(SCORE, SCORE, found.window.scored, 0, note=NO_PROFILE, alert=alert)
        return
    yield _moved(SCORE, SCORE, found.profile.score, found.window.score, before)
    for name, binned in sorted(found.profile.inputs.items()):
        counts = found.window.inputs.get(name, ())
        if counts:
            yield _moved(INPUT, name, binned, counts, before)
            yield _share(
                MISSING, name, (counts[-1], sum(counts)), (binned.counts[-1], sum(binned.counts)), before
            )


def _moved(kind: str, name: str, binned: Binned, counts: Sequence[int], before: Before) -> Measure:
    """PSI against the training rows."""
    n, m = sum(counts), sum(binned.counts)
    alert = before.get((kind, name), Alert())
    if min(n, m) < FEWEST:
        return Measure(kind, name, n, m, note=FEW, alert=alert)
    moved = shift(name, binned.counts, counts)
    bins = len(moved.expected)
    value, bound = moved.psi, chance(bins, m, n, CERTAIN)
    over = crossed(value, PSI_LIMITS) if value > bound else (False,) * len(PSI_LIMITS)
    return Measure(
        kind,
        name,
        n,
        m,
        value=_short(value),
        expected=_short(usual(bins, m, n)),
        low=0.0,
        high=_short(bound),
        level=colour(over),
        alert=alert.after(over, well_below(value, PSI_LIMITS)),
    )


def _approval(found: Evidence, before: Before) -> Measure:
    window, base = found.window, found.base
    return _share(APPROVAL, "", (window.approved, window.open), (base.approved, base.open), before)


def _unscored(found: Evidence, before: Before) -> Measure:
    """The share of decisions without a score."""
    (now, then) = ((one.decisions - one.scored, one.decisions) for one in (found.window, found.base))
    return _share(MISSING, SCORE, now, then, before)


def _share(kind: str, name: str, now: tuple[int, int], then: tuple[int, int], before: Before) -> Measure:
    """A share beside an earlier one: (of which, all); chance by the usual test of two proportions."""
    n, m = now[1], then[1]
    alert = before.get((kind, name), Alert())
    if min(n, m) < FEWEST:
        return Measure(kind, name, n, m, note=FEW, alert=alert)
    value, expected = now[0] / n, then[0] / m
    pooled = (now[0] + then[0]) / (n + m)
    bound = SIGMAS * sqrt(pooled * (1.0 - pooled) * (1 / n + 1 / m))
    distance = abs(value - expected)
    over = crossed(_short(distance), SHARE_LIMITS) if distance > bound else (False,) * len(SHARE_LIMITS)
    return Measure(
        kind,
        name,
        n,
        m,
        value=_short(value),
        expected=_short(expected),
        low=_short(max(0.0, expected - bound)),
        high=_short(min(1.0, expected + bound)),
        level=colour(over),
        alert=alert.after(over, well_below(distance, SHARE_LIMITS)),
    )


def _calibration(found: Evidence, before: Before) -> Measure:
    """Defaults within a year beside the mean score of the same decisions; never more than yellow.

    If each defaulted with its own probability, the number would vary less than a binomial one: the bounds are safe.
    """
    alert = before.get((CALIBRATION, ""), Alert())
    known = found.outcomes
    if known is None or known.lent < FEWEST:
        n = 0 if known is None else known.lent
        return Measure(CALIBRATION, "", n, n, note=FEW if n else NO_OUTCOMES, alert=alert)
    expected = known.expected / 1_000_000 / known.lent
    low, high = (float(binom.ppf(at, known.lent, expected)) for at in ((1 - CERTAIN) / 2, (1 + CERTAIN) / 2))
    outside = not low <= known.defaults <= high
    over, below = (outside, False, False), (not outside, True, True)
    return Measure(
        CALIBRATION,
        "",
        known.lent,
        known.lent,
        value=_short(known.defaults / known.lent),
        expected=_short(expected),
        low=_short(low / known.lent),
        high=_short(high / known.lent),
        level=colour(over),
        alert=alert.after(over, below),
    )


def _sum(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    if not one or not other:
        return tuple(one or other)
    return tuple(left + right for left, right in zip(one, other, strict=True))


def _short(value: float) -> float:
    """As it is kept, so that the same evidence gives the same row on every machine."""
    return round(float(value), DIGITS)
