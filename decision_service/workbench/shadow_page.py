"""A shadow's report as one HTML page in Chinese and English that opens offline: nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from decision_service.workbench.shadow_document import yuan
from decision_service.workbench.shadow_report import Report

TEMPLATE = "shadow.html.j2"
STATUSES = {
    "erased": "数值已删除 values erased",
    "unreadable": "记录无法读取 record unreadable",
    "engines differed": "两引擎不一致，按人工处理 engines differed, so it was referred",
    "not admitted": "影子版本不受理 the shadow would not have taken the application",
}
LIMITS = {
    "same": "相同 same",
    "lower": "降低 lower",
    "higher": "提高 higher",
    "became known": "由未知变已知 became known",
    "became unknown": "由已知变未知 became unknown",
}
EXISTS = {"both": "", "active only": "仅现行版本 active only", "shadow only": "仅影子版本 shadow only"}


def html(reports: Iterable[Report], *, most_flips: int) -> str:
    """One page for all reports, with the first flips of each. The same reports give the same bytes."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return pages.get_template(TEMPLATE).render(
        reports=tuple(reports), most=most_flips, statuses=STATUSES, limits=LIMITS, exists=EXISTS, money=yuan
    )
