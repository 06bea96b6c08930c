"""Counts stored decisions of one day by subject: each is read once, whatever is judged from the counts later."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from decision_service.audit.record import FACT_PREFIX
from decision_service.errors import AuditError
from decision_service.kill_switch import DISABLED, SWITCH
from decision_service.portrait.series import SERIES
from decision_service.radar.drift import WHOLE, Subject, Tally
from decision_service.scoring.stability import Profile, series_inputs
from decision_service.store import DayCount, Watched
from decision_service.vocabulary import ModelVersion, Outcome

INDUSTRY = "industry_code"
SWITCHES = (f"{FACT_PREFIX}{SWITCH}", f"{FACT_PREFIX}policy.auto_approval")
MILLION = 1_000_000
BLEND, MODELS = "pd_12m", ("pd_xgb", "pd_lstm")

ProfileOf = Callable[[ModelVersion], Profile | None]


@dataclass(frozen=True, slots=True)
class Read:
    """What is counted of one decision. ``scores`` are millionths by version, ``None`` for the blend.

    ``series`` are the numbers of all months as one text, because thousands of lists would keep the garbage collector
    busy; it is empty where the series are not those of today.
    """

    product: str
    approved: bool
    open: bool
    scores: Mapping[ModelVersion | None, int | None]
    features: Mapping[str, Any] | None
    series: str
    mask: Sequence[bool]


def read(one: Watched) -> Read:
    """A stored decision. Raises ``AuditError`` for a record that is damaged.

    Whether a decision whose values are erased was open to automatic approval is not known: it does not count as open.
    """
    try:
        body = orjson.loads(one.record)
        values = None if one.private is None else orjson.loads(one.private)["values"]
        return Read(
            product=one.product,
            approved=one.outcome == Outcome.APPROVE.name,
            open=values is not None and not any(values.get(name) == DISABLED for name in SWITCHES),
            scores=scores_of(body),
            features=None if values is None else values["features"],
            series="" if values is None else _flat(values["series"], len(values["mask"])),
            mask=() if values is None else values["mask"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AuditError(f"a record is damaged: {error!r}", remedy="run: decision-service audit verify") from error


def _flat(series: Sequence[Sequence[str | None]], months: int) -> str:
    if len(series) != months or {len(month) for month in series} != {len(SERIES)}:
        return ""
    return _text(value for month in series for value in month)


def _text(values: Iterable[str | None]) -> str:
    return ",".join(["nan" if value is None else value for value in values])


def scores_of(body: Mapping[str, Any]) -> dict[ModelVersion | None, int | None]:
    """The scores of a record in millionths by model version, ``None`` for the blend.

    Versions stand in the order in which they scored: those of trees and series, then a scorecard in their place.
    """
    scores = body["scores"]
    found: dict[ModelVersion | None, int | None] = {None: _millionths(scores[BLEND])}
    own = [scores[name] for name in MODELS if scores[name] is not None]
    for place, model in enumerate(body["models"]):
        text = own[place] if place < len(own) else scores[BLEND]
        found[ModelVersion(model["name"], model["version"], model["digest"])] = _millionths(text)
    return found


def _millionths(text: str | None) -> int | None:
    return None if text is None else round(float(text) * MILLION)


@dataclass(slots=True)
class _Counter:
    """The growing counts of one subject. ``bins`` are arrays by name of the profile's columns."""

    profile: Profile | None
    decisions: int = 0
    open: int = 0
    approved: int = 0
    scored: int = 0
    lent: int = 0
    expected: int = 0
    score: NDArray[np.int_] | None = None
    inputs: dict[str, NDArray[np.int_]] = field(default_factory=dict)

    def add(self, one: Read, score: int | None) -> None:
        """The plain counts."""
        self.decisions += 1
        self.open += one.open
        self.approved += one.open and one.approved
        if score is not None:
            self.scored += 1
            if one.approved:
                self.lent += 1
                self.expected += score

    def add_values(self, scores: Sequence[int], columns: Mapping[str, NDArray[np.float64]]) -> None:
        """The bins of a page of decisions."""
        if self.profile is None:
            return
        found = self.profile.score.of(np.array(scores, dtype=float) / MILLION)
        self.score = found if self.score is None else self.score + found
        for name in self.profile.inputs.keys() & columns.keys():
            counts = self.profile.inputs[name].of(columns[name])
            self.inputs[name] = counts + self.inputs.get(name, 0)

    def tally(self) -> Tally:
        """All of it."""
        return Tally(
            self.decisions,
            self.open,
            self.approved,
            self.scored,
            self.lent,
            self.expected,
            () if self.score is None else tuple(self.score.tolist()),
            {name: tuple(counts.tolist()) for name, counts in sorted(self.inputs.items())},
        )


