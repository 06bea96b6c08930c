"""Evaluations and comparisons told to people: lines on a terminal, and one HTML page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from ml.comparison import BETTER, JUDGED, SAME, WORSE, Comparison, Pair
from ml.evaluation import Evaluation, SegmentFigures
from ml.metrics import Estimate
from ml.report_plots import (
    BAD,
    GOOD,
    GREY,
    Line,
    distances,
    forest,
    movement,
    precision_recall,
    reliability,
    roc,
    scores,
)
from ml.segments import LEAST, Segment

Words = Mapping[str, str]
TEMPLATES = Path(__file__).with_name("templates")
RECALL = "recall_at_precision_"
MOST_SHIFTS = 40
LINE = "#1f4e79"
SIGNALS = {BETTER: GOOD, WORSE: BAD, SAME: GREY}
NAMES: Mapping[str, Words] = {
    "auc": {"en": "ROC-AUC", "zh": "ROC-AUC"},
    "gini": {"en": "Gini", "zh": "基尼系数"},
    "ks": {"en": "KS", "zh": "KS"},
    "pr_auc": {"en": "PR-AUC (average precision)", "zh": "PR-AUC（平均精确率）"},
    "brier": {"en": "Brier (lower is better)", "zh": "Brier 分数（越低越好）"},
    "brier_skill": {"en": "Brier skill over the constant", "zh": "相对常数预测的 Brier 技巧"},
    "ece": {"en": "ECE (lower is better)", "zh": "期望校准误差 ECE（越低越好）"},
    "ece_if_calibrated": {"en": "ECE from chance alone", "zh": "仅由偶然产生的 ECE"},
}
VERDICTS: Mapping[str, Words] = {
    BETTER: {"en": "B is better", "zh": "B 更好"},
    WORSE: {"en": "B is worse", "zh": "B 更差"},
    SAME: {"en": "no difference", "zh": "无差异"},
}
COLOURS: Mapping[str, Words] = {
    "none": {"en": "", "zh": ""},
    "yellow": {"en": "yellow", "zh": "黄"},
    "orange": {"en": "orange", "zh": "橙"},
    "red": {"en": "red", "zh": "红"},
}


def name_of(figure: str) -> Words:
    """A figure's name in both languages."""
    if figure.startswith(RECALL):
        least = figure.removeprefix(RECALL)
        return {"en": f"recall at precision ≥ {least}", "zh": f"精确率 ≥ {least} 时的召回率"}
    return NAMES[figure]


def base_rate_notes(rate: float, base_rate: float | None, calibrated: Sequence[float]) -> list[Words]:
    """What must be known of the base rate to read the figures; ``calibrated`` are the base rates of the models."""
    found: list[Words] = []
    if base_rate is not None:
        found.append(
            {
                "en": f"{rate:.2%} of the rows are bad, the stated base rate is {base_rate:.2%}: every class weighs as"
                " much as its stated share (prior shift; Elkan 2001, Saerens et al. 2002). This holds if bads look"
                " alike here and in the portfolio, and goods too.",
                "zh": f"样本坏样本率 {rate:.2%}，声明的基准率 {base_rate:.2%}：各类别按声明的占比加权（先验偏移；Elkan 2001，"
                "Saerens 等 2002）。前提是样本与组合中的坏客户彼此相似，好客户亦然。",
            }
        )
    expected = rate if base_rate is None else base_rate
    for one in sorted({one for one in calibrated if not 0.8 < one / expected < 1.25}):
        remedy_en = "state that of the portfolio by --base-rate" if base_rate is None else "train again at this rate"
        remedy_zh = "请用 --base-rate 声明组合的基准率" if base_rate is None else "请按此基准率重新训练"
        found.append(
            {
                "en": f"The model is calibrated to a base rate of {one:.2%}, the figures are at {expected:.2%}: Brier,"
                f" its skill and ECE show that gap too; {remedy_en}.",
                "zh": f"模型按 {one:.2%} 的基准率校准，而指标按 {expected:.2%} 计算：Brier、技巧分与 ECE 也包含这一差距；"
                f"{remedy_zh}。",
            }
        )
    return found


def few_notes(bads: int, goods: int) -> list[Words]:
    """Said of samples whose figures mean little, whatever their intervals."""
    if min(bads, goods) >= LEAST:
        return []
    return [
        {
            "en": f"{bads:,} bads and {goods:,} goods are too few: the figures mean little, and their intervals are too"
            " narrow.",
            "zh": f"坏样本 {bads:,}、好样本 {goods:,}，数量过少：指标意义不大，区间也偏窄。",
        }
    ]


