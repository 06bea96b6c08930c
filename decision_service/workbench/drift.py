"""Watches drift: counts each day's decisions once, judges the days, keeps every figure, acts on a red warning."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import orjson

from decision_service.audit.release import Act
from decision_service.decide import SHANGHAI, Platform, business_date
from decision_service.errors import InputError
from decision_service.portrait.records import Overdue
from decision_service.radar.drift import (
    APPROVAL,
    BASE,
    COHORT,
    HORIZON,
    SCORE,
    WARNING,
    WHOLE,
    WINDOW,
    Evidence,
    Measure,
    Outcomes,
    Subject,
    Tally,
    measures,
    total,
    warning,
)
from decision_service.radar.levels import NONE, RED, Alert
from decision_service.scoring.stability import Profile
from decision_service.store import DayCount, DayMeasure, Drifts, Revised
from decision_service.vocabulary import ModelVersion
from decision_service.workbench import switches
from decision_service.workbench.drift_counts import (
    ProfileOf,
    scores_of,
    stored,
    subject_of,
    tallies,
    tally_of,
)
from decision_service.workbench.release import Done

DEFAULT_DAYS = 90
"""Days past due that are a default, as of a red card."""
RECHECK = 28
"""Days that are judged again each time: outcomes come late."""
DAY = timedelta(days=1)

Told = Callable[[date], object]


@dataclass(frozen=True, slots=True)
class Watch:
    """What a call found. ``revised`` figures were written anew; ``off`` are the switches that a red warning moved."""

    day: date
    measures: tuple[Revised, ...]
    counted: int
    revised: int
    off: tuple[Done, ...] = ()


@dataclass
class _Profiles:
    """The profiles of versions, each read once."""

    read: ProfileOf
    known: dict[ModelVersion, Profile | None] = field(default_factory=dict)

    def of(self, version: ModelVersion) -> Profile | None:
        if version not in self.known:
            self.known[version] = self.read(version)
        return self.known[version]


def last_whole_day(now: datetime) -> date:
    """Yesterday, as a business date: today's decisions are not all there yet."""
    return business_date(now) - DAY


def watch(
    platform: Platform, profile_of: ProfileOf, *, day: date | None, act: Act, told: Told = lambda day: None
) -> Watch:
    """Count and judge every day up to ``day`` (the last whole one) that was not, and the last weeks again.

    A product whose warning W8 is red on a day of the last week, when that is first judged, is switched to manual before
    the figure is written: a failure in between repeats the act, never leaves it out. Raises ``InputError`` for a day
    that is not over, ``ModelError`` for a version that cannot be read: then nothing of that day is kept.
    """
    newest = last_whole_day(act.at)
    day = day or newest
    if day > newest:
        raise InputError(f"{day} is not over", where="--day", remedy=f"name {newest} or a day before")
    drifts, profiles = platform.store.drifts(), _Profiles(profile_of)
    counted = _count(drifts, profiles, day, told)
    first = _first_to_judge(drifts, day)
    if first is None:
        return Watch(day, (), counted, 0)
    known = {one.measure.key for one in drifts.measures(first.isoformat(), day.isoformat())}
    found = list(_judged(drifts, profiles, first, day))
    recent = (newest - WINDOW * DAY).isoformat()
    fresh = [one for one in found if one.key not in known and one.day > recent]
    off = tuple(_switched_off(platform, fresh, found, act))
    revised = drifts.add_measures(found, act.at)
    return Watch(day, drifts.measures(day.isoformat(), day.isoformat()), counted, revised, off)


def _count(drifts: Drifts, profiles: _Profiles, last: date, told: Told) -> int:
    """Count the days that are not counted yet; how many."""
    done, count, day = set(drifts.counted_days()), 0, date.min + DAY
    while (moment := drifts.next_decision(_start(day))) is not None and (day := business_date(moment)) <= last:
        if day.isoformat() not in done:
            pages = drifts.decisions(_start(day), _start(day + DAY))
            drifts.add_counts(list(stored(day.isoformat(), tallies(pages, profiles.of))))
            count += 1
            told(day)
        day += DAY
    return count


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), SHANGHAI)


