"""Which columns of a table say what: target, unit, moment, group; and what the target's values mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from decision_service.errors import InputError
from ml.tables.kinds import Column, column_of, days, texts, words

Array = NDArray[np.float64]

GOOD_WORDS = frozenset(
    "good paid pif repaid healthy active alive normal performing current nondefault nonbankrupt survived success ok"
    " solvent 正常 良好 好 已还清 未违约 非违约".split()
)
BAD_WORDS = frozenset(
    "bad default defaulted defaulter chgoff charged chargedoff charge writeoff bankrupt bankruptcy failed fail failure"
    " late delinquent loss fraud distress distressed insolvent overdue npl 违约 坏 破产 逾期 失信 不良".split()
)
YES = frozenset("1 y yes true t 是".split())
NO = frozenset("0 n no false f 2 否".split())
MOST_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Roles:
    """Column names. ``window`` rows by ``time`` make one unit of a panel; without it each row is a unit."""

    target: str
    id: str | None = None
    time: str | None = None
    group: str | None = None
    window: int | None = None

    @property
    def named(self) -> tuple[str, ...]:
        """The columns that have a role."""
        return tuple(name for name in (self.target, self.id, self.time, self.group) if name is not None)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The target's values as text: bad ones are 1; good ones 0, or all others if none is named. ``why`` for people."""

    bad: tuple[str, ...]
    good: tuple[str, ...]
    why: str

    def labels(self, series: pd.Series) -> Array:
        """1, 0, or nan where the target is missing or has another value."""
        values = _plain(series)
        bad = values.isin(self.bad).to_numpy()
        good = values.isin(self.good).to_numpy() if self.good else values.notna().to_numpy() & ~bad
        return np.where(bad, 1.0, np.where(good, 0.0, np.nan))


def _plain(series: pd.Series) -> pd.Series:
    """``1``, ``1.0`` and `` 1`` are one label; so are ``True`` and ``true``."""
    values = texts(series)
    levels = {level: _plain_level(level) for level in values.dropna().unique()}
    return values.map(levels)


def _plain_level(level: str) -> str:
    try:
        return f"{float(level):g}"
    except ValueError:
        return level.lower() if level.lower() in ("true", "false") else level


def check_roles(frame: pd.DataFrame, roles: Roles, *, more: Sequence[str] = ()) -> None:
    """Raises ``InputError`` for a named column that the table lacks, or a window without unit or time."""
    for name in (*roles.named, *more):
        if name not in frame.columns:
            near = [column for column in frame.columns if column.lower().strip() == name.lower().strip()]
            shown = near or list(frame.columns[:MOST_SHOWN])
            raise InputError(
                f"there is no column {name!r}", remedy=f"there {'is' if near else 'are'} {', '.join(shown)}"
            )
    if roles.window is not None and (roles.id is None or roles.time is None):
        raise InputError("a window needs units and an order", remedy="give --id COLUMN and --time COLUMN")


def meaning_of(series: pd.Series, name: str, *, bad: Sequence[str] = (), good: Sequence[str] = ()) -> Meaning:
    """Which label is bad: as told, else the one with such a name, else as the column's name says, else the rarer one.

    Raises ``InputError`` if there are not two values and none is named.
    """
    counts = _plain(series).value_counts()
    levels = [str(level) for level in counts.index]
    told = tuple(_plain_level(" ".join(value.split())) for value in bad)
    if told:
        unknown = [value for value in (*told, *map(_plain_level, good)) if value not in levels]
        if unknown:
            raise _refused(name, f"{unknown[0]!r} does not occur", counts)
        return Meaning(told, tuple(map(_plain_level, good)), "as told by --bad")
    if len(levels) != 2:
        raise _refused(name, f"the target has {len(levels)} values", counts)
    worded = _worded(levels)
    chosen, why = worded or _by_name(levels, name) or (levels[1], "the rarer of the two")
    other = levels[1 - levels.index(chosen)]
    return Meaning((chosen,), (other,), why)


def _refused(name: str, what: str, counts: pd.Series) -> InputError:
    shown = ", ".join(f"{level!r} ({count})" for level, count in counts.head(MOST_SHOWN).items())
    remedy = f"name the bad ones with --bad VALUE (and the good ones with --good VALUE); there are {shown}"
    return InputError(what, where=f"column {name!r}", remedy=remedy)


def _worded(levels: Sequence[str]) -> tuple[str, str] | None:
    def says(level: str, vocabulary: frozenset[str]) -> bool:
        parts = words(level)
        return bool(vocabulary & {*parts, "".join(parts)})

    negated = [bool({"non", "not", "no", "un", "非", "未"} & set(words(level))) for level in levels]
    bad = [says(level, BAD_WORDS) and not no for level, no in zip(levels, negated, strict=True)]
    good = [says(level, GOOD_WORDS) for level in levels]
    if sum(bad) == 1:
        return levels[bad.index(True)], "its name says so"
    if sum(good) == 1:
        return levels[1 - good.index(True)], "the other one's name says it is good"
    return None


