"""The plots of evaluations and comparisons as SVG inside a page. The same numbers give the same text."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from sklearn.metrics import roc_curve

from decision_service.scoring.stability import LEVELS, Shift
from ml.evaluation import Calibrated
from ml.fitted import Array
from ml.metrics import Estimate, Labels, ks

SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "report", "font.family": "sans-serif", "font.size": 9}
"""Text stays text, and nothing depends on the moment."""
CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC", "Arial Unicode MS",
)  # fmt: skip
COLOURS = ("#1f4e79", "#c9661b")
GOOD, BAD, GREY = "#2a7f4f", "#b23a3a", "#8aa0b8"
LEVEL_COLOURS = {"none": GREY, "yellow": "#d9a520", "orange": "#c9661b", "red": BAD}
POINTS = 400
RATES = (1e-5, 1e-4, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
MOST_BARS = 20
SIDE = (4.2, 3.6)
Place = Literal["upper left", "upper right", "lower right"]


@dataclass(frozen=True, slots=True)
class Line:
    """One score on labelled rows, as the plots draw it."""

    title: str
    labels: Labels
    probabilities: Array
    bins: tuple[Calibrated, ...]


def roc(lines: Sequence[Line]) -> str:
    """Bads found against goods taken for bad."""
    figure, axes = _square("goods above the threshold", "bads above the threshold (recall)")
    for line, colour in zip(lines, COLOURS, strict=False):
        alarms, recall = _curve(line)
        axes.plot(alarms, recall, color=colour, label=_plain(line.title))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    return _with_legend(figure, axes, "lower right")


def precision_recall(lines: Sequence[Line], base_rate: float | None) -> str:
    """Share of bads among those above a threshold, at the stated base rate if there is one."""
    figure, axes = _square("recall", "precision")
    for line, colour in zip(lines, COLOURS, strict=False):
        rate = float(line.labels.mean()) if base_rate is None else base_rate
        alarms, recall = _curve(line)
        caught = recall > 0
        precision = rate * recall[caught] / (rate * recall[caught] + (1 - rate) * alarms[caught])
        axes.plot(recall[caught], precision, color=colour, label=_plain(line.title))
        axes.axhline(rate, color=GREY, linewidth=0.8, linestyle=":")
    return _with_legend(figure, axes, "upper right")


def distances(line: Line, base_rate: float | None) -> str:
    """Kolmogorov-Smirnov: bads and goods found as ever more of the portfolio is taken, worst first."""
    rate = float(line.labels.mean()) if base_rate is None else base_rate
    alarms, recall = _curve(line)
    share = rate * recall + (1 - rate) * alarms
    figure, axes = _square("share of the portfolio, riskiest first", "share found")
    axes.plot(share, recall, color=BAD, label="bads")
    axes.plot(share, alarms, color=GOOD, label="goods")
    at = int(np.argmax(np.abs(recall - alarms)))
    axes.plot([share[at]] * 2, [alarms[at], recall[at]], color="black", linewidth=1)
    distance = ks(line.labels, line.probabilities)
    axes.annotate(f"KS {distance:.3f}", (share[at], (recall[at] + alarms[at]) / 2), (4, 0),
                  textcoords="offset points")  # fmt: skip
    return _with_legend(figure, axes, "lower right")


def reliability(lines: Sequence[Line]) -> str:
    """Observed rate by mean probability in ten bins, both on a logarithmic scale; bars are 95 % Wilson intervals."""
    figure = Figure(figsize=SIDE, layout="constrained")
    axes = figure.add_subplot()
    shown = [one for line in lines for one in line.bins]
    least = max(min([one.forecast for one in shown] + [one.observed.high for one in shown]) / 2, 1e-6)
    most = min(1.0, max([one.forecast for one in shown] + [one.observed.high for one in shown]) * 1.3)
    axes.plot([least, most], [least, most], color=GREY, linewidth=0.8, linestyle=":")
    for line, colour in zip(lines, COLOURS, strict=False):
        forecast = [max(one.forecast, least) for one in line.bins]
        observed = [max(one.observed.value, least) for one in line.bins]
        lows = [at - max(one.observed.low, least) for at, one in zip(observed, line.bins, strict=True)]
        highs = [max(one.observed.high - at, 0.0) for at, one in zip(observed, line.bins, strict=True)]
        spread = np.array([np.maximum(lows, 0.0), highs])
        axes.errorbar(forecast, observed, spread, color=colour, fmt="o", markersize=4, elinewidth=1, capsize=2,
                      label=_plain(line.title))  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most))
    ticks = [one for one in RATES if least <= one <= most]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{one:g}" for one in ticks])
        axis.set_ticks([], minor=True)
    axes.set(xlabel="mean probability", ylabel="observed rate of bads")
    return _with_legend(figure, axes, "upper left")


def scores(line: Line, base_rate: float | None) -> str:
    """How the probabilities of bads and goods are spread (each class to 100 %)."""
    figure = Figure(figsize=SIDE, layout="constrained")
    axes = figure.add_subplot()
    held = np.clip(line.probabilities, 1e-6, 1 - 1e-6)
    odds = np.log10(held / (1 - held))
    edges = np.linspace(odds.min(), max(odds.max(), odds.min() + 1e-3), 41)
    for label, colour, name in ((0, GOOD, "goods"), (1, BAD, "bads")):
        counts = np.histogram(odds[line.labels == label], edges)[0]
        axes.stairs(100 * counts / max(counts.sum(), 1), edges, fill=True, alpha=0.45, color=colour, label=name)
    ticks = [one for one in (1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99) if _within(one, edges)]
    axes.set_xticks([np.log10(one / (1 - one)) for one in ticks], [f"{one:g}" for one in ticks])
    axes.set(xlabel="probability (scale of log-odds)", ylabel="% of the class")
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    rate = float(line.labels.mean()) if base_rate is None else base_rate
    if _within(rate, edges):
        axes.axvline(np.log10(rate / (1 - rate)), color="black", linewidth=0.8, linestyle=":", label="base rate")
    return _with_legend(figure, axes, "upper right")


def forest(rows: Sequence[tuple[str, Estimate, str]], *, reference: float, label: str) -> str:
    """Names, figures with their intervals and colours below each other, and a line that they are read against."""
    shown = list(rows)[: 2 * MOST_BARS]
    figure = Figure(figsize=(8.0, 0.8 + 0.24 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for place, (_, one, colour) in enumerate(shown):
        axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.5)
        axes.plot([one.value], [place], "o", color=colour, markersize=4)
    axes.axvline(reference, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [_plain(name) for name, _, _ in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(label)
    return _svg(figure)


def movement(shifts: Sequence[Shift]) -> str:
    """PSI of the score and of the inputs that moved most, with the limits of the three colours."""
    shown = list(shifts)[:MOST_BARS]
    figure = Figure(figsize=(8.0, 0.8 + 0.24 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(range(len(shown)), [one.psi for one in shown], 0.7, color=[LEVEL_COLOURS[one.level] for one in shown])
    for limit, level in LEVELS:
        axes.axvline(limit, color=LEVEL_COLOURS[level], linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(shown)), [_plain(one.name) for one in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel("PSI")
    return _svg(figure)


@cache
def _chinese_font() -> tuple[str, ...]:
    """One that is installed, by which Chinese labels are given their room; else none."""
    installed = {font.name for font in fontManager.ttflist}
    return tuple(name for name in CHINESE_FONTS if name in installed)[:1]


def _curve(line: Line) -> tuple[Array, Array]:
    """Shares of goods and bads above falling thresholds; at most some hundred points."""
    alarms, recall, _ = roc_curve(line.labels, line.probabilities, drop_intermediate=True)
    if len(alarms) <= POINTS:
        return alarms, recall
    way = alarms + recall  # steep and flat parts both keep points
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)).clip(0, len(way) - 1))
    return alarms[kept], recall[kept]


def _within(probability: float, edges: Array) -> bool:
    return bool(edges[0] <= np.log10(probability / (1 - probability)) <= edges[-1])


def _square(across: str, up: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=SIDE, layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlabel=across, ylabel=up, xlim=(0, 1), ylim=(0, 1.02))
    return figure, axes


def _with_legend(figure: Figure, axes: Axes, place: Place) -> str:
    axes.legend(loc=place, frameon=False, fontsize=8)
    return _svg(figure)


def _plain(text: str, most: int = 46) -> str:
    """Text that is no formula, cut where it is too long for a label."""
    shown = "".join(one if one.isprintable() else "\ufffd" for one in text)
    cut = shown if len(shown) <= most else shown[: most - 1] + "…"
    return cut.replace("$", r"\$")


def _svg(figure: Figure) -> str:
    """The drawing alone, without the head of an XML file, so that it can stand inside a page."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    for label in figure.findobj(Text):
        if isinstance(label, Text) and not label.get_text().isascii():
            label.set_fontfamily(["sans-serif", *_chinese_font()])
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        # Text stays text: whoever opens the page has the glyphs, wherever it was drawn.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        out = io.StringIO()
        FigureCanvasSVG(figure).print_svg(out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = out.getvalue()
    return text[text.index("<svg") :]