def _first_to_judge(drifts: Drifts, last: date) -> date | None:
    """The first day without figures after those that have some, or so many weeks before the last."""
    counted = [date.fromisoformat(day) for day in drifts.counted_days()]
    if not counted or counted[0] > last:
        return None
    judged = [one.measure.day for one in drifts.measures(counted[0].isoformat(), last.isoformat())]
    behind = date.fromisoformat(max(judged)) + DAY if judged else counted[0]
    return max(counted[0], min(behind, last - RECHECK * DAY))


def _judged(drifts: Drifts, profiles: _Profiles, first: date, last: date) -> Iterator[DayMeasure]:
    """Every figure of every day, in order, each day's alerts following from those before."""
    counts = _by_day(drifts, first - (WINDOW - 1) * DAY, last, bins=True)
    plain = _by_day(drifts, first - (WINDOW + BASE) * DAY, last, bins=False)
    alerts = _remembered(drifts, first)
    cohorts = _Cohorts(drifts, first, last)
    for number in range((last - first).days + 1):
        day = first + number * DAY
        window, base = _sums(counts, day, WINDOW), _sums(plain, day - WINDOW * DAY, BASE)
        outcomes = cohorts.on(day)
        found: dict[str, list[tuple[Subject, Measure]]] = defaultdict(list)
        for subject in sorted(window, key=lambda one: (one.product, one.model, one.digest)):
            profile = None if subject.model == WHOLE else profiles.of(_version(subject))
            evidence = Evidence(window[subject], base.get(subject, Tally()), outcomes.get(subject), profile)
            for one in measures(subject, evidence, alerts[subject]):
                found[subject.product].append((subject, one))
        for product, ones in found.items():
            whole = Subject(product)
            ones.append((whole, warning(ones, alerts[whole])))
            for subject, one in ones:
                alerts[subject][one.kind, one.name] = one.alert
                yield _row(day, subject, one)


Counts = Mapping[date, Mapping[Subject, Tally]]


def _by_day(drifts: Drifts, first: date, last: date, *, bins: bool) -> Counts:
    found: dict[date, dict[Subject, Tally]] = defaultdict(dict)
    for row in drifts.counts(first.isoformat(), last.isoformat(), bins=bins):
        found[date.fromisoformat(row.day)][_subject(row)] = tally_of(row)
    return found


def _sums(counts: Counts, last: date, days: int) -> dict[Subject, Tally]:
    """By subject, the counts of some days up to a last one."""
    gathered: dict[Subject, list[Tally]] = defaultdict(list)
    for back in range(days):
        for subject, one in counts.get(last - back * DAY, {}).items():
            gathered[subject].append(one)
    return {subject: total(ones) for subject, ones in gathered.items()}


def _remembered(drifts: Drifts, first: date) -> dict[Subject, dict[tuple[str, str], Alert]]:
    """The newest alert of every figure before a day: silence, however long, does not end one."""
    found: dict[Subject, dict[tuple[str, str], Alert]] = defaultdict(dict)
    for one in drifts.last_before(first.isoformat()):
        row = one.measure
        found[_subject(row)][row.kind, row.name] = Alert(tuple(json.loads(row.calm)))
    return found


def _subject(row: DayCount | DayMeasure) -> Subject:
    return Subject(row.product, row.model, row.digest)


def _version(subject: Subject) -> ModelVersion:
    name, _, version = subject.model.rpartition("/")
    return ModelVersion(name, version, subject.digest)


def _row(day: date, subject: Subject, one: Measure) -> DayMeasure:
    return DayMeasure(
        day=day.isoformat(),
        product=subject.product,
        model=subject.model,
        digest=subject.digest,
        kind=one.kind,
        name=one.name,
        n=one.n,
        base=one.base,
        value=one.value,
        expected=one.expected,
        low=one.low,
        high=one.high,
        note=one.note,
        level=one.level,
        alert=one.alert.colour,
        calm=json.dumps(one.alert.calm),
    )


