"""The model card of a registered version, made from its run: data, parts, leaks, figures, limits of use, sign-off."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from mlflow import MlflowClient

from decision_service.scoring.promotions import Promotion
from decision_service.scoring.registry import ModelRegistry, model_errors
from decision_service.scoring.spec import LstmSpec, Spec, XgboostSpec, kind_of
from ml.blend import Blend, built
from ml.evaluation import Evaluation, assess
from ml.metrics import Estimate
from ml.promotion import CHAMPION
from ml.release import Version, read_version

TEMPLATES = Path(__file__).with_name("templates")
SEED, REPEATS = 7, 1_000
DIRECTIONS = {1: "rises / 只升", -1: "falls / 只降", 0: "free / 不限"}
NOT_KEPT = "not kept with the run / 训练时未记录"
REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True, slots=True)
class Section:
    """A title, then either a table with a head or lines."""

    title: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """A model card; the same version with the same history gives the same card."""

    title: str
    sections: tuple[Section, ...]

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def card_of(name: str, version: str, *, uri: str) -> Card:
    """The card of a version. Raises ``ModelError``."""
    found = read_version(name, version, uri=uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    with model_errors(found.title):
        run = client.get_run(found.run_id).data
        aliases = client.get_model_version(name, version).aliases
    promotions = ModelRegistry(uri).state(name, CHAMPION).promotions
    model = built(found.files)
    spec = model.spec
    specs = [one.spec for one in model.members] if isinstance(model, Blend) else [spec]
    judged = _assessed(found, spec)
    sections = (
        _identity(found, spec, aliases),
        _data(found),
        _leaks(found.facts),
        *(_features(one, run.params, found.facts) for one in specs),
        _figures(run.metrics),
        *_judged(judged),
        _calibration(spec, judged),
        Section("Limits of use / 使用限制", lines=tuple(_limits(found, spec, judged))),
        _sign_off(found, promotions),
        _libraries(found),
    )
    return Card(f"{found.title} — model card / 模型卡", sections)


def _assessed(found: Version, spec: Spec) -> Evaluation | None:
    held = found.held_out
    if held is None:
        return None
    return assess(
        found.title,
        held.labels,
        held.probabilities,
        seed=SEED,
        repeats=REPEATS,
        groups=held.groups,
        base_rate=spec.calibration.base_rate,
        segments=held.segments,
    )


def _identity(found: Version, spec: Spec, aliases: Sequence[str]) -> Section:
    rows = (
        ("kind / 类型", _kind(found, spec)),
        ("aliases / 别名", ", ".join(sorted(aliases)) or "none / 无"),
        ("digest of all files / 文件摘要", found.identity.digest),
        ("run / 训练", found.run_id),
        ("data / 数据", found.tags.get("data", NOT_KEPT)),
        ("hash of the data / 数据摘要", found.tags.get("data_hash", NOT_KEPT)),
        ("seed / 种子", found.tags.get("seed", NOT_KEPT)),
    )
    return Section("What it is / 基本信息", rows=rows)


def _kind(found: Version, spec: Spec) -> str:
    shares: Mapping[str, float] = found.facts.get("weights", {})
    if found.tags.get("kind") != "blend":
        return kind_of(spec)
    return "blend: " + ", ".join(f"{kind} {share:.2f}" for kind, share in shares.items())


def _data(found: Version) -> Section:
    facts = found.facts
    keys = {
        "units": "units / 样本数",
        "bads": "bads / 违约数",
        "span": "time span / 时间范围",
        "bad": "bad means / 违约定义",
        "judged": "judged / 评估方式",
        "parts": "parts / 数据划分",
        "tried": "configurations tried / 试验组合数",
    }
    rows = tuple((text, _text(facts[key])) for key, text in keys.items() if key in facts)
    lines = tuple(str(note) for note in facts.get("notes", ()))
    return Section("Training data / 训练数据", rows=rows, lines=lines if rows else (NOT_KEPT,))


def _leaks(facts: Mapping[str, Any]) -> Section:
    title = "Leak report / 泄漏检查"
    if "leaks" not in facts:
        return Section(title, lines=(NOT_KEPT,))
    kept = facts.get("kept_as_told", ())
    done = {True: "kept / 保留", False: "left out / 剔除"}
    rows = tuple(
        (*(str(one[key]) for key in ("column", "reason", "evidence")), done[one["column"] in kept])
        for one in facts["leaks"]
    )
    lines = tuple(f"left out / 剔除: {name} ({why})" for name, why in facts.get("left_out", {}).items())
    with_leaks = facts.get("auc_with_leaks")
    if with_leaks is not None:
        lines += (f"ROC-AUC {with_leaks:.4f} with the leaks, {facts['auc_without_leaks']:.4f} without",)
    head = ("column / 列", "why / 原因", "evidence / 证据", "done / 处理")
    return Section(title, head=head if rows else (), rows=rows, lines=lines or (() if rows else ("none found / 未发现",)))


def _features(spec: Spec, params: Mapping[str, str], facts: Mapping[str, Any]) -> Section:
    sources: Mapping[str, str] = facts.get("sources", {})
    if isinstance(spec, LstmSpec):
        rows = tuple((name, sources.get(name, ""), "") for name in spec.series)
        title = f"Series over {spec.months} periods / 序列（{spec.months} 期）"
        return Section(title, head=("series / 序列", "source / 来源", ""), rows=rows)
    columns = spec.columns if isinstance(spec, XgboostSpec) else spec.features
    known = dict(zip(columns, _directions(params), strict=False))
    rows = tuple((name, sources.get(name, ""), DIRECTIONS.get(known.get(name, 0), "")) for name in columns)
    head = ("feature / 特征", "source / 来源", "PD with the value / 违约概率随其")
    return Section(f"Features / 特征: {kind_of(spec)}", head=head, rows=rows)


def _directions(params: Mapping[str, str]) -> tuple[int, ...]:
    try:
        return tuple(ast.literal_eval(params.get("monotone_constraints", "()")))
    except (SyntaxError, TypeError, ValueError):
        return ()  # MLflow cuts long parameters short


def _figures(metrics: Mapping[str, float]) -> Section:
    names = sorted(name for name in metrics if not name.endswith(("_low", "_high")))
    shown = {name: f"{value:.4f}" for name, value in metrics.items()}
    rows = tuple((name, shown[name], shown.get(f"{name}_low", ""), shown.get(f"{name}_high", "")) for name in names)
    head = ("figure / 指标", "value / 值", "95 % from / 下限", "to / 上限")
    return Section("Figures on rows it never saw / 样本外指标", head=head, rows=rows, lines=() if rows else (NOT_KEPT,))


def _judged(found: Evaluation | None) -> Iterator[Section]:
    if found is None:
        yield Section("Segments / 分群", lines=(NOT_KEPT,))
        return
    rows = tuple(
        (
            one.segment.column,
            one.segment.value,
            str(one.calibrated.rows),
            str(one.calibrated.bads),
            "too few / 过少" if one.auc is None else str(one.auc),
            f"{one.calibrated.forecast:.4f}",
            str(one.calibrated.observed),
        )
        for one in found.segments
    )
    head = ("by / 按", "segment / 分群", "rows", "bads", "ROC-AUC", "forecast / 预测", "observed / 实际")
    yield Section("Segments / 分群", head=head if rows else (), rows=rows, lines=() if rows else ("none / 无",))


def _calibration(spec: Spec, found: Evaluation | None) -> Section:
    given = spec.calibration
    lines: tuple[str, ...] = (f"12-month PD at a base rate of {given.base_rate:g} / 基准违约率 {given.base_rate:g}",)
    if found is None:
        return Section("Calibration / 校准", lines=lines)
    lines += tuple(f"{name} {found.figures[name]}" for name in ("ece", "brier", "brier_skill") if name in found.figures)
    rows = tuple((str(one.rows), str(one.bads), f"{one.forecast:.4f}", str(one.observed)) for one in found.bins)
    head = ("rows", "bads", "forecast / 预测", "observed / 实际")
    return Section("Calibration / 校准", head=head, rows=rows, lines=lines)


def _limits(found: Version, spec: Spec, judged: Evaluation | None) -> Iterator[str]:
    rate = spec.calibration.base_rate
    yield f"A portfolio whose default rate is not {rate:g} needs another calibration. 违约率不是 {rate:g} 的组合须重新校准。"
    yield "It gives a probability for a decision that rules take; it decides nothing. 模型只给概率，由规则决策。"
    if isinstance(spec, LstmSpec):
        yield f"Fewer than {spec.min_months} reported periods give no score. 少于 {spec.min_months} 期不评分。"
    if isinstance(spec, XgboostSpec) and spec.sections:
        yield f"Industries beyond the {len(spec.sections)} trained on count as unknown. 训练外的行业按未知处理。"
    if found.tags.get("data") == "synthetic city":
        yield "Trained on a made-up city: it shows how the platform works and says nothing of real firms. 仅用于演示。"
    few, count = (sum(one.auc is None for one in judged.segments), len(judged.segments)) if judged else (0, 0)
    if few:
        yield f"{few} of {count} segments have too few bads to be judged, see above. 共 {count} 个分群，{few} 个违约过少，无法评估，见上。"
    if judged is None:
        yield "No held-out rows were kept: calibration and segments were not judged. 未保留样本外数据，校准与分群未评估。"
    yield from (str(text) for text in found.facts.get("limits", ()))


def _sign_off(found: Version, promotions: Sequence[Promotion]) -> Section:
    name, version = found.identity.name, found.identity.version
    mine = [one for one in promotions if one.members[name] == version]
    registrar = found.registrar
    lines = [f"registered by / 登记人: {registrar or 'unknown / 未知'}"]
    for one in mine:
        note = f" — {one.note}" if one.note else ""
        lines.append(f"{one.at} {one.how} by / 操作人 {one.person or 'unknown / 未知'}{note}")
    last = next((one for one in reversed(mine) if one.gates), None)
    rows = tuple(
        (gate, "passed / 通过" if passed else "refused / 拒绝", text)
        for gate, passed, text in (last.gates if last else ())
        if gate.startswith(f"{name}: ")
    )
    head = ("gate / 关卡", "", "figures / 数据")
    return Section("Sign-off / 批准", head=head if rows else (), rows=rows, lines=tuple(lines))


def _libraries(found: Version) -> Section:
    text = found.files.get(REQUIREMENTS, b"").decode()
    return Section("Libraries / 软件版本", lines=tuple(line for line in text.splitlines() if line) or (NOT_KEPT,))


def _text(value: Any) -> str:
    if isinstance(value, Estimate):
        return str(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def markdown(card: Card) -> str:
    """The card as Markdown."""
    parts = [f"# {card.title}"]
    for one in card.sections:
        parts.append(f"\n## {one.title}\n")
        if one.rows:
            head = one.head or ("",) * len(one.rows[0])
            parts += [_row(head), _row(("---",) * len(head)), *map(_row, one.rows)]
        if one.rows and one.lines:
            parts.append("")
        parts += [f"- {line}" for line in one.lines]
    return "\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def html(card: Card) -> str:
    """The card as one page that opens offline."""
    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return pages.get_template("model_card.html.j2").render(card=card)
