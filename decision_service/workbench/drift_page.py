"""Drift as one HTML page in Chinese and English that opens offline: nothing is loaded from anywhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from matplotlib.figure import Figure

from decision_service.radar.drift import (
    APPROVAL,
    CALIBRATION,
    FEW,
    INPUT,
    MISSING,
    NO_OUTCOMES,
    NO_PROFILE,
    PSI_LIMITS,
    SCORE,
    WARNING,
)
from decision_service.store import DayMeasure, Revised
from decision_service.workbench.backtest_plots import SETTINGS, svg
from decision_service.workbench.drift import Watch, concerning

TEMPLATE = "drift.html.j2"
KINDS = {
    WARNING: "预警 W8 · Warning W8",
    SCORE: "评分 PSI · PSI of the score",
    APPROVAL: "自动审批率 · Automatic approvals",
    CALIBRATION: "违约率与评分 · Defaults beside scores",
    MISSING: "缺失率 · Missing values",
    INPUT: "指标 PSI · PSI of an input",
}
COLOURS = {"none": "无 none", "yellow": "黄 yellow", "orange": "橙 orange", "red": "红 red"}
NOTES = {
    "": "",
    FEW: "样本太少，不判断 too few decisions, not judged",
    NO_PROFILE: "该版本没有训练分布 the version has no profile of its training rows",
    NO_OUTCOMES: "一年后的结果尚不可知 no outcomes after a year yet",
}
SHADES = {"yellow": "#e0b400", "orange": "#e07b00", "red": "#b23a3a"}
LINES = ("#1f4e79", "#2a7f4f", "#7a4fa3", "#8a6d3b", "#51606e")
MOST_BARS = 15
LONGEST = 34


@dataclass(frozen=True, slots=True)
class Section:
    """A product: its warning, the other figures that have a colour, and plots."""

    product: str
    warning: Revised
    figures: tuple[Revised, ...]
    coloured: tuple[Revised, ...]
    plots: tuple[tuple[str, Markup], ...]


def html(found: Watch, history: Sequence[Revised]) -> str:
    """The page of a day; ``history`` are the newest figures of the weeks up to it. The same gives the same bytes."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template(TEMPLATE).render(
        found=found,
        sections=[_section(one, found.measures, history) for one in found.measures if one.measure.kind == WARNING],
        kinds=KINDS,
        colours=COLOURS,
        notes=NOTES,
        shown=shown,
    )


def shown(one: DayMeasure, name: str) -> str:
    """A figure as people read it: PSI as a number, shares in percent."""
    value = getattr(one, name)
    if value is None:
        return ""
    return f"{value:.4f}" if one.kind in (SCORE, INPUT) else f"{value:.2%}"


def _section(warning: Revised, today: Sequence[Revised], history: Sequence[Revised]) -> Section:
    product = warning.measure.product
    own = [one for one in today if one.measure.product == product and one is not warning]
    main = [one for one in own if one.measure.kind in (SCORE, APPROVAL, CALIBRATION)]
    others = [one for one in own if one not in main]
    past = [one.measure for one in history if one.measure.product == product and one.measure.value is not None]
    return Section(product, warning, tuple(main), tuple(concerning(others)), tuple(_plots(past, others)))


def _plots(past: Sequence[DayMeasure], others: Sequence[Revised]) -> list[tuple[str, Markup]]:
    drawn: list[tuple[str, Callable[[], str]]] = []
    scores = [one for one in past if one.kind == SCORE]
    if scores:
        drawn.append((KINDS[SCORE], lambda: score_lines(scores)))
    approvals = [one for one in past if one.kind == APPROVAL]
    if approvals:
        drawn.append((KINDS[APPROVAL], lambda: share_line(approvals)))
    outcomes = [one for one in past if one.kind == CALIBRATION]
    if outcomes:
        drawn.append((KINDS[CALIBRATION], lambda: share_line([one for one in outcomes if not one.model])))
    inputs = [one.measure for one in others if one.measure.kind == INPUT and one.measure.value is not None]
    if inputs:
        drawn.append((KINDS[INPUT], lambda: input_bars(inputs)))
    return [(title, Markup(draw())) for title, draw in drawn]


@matplotlib.rc_context(SETTINGS)
def score_lines(scores: Sequence[DayMeasure]) -> str:
    """PSI by day of each version, over the levels of W8."""
    by_version: dict[str, list[DayMeasure]] = defaultdict(list)
    for one in scores:
        by_version[one.model].append(one)
    axes, figure = _axes()
    for colour, limit in zip(SHADES.values(), PSI_LIMITS, strict=True):
        axes.axhline(limit, color=colour, linewidth=0.8, linestyle="--")
    for place, (name, ones) in enumerate(sorted(by_version.items())):
        days = [date.fromisoformat(one.day) for one in ones]
        axes.plot(days, [one.value for one in ones], "o-", ms=3, color=LINES[place % len(LINES)], label=name)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("PSI")
    axes.legend(frameon=False, loc="upper left")
    return svg(figure)


@matplotlib.rc_context(SETTINGS)
def share_line(ones: Sequence[DayMeasure]) -> str:
    """A share by day, with the bounds in which chance leaves it."""
    axes, figure = _axes()
    days = [date.fromisoformat(one.day) for one in ones]
    low, high, expected, value = ([100 * (getattr(one, name) or 0.0) for one in ones] for name in _BOUNDS)
    axes.fill_between(days, low, high, color="#d7dee6", label="chance alone (99.99 %)")
    axes.plot(days, expected, "--", color="#51606e", linewidth=1, label="expected")
    axes.plot(days, value, "o-", ms=3, color=LINES[0], label="seen")
    axes.set_ylabel("%")
    axes.legend(frameon=False, loc="upper left")
    return svg(figure)


_BOUNDS = ("low", "high", "expected", "value")


@matplotlib.rc_context(SETTINGS)
def input_bars(inputs: Sequence[DayMeasure]) -> str:
    """The inputs that moved most, with what chance alone stays below."""
    most = sorted(inputs, key=lambda one: (-(one.value or 0.0), one.model, one.name))[:MOST_BARS]
    figure = Figure(figsize=(7.5, 1.0 + 0.28 * len(most)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(most))
    colours = [SHADES.get(one.level, LINES[0]) for one in most]
    axes.barh(places, [one.value or 0.0 for one in most], 0.6, color=colours)
    axes.plot([one.high or 0.0 for one in most], places, "|", color="black", ms=9, label="chance alone (99.99 %)")
    axes.set_yticks(places, [_label(f"{one.name} ({one.model})") for one in most])
    axes.invert_yaxis()
    axes.set_xlabel("PSI")
    figure.legend(frameon=False, loc="outside upper right")
    return svg(figure)


def _axes() -> tuple[Any, Figure]:
    figure = Figure(figsize=(7.5, 2.8), layout="constrained")
    axes = figure.add_subplot()
    axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
    return axes, figure


def _label(text: str) -> str:
    plain = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "…"
