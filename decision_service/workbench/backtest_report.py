"""A backtest as one HTML page in Chinese and English that opens offline: nothing is loaded from anywhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from decision_service.workbench.backtest import ABSENT, Backtest
from decision_service.workbench.backtest_plots import group_bars, rule_bars, swap_matrix
from decision_service.workbench.populations import DECISIONS, PORTFOLIO

TEMPLATE = "backtest.html.j2"
NAMES = {DECISIONS: "已存决策 · Stored decisions", PORTFOLIO: "全部企业 · The whole portfolio"}
TITLES = {
    "product": "按产品 · By product",
    "industry": "按行业 · By industry",
    "size": "按规模 · By size",
    "client": "按银行 · By bank",
}
UNSHOWABLE = dict.fromkeys((code for code in range(32) if chr(code) not in "\t\n"), "\ufffd")
"""Control characters, which a table may hold and a page may not."""
TRUTHS = {"matched": "命中 matched", "missed": "未命中 missed", "unknown": "未知 unknown", ABSENT: "无此规则 absent"}


def html(found: Backtest, *, industries: Mapping[str, str]) -> str:
    """The report; ``industries`` are names by code. The same backtest gives the same bytes."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = pages.get_template(TEMPLATE).render(
        found=found,
        names=NAMES,
        titles=TITLES,
        truths=TRUTHS,
        industries=industries,
        money=lambda fen: f"{fen // 100:,}.{fen % 100:02}",
        matrix=lambda swaps: Markup(swap_matrix(swaps)),
        bars=lambda groups: Markup(group_bars(groups)),
        rule_chart=lambda rules: Markup(rule_bars(rules)),
    )
    return page.translate(UNSHOWABLE)


def industry_names(industries_csv: str) -> dict[str, str]:
    """Names by code from the text of ``industries.csv``, in both languages."""
    rows = csv.DictReader(io.StringIO(industries_csv))
    return {row["code"]: f"{row['name_zh']} · {row['name_en']}" for row in rows if row.get("code")}