class _Cohorts:
    """By day, the decisions of the year whose outcomes are known by then, and how many defaulted.

    An outcome is known a year after the decision, if banks have reported since.
    """

    def __init__(self, drifts: Drifts, first: date, last: date) -> None:
        delivered = drifts.delivered()
        self._known = None if delivered is None else business_date(delivered)
        begin, end = first - (HORIZON + COHORT - 1) * DAY, last - HORIZON * DAY
        self._lent: dict[date, dict[Subject, tuple[int, int]]] = defaultdict(dict)
        if self._known is None:
            return
        for row in drifts.counts(begin.isoformat(), end.isoformat(), bins=False):
            self._lent[date.fromisoformat(row.day)][_subject(row)] = (row.lent, row.expected)
        self._defaults = _defaults(drifts, begin, end, self._known) if self._lent else {}

    def on(self, day: date) -> dict[Subject, Outcomes]:
        """By subject."""
        if self._known is None:
            return {}
        end = min(day, self._known) - HORIZON * DAY
        sums: dict[Subject, list[int]] = defaultdict(lambda: [0, 0, 0])
        for back in range(COHORT):
            of_day = end - back * DAY
            for subject, (lent, expected) in self._lent.get(of_day, {}).items():
                place = sums[subject]
                place[0] += lent
                place[1] += expected
                place[2] += self._defaults.get(of_day, {}).get(subject, 0)
        return {subject: Outcomes(*numbers) for subject, numbers in sums.items()}


def _defaults(drifts: Drifts, begin: date, end: date, known: date) -> Mapping[date, Mapping[Subject, int]]:
    """How many approved, scored decisions defaulted within the year, by their day and subject."""
    found: dict[date, Counter[Subject]] = defaultdict(Counter)
    dates = {uscc: ones for uscc, arrears in drifts.arrears() if (ones := default_dates(arrears, known))}
    dates = {uscc: ones for uscc, ones in dates.items() if any(begin < one <= end + HORIZON * DAY for one in ones)}
    for uscc, moment, record in drifts.approvals(sorted(dates), _start(begin), _start(end + DAY)):
        day = business_date(moment)
        if any(day < one <= day + HORIZON * DAY for one in dates[uscc]):
            body = orjson.loads(record)
            product = body["application"]["product"]
            found[day].update(
                subject_of(product, version) for version, score in scores_of(body).items() if score is not None
            )
    return found


def default_dates(arrears: Sequence[Overdue], known: date) -> tuple[date, ...]:
    """When an enterprise came to default, as far as banks had reported: 90 days past due, or written off.

    An episode that is not cured lasts, whatever number of days was reported. A loan written off earlier is dated as
    the others, because banks report only when arrears began.
    """
    reached = [(one, one.started_on + DEFAULT_DAYS * DAY) for one in arrears]
    return tuple(
        on
        for one, on in reached
        if one.max_days >= DEFAULT_DAYS or one.written_off or (one.cured_on is None and on <= known)
    )


def _switched_off(
    platform: Platform, fresh: Sequence[DayMeasure], found: Sequence[DayMeasure], act: Act
) -> Iterator[Done]:
    """Automatic approval off for each product whose warning is red by itself; the newest such day is the reason."""
    newest = {one.product: one for one in fresh if one.kind == WARNING and one.level == RED}
    for one in newest.values():
        note = f"W8 {one.day}: " + "; ".join(_causes(one, found))
        yield switches.switch_off(platform, f"product:{one.product}", Act(act.person, act.at, note))


def _causes(red: DayMeasure, found: Sequence[DayMeasure]) -> Iterator[str]:
    for one in found:
        if (one.day, one.product, one.level) == (red.day, red.product, RED) and one.kind in (SCORE, APPROVAL):
            yield f"PSI of {one.model} {one.value:.4f}" if one.kind == SCORE else (
                f"automatic approvals {one.value:.2%}, {one.expected:.2%} before"
            )


def document(found: Watch) -> dict[str, Any]:
    """As plain data; what people did not have to act on is in it too."""
    return {
        "day": found.day.isoformat(),
        "days_counted": found.counted,
        "revised": found.revised,
        "switched_off": [{"scope": one.event.subject, "note": one.event.note, "new": one.new} for one in found.off],
        "measures": [told(one) for one in found.measures],
    }


def told(one: Revised) -> dict[str, Any]:
    """One figure as plain data."""
    row = one.measure
    names = ("product", "model", "digest", "kind", "name", "n", "base", "value", "expected", "low", "high")
    plain = {name: getattr(row, name) for name in (*names, "note", "level", "alert")}
    return {"day": row.day, **plain, "revision": one.revision, "written_at": one.written_at.isoformat()}


def concerning(found: Sequence[Revised]) -> list[Revised]:
    """Those with a colour."""
    return [one for one in found if {one.measure.level, one.measure.alert} != {NONE}]
