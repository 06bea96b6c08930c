"""The plots of a backtest as SVG: swap matrix, industries, hit rates of rules. The same numbers give the same text."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from decision_service.vocabulary import Outcome
from decision_service.workbench.backtest import Hits, RuleHits, Swaps

SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "backtest",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,
}
"""Text stays text, also between dollar signs, and nothing depends on the moment."""
COLOURS = {Outcome.APPROVE: "#2a7f4f", Outcome.REFER: "#d9a520", Outcome.DECLINE: "#b23a3a"}
OLD_COLOUR, NEW_COLOUR = "#8aa0b8", "#1f4e79"
MOST_BARS = 20
LONGEST = 24
"""Letters of a label; the table beside the plot has all of them."""


@matplotlib.rc_context(SETTINGS)
def swap_matrix(swaps: Swaps) -> str:
    """Outcome under OLD by outcome under NEW; the shade is the share of the row."""
    names = [outcome.name for outcome in Outcome]
    counts = [[_count(swaps, old, new) for new in Outcome] for old in Outcome]
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    figure = Figure(figsize=(5.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    axes.pcolormesh(shares, cmap="Blues", vmin=0, vmax=1, edgecolors="white")  # an image would not be text
    axes.set_xticks([place + 0.5 for place in range(len(names))], names)
    axes.set_yticks([place + 0.5 for place in range(len(names))], names)
    axes.invert_yaxis()
    axes.set(xlabel="NEW", ylabel="OLD")
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            colour = "white" if shares[row][column] > 0.6 else "black"
            text = f"{count:,}\n{shares[row][column]:.1%}"
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour)
    return svg(figure)


@matplotlib.rc_context(SETTINGS)
def group_bars(groups: Sequence[Swaps]) -> str:
    """Share of applications approved under OLD and NEW, for the groups in which most changes."""
    shown = list(groups)[:MOST_BARS]
    figure = Figure(figsize=(7.5, 0.6 + 0.3 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for offset, by, colour in ((-0.2, "old", OLD_COLOUR), (0.2, "new", NEW_COLOUR)):
        shares = [100 * one.approved(by)[0] / max(1, one.count) for one in shown]
        axes.barh([place + offset for place in range(len(shown))], shares, 0.38, color=colour, label=by.upper())
    axes.set_yticks(range(len(shown)), [_label(one.value) for one in shown])
    axes.invert_yaxis()
    axes.set_xlabel("approved, %")
    axes.legend(frameon=False, loc="lower right")
    return svg(figure)


@matplotlib.rc_context(SETTINGS)
def rule_bars(rules: Sequence[RuleHits]) -> str:
    """Share of rows that a rule matches under OLD and NEW, for the rules whose share changes most."""
    shown = sorted(rules, key=lambda one: (-abs(share(one.new) - share(one.old)), one.rule))[:MOST_BARS]
    figure = Figure(figsize=(7.5, 0.6 + 0.3 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for offset, colour, label in ((-0.2, OLD_COLOUR, "OLD"), (0.2, NEW_COLOUR, "NEW")):
        shares = [100 * share(one.old if label == "OLD" else one.new) for one in shown]
        axes.barh([place + offset for place in range(len(shown))], shares, 0.38, color=colour, label=label)
    axes.set_yticks(range(len(shown)), [one.rule for one in shown])
    axes.invert_yaxis()
    axes.set_xlabel("matched, %")
    axes.legend(frameon=False, loc="lower right")
    return svg(figure)


def share(hits: Hits | None) -> float:
    """The share of rows on which a rule matched; of a rule that is not there, none."""
    return hits.matched / hits.rows if hits is not None and hits.rows else 0.0


def _count(swaps: Swaps, old: Outcome, new: Outcome) -> int:
    return sum(cell.count for cell in swaps.cells if cell.old is old and cell.new is new)


def _label(text: str) -> str:
    """A text of a table without what no page may hold: control characters and the like."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:LONGEST])
    return shown + "…" if len(text) > LONGEST else shown


def svg(figure: Figure) -> str:
    """A drawing as text, without the head of an XML file, so that it can stand inside a page."""
    out = io.StringIO()
    with warnings.catch_warnings():  # whoever reads the page has the letters that this machine's font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasSVG(figure).print_svg(out, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = out.getvalue()
    return text[text.index("<svg") :]
