"""Sets the platform's decisions beside what the 123 firms did: shares, reasons, AUC and KS with intervals, a plot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from decision_service.errors import InputError
from ml.cumcm import Dataset
from ml.cumcm_feeds import application_id
from ml.metrics import Estimate, evaluate

OUTCOMES = ("APPROVE", "REFER", "DECLINE")
MODELS = {"xgboost": "pd_xgb", "lstm": "pd_lstm", "blend": "pd_12m"}
SAME_SCORE = 2e-6
BOOTSTRAP_SEED, BOOTSTRAP_DRAWS = 1, 2_000


@dataclass(frozen=True, slots=True)
class Report:
    """What is printed: counts by (outcome, defaulted), reasons by outcome, intervals by model, firms left over.

    ``differing`` are firms whose decision used other scores than the out-of-fold ones: a model that had seen the firm.
    """

    counts: Mapping[tuple[str, int], int]
    reasons: Mapping[str, Counter[str]]
    auc: Mapping[str, Estimate]
    ks: Mapping[str, Estimate]
    undecided: tuple[str, ...]
    differing: tuple[str, ...]

    def approved_share(self, defaulted: int) -> float:
        """Approved of the firms with this outcome, decided or not."""
        total = sum(count for (_, outcome), count in self.counts.items() if outcome == defaulted)
        return self.counts["APPROVE", defaulted] / total if total else 0.0


def read_decisions(paths: Sequence[Path]) -> dict[str, Mapping[str, Any]]:
    """Decisions by application id, from files of JSON, JSON lists or JSON Lines as ``decide --json`` prints them."""
    decisions: dict[str, Mapping[str, Any]] = {}
    for path in paths:
        for decision in _decisions(path):
            key = str(decision["application_id"])
            if key in decisions:
                raise InputError(f"{key} was decided twice", where=str(path), remedy="give each fold's file once")
            decisions[key] = decision
    return decisions


def _decisions(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        items = _documents(text)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", where=str(path), remedy="write it with decide --json") from error
    for item in items:
        decision = item.get("decision", item) if isinstance(item, dict) else item
        if not isinstance(decision, dict) or "application_id" not in decision:
            raise InputError(
                "holds something that is no decision", where=str(path), remedy="write it with decide --json"
            )
        yield decision


def _documents(text: str) -> Iterable[Any]:
    try:
        whole = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    if isinstance(whole, dict) and isinstance(whole.get("decisions"), list):
        return whole["decisions"]
    return whole if isinstance(whole, list) else [whole]


def build_report(dataset: Dataset, scores: pd.DataFrame, decisions: Mapping[str, Mapping[str, Any]]) -> Report:
    """Join outcomes, out-of-fold scores (``oof_scores.csv``) and decisions."""
    counts = {(outcome, defaulted): 0 for outcome in (*OUTCOMES, "none") for defaulted in (0, 1)}
    reasons: dict[str, Counter[str]] = {outcome: Counter() for outcome in OUTCOMES}
    by_firm = scores.set_index("enterprise_id")
    undecided, differing = [], []
    for firm in dataset.firms:
        decision = decisions.get(application_id(firm.firm_id))
        outcome = "none" if decision is None else str(decision.get("outcome", "none"))
        counts[outcome if outcome in OUTCOMES else "none", int(firm.defaulted)] += 1
        if decision is None or outcome not in OUTCOMES:
            undecided.append(firm.firm_id)
            continue
        reasons[outcome].update({str(reason["code"]) for reason in decision.get("reasons", ())})
        if _differs(decision, by_firm.loc[firm.firm_id]):
            differing.append(firm.firm_id)
    labels = scores["defaulted"].to_numpy(dtype=int)
    metrics = {
        name: evaluate(labels, scores[column].to_numpy(dtype=float), seed=BOOTSTRAP_SEED, repeats=BOOTSTRAP_DRAWS)
        for name, column in MODELS.items()
    }
    return Report(
        counts,
        reasons,
        {name: found["auc"] for name, found in metrics.items()},
        {name: found["ks"] for name, found in metrics.items()},
        tuple(undecided),
        tuple(differing),
    )


def _differs(decision: Mapping[str, Any], expected: pd.Series) -> bool:
    found = decision.get("scores") or {}
    pairs = [(found.get(column), expected[column]) for column in MODELS.values()]
    return any(value is None or abs(float(value) - other) > SAME_SCORE for value, other in pairs)


def lines(report: Report, lang: str = "en") -> list[str]:
    """The report as text, in ``en`` or ``zh``."""
    words = _WORDS[lang]
    totals = {flag: sum(n for (_, outcome), n in report.counts.items() if outcome == flag) for flag in (0, 1)}
    rows = [f"{words['outcome']:<12}{words['paid']:>10}{words['defaulted']:>12}"]
    for outcome in (*OUTCOMES, "none"):
        paid, bad = report.counts[outcome, 0], report.counts[outcome, 1]
        if outcome != "none" or paid + bad:
            rows.append(f"{words.get(outcome, outcome):<12}{paid:>10}{bad:>12}")
    rows.append(
        words["shares"].format(
            paid=report.counts["APPROVE", 0],
            paid_all=totals[0],
            share=report.approved_share(0),
            bad=report.counts["APPROVE", 1],
            bad_all=totals[1],
        )
    )
    for name in MODELS:
        area, distance = report.auc[name], report.ks[name]
        rows.append(f"{name:<8} AUC {_interval(area)}  KS {_interval(distance)}")
    for outcome in ("REFER", "DECLINE"):
        codes = ", ".join(f"{code} {count}" for code, count in report.reasons[outcome].most_common())
        rows.append(f"{words['reasons']} {words.get(outcome, outcome)}: {codes or '-'}")
    if report.undecided:
        rows.append(f"{words['undecided']}: {', '.join(report.undecided)}")
    if report.differing:
        rows.append(f"{words['differing']}: {', '.join(report.differing)}")
    return rows


def _interval(value: Estimate) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "outcome": "outcome",
        "paid": "paid",
        "defaulted": "defaulted",
        "none": "no answer",
        "shares": "approved: {paid} of {paid_all} that paid ({share:.1%}), {bad} of {bad_all} that defaulted",
        "reasons": "reasons of",
        "undecided": "without a decision",
        "differing": "scored by other models than the out-of-fold ones",
    },
    "zh": {
        "outcome": "结果",
        "paid": "正常还款",
        "defaulted": "违约",
        "APPROVE": "通过",
        "REFER": "转人工",
        "DECLINE": "拒绝",
        "none": "无结果",
        "shares": "通过：正常还款 {paid_all} 户中 {paid} 户（{share:.1%}），违约 {bad_all} 户中 {bad} 户",
        "reasons": "理由",
        "undecided": "未得出决定",
        "differing": "所用模型并非折外模型",
    },
}


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "counts": {f"{outcome}/{flag}": count for (outcome, flag), count in report.counts.items()},
        "approved_share_paid": report.approved_share(0),
        "approved_defaulted": report.counts["APPROVE", 1],
        "auc": {name: [value.value, value.low, value.high] for name, value in report.auc.items()},
        "ks": {name: [value.value, value.low, value.high] for name, value in report.ks.items()},
        "reasons": {outcome: dict(codes) for outcome, codes in report.reasons.items()},
        "undecided": list(report.undecided),
        "differing": list(report.differing),
    }


def plot(report: Report, scores: pd.DataFrame, path: Path) -> None:
    """Out-of-fold PDs by outcome and the ROC curves, as a PNG."""
    import matplotlib  # only here: the service and the other commands run without it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.5))
    labels = scores["defaulted"].to_numpy()
    for flag, name, colour in ((0, "paid", "tab:blue"), (1, "defaulted", "tab:red")):
        left.scatter(scores["pd_xgb"][labels == flag], scores["pd_lstm"][labels == flag], s=14, c=colour, label=name)
    left.set(xscale="log", yscale="log", xlabel="PD of XGBoost", ylabel="PD of LSTM", title="Out-of-fold scores")
    left.legend()
    for name, column in MODELS.items():
        right.plot(*_roc(labels, scores[column].to_numpy()), label=f"{name} {report.auc[name].value:.3f}")
    right.plot([0, 1], [0, 1], "k:", linewidth=0.8)
    right.set(xlabel="share of paid firms above", ylabel="share of defaulted firms above", title="ROC, AUC")
    right.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _roc(labels: np.ndarray, scores: np.ndarray) -> tuple[list[float], list[float]]:
    thresholds = [np.inf, *sorted(set(scores), reverse=True)]
    good, bad = scores[labels == 0], scores[labels == 1]
    return [float((good >= at).mean()) for at in thresholds], [float((bad >= at).mean()) for at in thresholds]