def _by_name(levels: Sequence[str], name: str) -> tuple[str, str] | None:
    """Yes or no (1 or 0) read with the column's own name."""
    yes = [level for level in levels if level.lower() in YES]
    no = [level for level in levels if level.lower() in NO]
    if len(yes) != 1 or len(no) != 1 or "2" in no:
        return None
    parts = {*words(name), "".join(words(name))}
    stems = ("default", "bankrupt", "fail", "bad", "delinq", "chargeoff")
    bad_name = any(part.startswith(stems) for part in parts)
    if bad_name or BAD_WORDS & parts:
        return yes[0], f"{name} is {yes[0]}"
    if GOOD_WORDS & parts:
        return no[0], f"{name} is {no[0]}"
    return None


@dataclass(frozen=True, slots=True)
class Units:
    """n units as places in the frame: n x w rows each (w = 1 without a window), the last being the unit's newest.

    ``dated``: whether their times are days and not years or other counts.
    """

    places: NDArray[np.int_]
    ids: tuple[str, ...]
    groups: tuple[str, ...]
    times: Array | None
    dated: bool = False
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, chosen: NDArray[np.int_]) -> Units:
        """The chosen units."""
        return Units(
            self.places[chosen],
            tuple(self.ids[place] for place in chosen),
            tuple(self.groups[place] for place in chosen) if self.groups else (),
            None if self.times is None else self.times[chosen],
            self.dated,
        )


def time_column(frame: pd.DataFrame, roles: Roles) -> Column | None:
    """How the time column is read; raises ``InputError`` if it holds neither dates nor numbers."""
    if roles.time is None:
        return None
    found = column_of(frame[roles.time], roles.time)
    if found.kind in ("number", "date", "flag"):
        return found
    if found.kind in ("identifier", "constant") and np.isfinite(days(frame[roles.time], found)).any():
        return Column(roles.time, "number", form=found.form)
    raise InputError(
        f"column {roles.time!r} holds neither dates nor numbers", remedy="name a column of dates or years by --time"
    )


def refines(moments: Array, times: Array) -> bool:
    """Whether ``moments`` are known wherever ``times`` are, never contradict their order, and part what they do not."""
    if np.isnan(moments).any() or np.isnan(times).any():
        return False
    order = np.lexsort((moments, times))
    in_order = bool((np.diff(moments[order]) >= 0).all())
    return in_order and len(np.unique(moments)) > len(np.unique(times))


def units_of(frame: pd.DataFrame, roles: Roles, time: Column | None) -> Units:
    """Rows or, with a window, the last w rows by time of every unit that has so many."""
    moments = None if time is None else days(frame[time.name], time)
    named = _identities(frame, roles.id)
    groups = _identities(frame, roles.group) if roles.group is not None else None
    if roles.window is None:
        places = np.arange(len(frame))[:, np.newaxis]
        ids = named if named is not None else [str(place + 1) for place in range(len(frame))]
        return Units(places, tuple(ids), tuple(groups or ()), moments, time is not None and time.kind == "date")
    assert named is not None and moments is not None
    assert time is not None
    return replace(_windows(named, moments, groups, window=roles.window), dated=time.kind == "date")


def _windows(named: list[str], moments: Array, groups: list[str] | None, *, window: int) -> Units:
    codes, levels = pd.factorize(np.asarray(named, dtype=object))
    order = np.lexsort((np.arange(len(codes)), moments, codes))
    order = order[~np.isnan(moments[order])]
    ends = np.flatnonzero(np.diff(codes[order], append=-1))
    sizes = np.diff(ends, prepend=-1)
    enough = ends[sizes >= window]
    if not enough.size:
        raise InputError(f"no unit has {window} rows", remedy="give a smaller --window or check --id")
    places = order[enough[:, np.newaxis] + np.arange(1 - window, 1)]
    last = places[:, -1]
    ids = tuple(str(levels[code]) for code in codes[last])
    kept = tuple(groups[place] for place in last) if groups is not None else ids
    return Units(places, ids, kept, moments[last], left_out=int((sizes < window).sum()))


def _identities(frame: pd.DataFrame, name: str | None) -> list[str] | None:
    """Identities as the file has them; a missing one is a unit of its own."""
    if name is None:
        return None
    found = texts(frame[name])
    return [f"row {place + 1}" if value is None or value != value else value for place, value in enumerate(found)]