def tallies(pages: Iterable[Sequence[Watched]], profile_of: ProfileOf) -> dict[Subject, Tally]:
    """The counts of some decisions by subject. Raises what ``read`` and ``profile_of`` raise."""
    counters: dict[Subject, _Counter] = {}
    for page in pages:
        gathered: dict[Subject, list[tuple[Read, int]]] = {}
        for one in map(read, page):
            for version, score in one.scores.items():
                subject = subject_of(one.product, version)
                if subject not in counters:
                    counters[subject] = _Counter(None if version is None else profile_of(version))
                counters[subject].add(one, score)
                if version is not None and score is not None:
                    gathered.setdefault(subject, []).append((one, score))
        for subject, scored in gathered.items():
            columns = _columns([one for one, _ in scored if one.features is not None])
            counters[subject].add_values([score for _, score in scored], columns)
    return {subject: counter.tally() for subject, counter in counters.items()}


def subject_of(product: str, version: ModelVersion | None) -> Subject:
    """What a score is counted under."""
    if version is None:
        return Subject(product, WHOLE)
    return Subject(product, f"{version.name}/{version.version}", version.digest)


def _columns(rows: Sequence[Read]) -> dict[str, NDArray[np.float64]]:
    """What the models read of some decisions, by the names of a profile's inputs. Raises ``AuditError``."""
    found: dict[str, NDArray[np.float64]] = {}
    if not rows:
        return found
    features = [one.features or {} for one in rows]
    names = sorted({name for one in features for name in one} - {INDUSTRY})
    table = _numbers([_text(map(one.get, names)) for one in features], (len(rows), len(names)))
    found.update(zip(names, table.T, strict=True))
    found[INDUSTRY] = np.array([_code(one.get(INDUSTRY)) for one in features])
    whole = [one for one in rows if one.series]
    for months in sorted({len(one.mask) for one in whole}):
        alike = [one for one in whole if len(one.mask) == months]
        series = _numbers([one.series for one in alike], (len(alike), months, len(SERIES)))
        matrix, columns = series_inputs(series, np.array([one.mask for one in alike], dtype=bool), SERIES)
        for place, name in enumerate(columns):
            found[name] = np.append(found.get(name, np.empty(0)), matrix[:, place])
    return found


def _numbers(texts: Iterable[str], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Recorded numbers, separated by commas, in one pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(",".join(texts), sep=",").reshape(shape)
        except (DeprecationWarning, ValueError) as error:
            raise AuditError("a recorded value is not a number", remedy="run: decision-service audit verify") from error


def _code(value: Any) -> float:
    """An industry's code as a number, so that neighbours fall into one bin; nan for none."""
    return float(value) if isinstance(value, str) and value.isascii() and value.isdigit() else math.nan


def stored(day: str, found: Mapping[Subject, Tally]) -> Iterator[DayCount]:
    """Tallies as rows of a day."""
    for subject, one in found.items():
        bins = orjson.dumps({"score": one.score, "inputs": one.inputs}, option=orjson.OPT_SORT_KEYS).decode()
        yield DayCount(
            day=day,
            product=subject.product,
            model=subject.model,
            digest=subject.digest,
            decisions=one.decisions,
            open=one.open,
            approved=one.approved,
            scored=one.scored,
            lent=one.lent,
            expected=one.expected,
            bins=bins,
        )


def tally_of(row: DayCount) -> Tally:
    """A row as a tally; without bins if they were not read."""
    bins = orjson.loads(row.bins) if row.bins else {"score": (), "inputs": {}}
    inputs = {name: tuple(counts) for name, counts in bins["inputs"].items()}
    return Tally(
        row.decisions, row.open, row.approved, row.scored, row.lent, row.expected, tuple(bins["score"]), inputs
    )