def verdict_of(found: Comparison) -> Words:
    """Is B better: one sentence."""
    names = {lang: [_listed(one, lang) for one in (found.better, found.worse)] for lang in ("en", "zh")}
    if found.better and found.worse:
        return {
            "en": f"B is better in {names['en'][0]} and worse in {names['en'][1]}.",
            "zh": f"B 在 {names['zh'][0]} 上更好，在 {names['zh'][1]} 上更差。",
        }
    if found.worse:
        return {"en": f"B is worse than A in {names['en'][1]}.", "zh": f"B 在 {names['zh'][1]} 上比 A 差。"}
    if found.better:
        return {
            "en": f"B is better than A in {names['en'][0]}, and worse in nothing that is judged.",
            "zh": f"B 在 {names['zh'][0]} 上比 A 好，其余所判指标均不差。",
        }
    judged = {lang: _listed(JUDGED, lang) for lang in ("en", "zh")}
    return {
        "en": f"No difference between A and B: the intervals of {judged['en']} all hold 0.",
        "zh": f"A 与 B 无差异：{judged['zh']} 之差的区间都包含 0。",
    }


def _listed(figures: Sequence[str], lang: str) -> str:
    short = {"auc": "ROC-AUC", "pr_auc": "PR-AUC", "brier": "Brier"}
    return ("、" if lang == "zh" else ", ").join(short[one] for one in figures)


def evaluation_lines(found: Evaluation, notes: Sequence[Words], lang: str) -> list[str]:
    """The evaluation for a terminal, in ``en`` or ``zh``."""
    words = _TEXT[lang]
    rows = [f"{found.title}: " + words["rows"].format(rows=found.rows, bads=found.bads, rate=found.sample_rate)]
    if found.unscored:
        rows.append(words["unscored"].format(count=found.unscored))
    rows += [note[lang] for note in notes]
    drawn = words["by_group"].format(groups=found.groups) if found.groups else words["by_row"]
    rows.append(words["intervals"].format(repeats=found.repeats, drawn=drawn))
    rows += [f"  {_padded(name_of(name)[lang], 34)}{one}" for name, one in found.figures.items()]
    if found.segments:
        rows += ["", f"{_padded(words['segment'], 40)}{words['segment_columns']}"]
        rows += [_segment_line(one, lang) for one in found.segments]
    if found.shifts:
        rows += ["", words["psi"]]
        rows += [
            f"  {_padded(one.name, 34)}{one.psi:8.4f} ({one.noise:.4f})  {COLOURS[one.level][lang]}".rstrip()
            for one in found.shifts[:11]
        ]
    return rows


def _segment_line(one: SegmentFigures, lang: str) -> str:
    held, segment = one.calibrated, one.segment
    area = _TEXT[lang]["too_few"] if one.auc is None else str(one.auc)
    title = f"{segment.column} = {segment.value}"
    counts = f"{held.rows:>9,}{held.bads:>8,}   {held.observed.value:.4f} / {held.forecast:.4f}   "
    return f"{_padded(title, 40)}{counts}{area}"


def comparison_lines(found: Comparison, titles: tuple[str, str], notes: Sequence[Words], lang: str) -> list[str]:
    """The comparison for a terminal, in ``en`` or ``zh``."""
    words = _TEXT[lang]
    rows = [f"A  {titles[0]}", f"B  {titles[1]}"]
    rows.append(words["rows"].format(rows=found.rows, bads=found.bads, rate=found.bads / found.rows))
    rows += [note[lang] for note in notes]
    rows.append(f"{'':36}{'A':>8}{'B':>9}   {words['difference']}")
    for name, pair in found.figures.items():
        values = f"{pair.first:8.4f} {pair.second:8.4f}   {_signed(pair.difference)}   {VERDICTS[pair.verdict][lang]}"
        rows.append(f"  {_padded(name_of(name)[lang], 34)}{values}")
    test = found.delong
    shown = f"= {test.p_value:.4f}" if test.p_value >= 0.0001 else "< 0.0001"
    rows.append(words["delong"].format(difference=_signed(test.difference), p=shown))
    if found.segments:
        rows += ["", f"{_padded(words['segment'], 40)}{words['pair_columns']}"]
        rows += [_pair_line(segment, pair, lang) for segment, pair in found.segments]
    return [*rows, "", verdict_of(found)[lang]]


def _pair_line(segment: Segment, pair: Pair | None, lang: str) -> str:
    title = _padded(f"{segment.column} = {segment.value}", 40) + f"{len(segment.rows):>9,}{segment.bads:>8,}   "
    if pair is None:
        return title + _TEXT[lang]["too_few"]
    return f"{title}{_signed(pair.difference)}   {VERDICTS[pair.verdict][lang]}"


def _signed(one: Estimate) -> str:
    return f"{one.value:+.4f} [{one.low:+.4f}, {one.high:+.4f}]"


def _padded(text: str, width: int) -> str:
    """Chinese characters take two columns on a terminal."""
    wide = sum(ord(one) > 0x2E7F for one in text)
    return text + " " * max(1, width - len(text) - wide)


_TEXT: Mapping[str, Words] = {
    "en": {
        "rows": "{rows:,} rows, {bads:,} bad ({rate:.2%})",
        "unscored": "{count:,} rows have no score and are left out",
        "intervals": "figures with 95 % intervals from {repeats:,} resamples of {drawn}",
        "by_row": "rows",
        "by_group": "{groups:,} groups",
        "segment": "segment",
        "segment_columns": "     rows    bads   observed / forecast   ROC-AUC",
        "pair_columns": "     rows    bads   ROC-AUC, B minus A",
        "too_few": "too few bads or goods for a figure",
        "psi": "PSI against the training rows (in brackets: what chance stays below in 95 of 100 samples)",
        "difference": "B minus A, 95 % interval",
        "delong": "DeLong: ROC-AUC {difference}, p {p}",
    },
    "zh": {
        "rows": "{rows:,} 行，坏样本 {bads:,}（{rate:.2%}）",
        "unscored": "{count:,} 行没有评分，未计入",
        "intervals": "指标及 95% 区间，由 {repeats:,} 次{drawn}重抽样得到",
        "by_row": "按行",
        "by_group": "按组（{groups:,} 组）",
        "segment": "分群",
        "segment_columns": "     行数  坏样本   实际 / 预测           ROC-AUC",
        "pair_columns": "     行数  坏样本   ROC-AUC，B 减 A",
        "too_few": "坏样本或好样本过少，不给出指标",
        "psi": "相对训练样本的 PSI（括号内：100 个样本中有 95 个仅因偶然低于此值）",
        "difference": "B 减 A，95% 区间",
        "delong": "DeLong 检验：ROC-AUC {difference}，p {p}",
    },
}


def evaluation_page(found: Evaluation, line: Line, notes: Sequence[Words], *, facts: Sequence[tuple[str, str]]) -> str:
    """The evaluation as HTML; ``facts`` are further rows of the table on top (names in both languages)."""
    areas: dict[str, list[tuple[str, Estimate, str]]] = {}
    for one in found.segments:
        if one.auc is not None:
            areas.setdefault(one.segment.column, []).append((one.segment.value, one.auc, LINE))
    plots = {
        "ROC": roc([line]),
        "精确率与召回率 · Precision and recall": precision_recall([line], found.base_rate),
        "KS": distances(line, found.base_rate),
        "可靠性（95% Wilson 区间） · Reliability (95 % Wilson)": reliability([line]),
        "评分分布 · Scores": scores(line, found.base_rate),
    }
    reference = found.figures["auc"].value
    return _page(
        "evaluation.html.j2",
        found=found,
        facts=facts,
        notes=notes,
        plots={name: Markup(one) for name, one in plots.items()},
        most_shifts=MOST_SHIFTS,
        forests={name: Markup(forest(rows, reference=reference, label="ROC-AUC")) for name, rows in areas.items()},
        movement=Markup(movement(found.shifts)) if found.shifts else None,
        columns=list(dict.fromkeys(one.segment.column for one in found.segments)),
    )


def comparison_page(
    found: Comparison,
    lines: Sequence[Line],
    notes: Sequence[Words],
    *,
    base_rate: float | None,
    facts: Sequence[tuple[str, str]],
) -> str:
    """The comparison as HTML, the same way."""
    differences = [
        (name_of(name)["en"], pair.difference, SIGNALS[pair.verdict]) for name, pair in found.figures.items()
    ]
    areas = [
        (f"{one.column} = {one.value}", pair.difference, SIGNALS[pair.verdict])
        for one, pair in found.segments
        if pair is not None
    ]
    return _page(
        "comparison.html.j2",
        found=found,
        facts=facts,
        notes=notes,
        verdict=verdict_of(found),
        plots={
            "ROC": Markup(roc(lines)),
            "精确率与召回率 · Precision and recall": Markup(precision_recall(lines, base_rate)),
            "可靠性（95% Wilson 区间） · Reliability (95 % Wilson)": Markup(reliability(lines)),
        },
        differences=Markup(forest(differences, reference=0.0, label="B minus A")),
        segments=Markup(forest(areas, reference=0.0, label="ROC-AUC, B minus A")) if areas else None,
    )


def _page(template: str, **values: object) -> str:
    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    words = {"name_of": name_of, "verdicts": VERDICTS, "colours": COLOURS}
    return pages.get_template(template).render(**words, **values)
