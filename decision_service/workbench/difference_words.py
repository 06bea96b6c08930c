"""The comparison of two versions for people, in zh or en, and as a JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from decision_service.rulebook.cases import Assessed
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.difference import CONDITIONS, REASONS, SPREAD, Aspect, Flip
from decision_service.rulebook.regions import Region
from decision_service.workbench.changes import Change, Part
from decision_service.workbench.difference import Compared, Effect, Stretch

Bases = Mapping[str, Application]

_WORDS: Mapping[str, tuple[str, str]] = {
    "files": ("文件改动：{count} 处", "Entries of the files that differ: {count}"),
    "same files": ("文件：没有影响含义的改动", "Files: nothing differs but order, comments or spelling"),
    "added": ("新增", "added"),
    "removed": ("删除", "removed"),
    "changed": ("修改", "changed"),
    "nothing": ("无", "nothing"),
    "for all": ("未设叠加规则的各机构", "every client without an overlay"),
    "from": ("自 {begins} 起", "from {begins} on"),
    "until": ("自 {begins} 起至 {ends} 前", "from {begins} until {ends}"),
    "identical": ("现行规则与参数完全相同", "the same rules and parameters are in force"),
    "proven": ("不改变任何决定（已证明）", "no decision changes: proven"),
    "doubt": ("{aspect}：未能判定：{why}", "{aspect}: not decided: {why}"),
    "as": ("如案例档案 {base}，但：", "as profile {base}, but with"),
    "just as": ("如案例档案 {base}", "as profile {base}"),
    "given": ("申请：", "an application with"),
    "before": ("原", "before"),
    "after": ("现", "after"),
    "together": ("共同起作用：{others}", "together with {others}"),
    "joint": ("由多处改动中的任何一处即可引起", "each of several changes suffices"),
    "beyond": ("证明所不及：", "Not covered by the proof:"),
    "verdict proven": (
        "结论：对两个版本都接受的任何申请，决定均不改变（已证明）",
        "no decision changes: proven for every application that both versions admit",
    ),
    "verdict flips": ("结论：有改变的决定，见上", "decisions change: see above"),
    "verdict beyond": (
        "结论：事实相同则决定不变（已证明）；证明所不及的改动见上",
        "no decision changes for equal facts: proven; what lies beyond the proof is named above",
    ),
    "verdict doubt": ("结论：未能全部判定，视为有改变", "not everything could be decided: take it that something changes"),
    "outcome": ("结果", "outcome"),
    "limit": ("额度", "limit"),
    "spread": ("利率加点", "spread"),
    "conditions": ("附加条件", "conditions"),
    "reasons": ("原因", "reasons"),
    "still": ("结果不变，{what}不同", "the outcome stays, other {what}"),
    "again": ("{aspect}：同上", "{aspect}: as above"),
    "bp": ("{number} 个基点", "{number} bp"),
}


class Telling:
    """Tells a comparison in one language."""

    def __init__(self, compared: Compared, bases: Bases, lang: str) -> None:
        self._compared = compared
        self._bases = bases
        self._lang = lang
        self._facts = FactCatalogue({**compared.old.catalogue, **compared.new.catalogue}.values())
        self._told: set[tuple[str, str, str, str]] = set()

    def lines(self) -> Iterator[str]:
        """Everything, line by line: files, decisions by stretches of time, what no proof covers, the verdict."""
        changes = self._compared.changes
        yield self._say("files", count=len(changes)) if changes else self._say("same files")
        for change in changes:
            yield from self._change(change)
        for stretch in self._compared.stretches:
            yield ""
            yield from self._stretch(stretch)
        if self._compared.beyond:
            yield ""
            yield self._say("beyond")
            yield from (f"  {one.name}: {one.why[self._lang]}" for one in self._compared.beyond)
        yield ""
        yield self._say(f"verdict {verdict(self._compared)}")

    def aspect(self, aspect: Aspect) -> str:
        """What comes out otherwise."""
        if aspect.before is not None:
            return str(aspect)
        words = {SPREAD: "spread", CONDITIONS: "conditions", REASONS: "reasons"}
        fact = self._facts.get(aspect.name)
        label = aspect.name if fact is None else fact.label.get(self._lang, aspect.name)
        return self._say("still", what=self._say(words[aspect.name]) if aspect.name in words else label)

    def _say(self, key: str, **filled: object) -> str:
        return _WORDS[key][0 if self._lang == "zh" else 1].format(**filled)

    def _change(self, change: Change) -> Iterator[str]:
        place = f"{change.file}:{change.line}" if change.line else change.file
        label = change.label.get(self._lang, "")
        yield f"  {change.kind} {change.name} {self._say(change.how)}  {place}{f'  {label}' if label else ''}"
        if change.how == "changed":
            yield from (f"    {self._part(part)}" for part in change.parts)

    def _part(self, part: Part) -> str:
        nothing = self._say("nothing")
        return f"{part.name}: {part.before or nothing} → {part.after or nothing}"

    def _stretch(self, stretch: Stretch) -> Iterator[str]:
        period = self._say("until" if stretch.ends else "from", begins=stretch.begins, ends=stretch.ends)
        yield f"{period}, {stretch.client or self._say('for all')}:"
        if not stretch.effects and not stretch.doubts:
            yield f"  {self._say('identical')}"
        for effect in stretch.effects:
            yield from self._effect(effect, stretch.client)
        if stretch.joint:
            yield f"  {self._say('joint')}"
            yield from (f"    {line}" for flip in stretch.joint for line in self._once(flip, None, stretch.client))
        yield from (f"  {doubt}" for doubt in stretch.doubts)

    def _effect(self, effect: Effect, client: str) -> Iterator[str]:
        if not effect.flips and not effect.doubts:
            yield f"  {effect.region}: {self._say('proven')}"
            return
        yield f"  {effect.region}"
        for flip in effect.flips:
            yield from (f"    {line}" for line in self._once(flip, effect.region, client))
        for aspect, why in effect.doubts:
            yield f"    {self._say('doubt', aspect=self.aspect(aspect), why=why)}"

    def _once(self, flip: Flip, region: Region | None, client: str) -> Iterator[str]:
        """A flip in full when it is first told, in one line on later stretches of time."""
        facts = str((flip.application.industry, sorted(flip.application.values.items())))
        key = (client, str(region), str(flip.aspect), facts)
        if key in self._told:
            yield self._say("again", aspect=self.aspect(flip.aspect))
        else:
            self._told.add(key)
            yield from self._flip(flip, region)

    def _flip(self, flip: Flip, region: Region | None) -> Iterator[str]:
        yield self.aspect(flip.aspect)
        yield from (f"  {line}" for line in self._application(flip))
        yield f"  {self._say('before')}: {self._assessed(flip.before)}"
        yield f"  {self._say('after')}:  {self._assessed(flip.after)}"
        others = ", ".join(str(one) for one in flip.regions if one != region)
        if others and region is not None:
            yield f"  {self._say('together', others=others)}"

    def _application(self, flip: Flip) -> Iterator[str]:
        base = self._bases.get(flip.base)
        told = flip.application.told(self._facts, self._lang, beside=base)
        if base is None:
            yield self._say("given")
        else:
            yield self._say("as" if told else "just as", base=flip.base)
        yield from (f"  {line}" for line in told)

    def _assessed(self, found: Assessed) -> str:
        parts = [found.outcome.name]
        parts += [self._status(name, found) for name in ("card", "whitelisted") if name in found.facts]
        limit = self._facts.text("limit_max", found.limit, self._lang)
        parts.append(f"{self._say('limit')} {limit}")
        if found.effects.rate_spread_bp:
            parts.append(f"{self._say('spread')} {self._say('bp', number=found.effects.rate_spread_bp)}")
        if found.effects.conditions:
            parts.append(f"{self._say('conditions')} {', '.join(found.effects.conditions)}")
        reasons = ", ".join(f"{one.code} ({one.rule})" if one.rule else one.code for one in found.reasons)
        return f"{', '.join(parts)}; {self._say('reasons')}: {reasons or self._say('nothing')}"

    def _status(self, name: str, found: Assessed) -> str:
        label = self._facts[name].label.get(self._lang, name)
        return f"{label} {self._facts.text(name, found.facts[name], self._lang)}"


def verdict(compared: Compared) -> str:
    """``flips``, ``doubt``, ``beyond`` or ``proven``."""
    if any(stretch.flips for stretch in compared.stretches):
        return "flips"
    if not all(stretch.proven for stretch in compared.stretches):
        return "doubt"
    return "beyond" if compared.beyond else "proven"


def document(compared: Compared, bases: Bases) -> dict[str, Any]:
    """The comparison for JSON; what is said to people in both languages."""
    facts = FactCatalogue({**compared.old.catalogue, **compared.new.catalogue}.values())
    return {
        "old": {"version": compared.old.version, "digest": compared.old.digest},
        "new": {"version": compared.new.version, "digest": compared.new.digest},
        "verdict": verdict(compared),
        "changes": [_change(change) for change in compared.changes],
        "stretches": [_stretch(stretch, bases, facts) for stretch in compared.stretches],
        "beyond": [{"name": one.name, **one.why} for one in compared.beyond],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "name": change.name,
        "how": change.how,
        "file": change.file,
        "line": change.line or None,
        "parts": [{"name": one.name, "before": one.before or None, "after": one.after or None} for one in change.parts],
    }


def _stretch(stretch: Stretch, bases: Bases, facts: FactCatalogue) -> dict[str, Any]:
    return {
        "client": stretch.client or None,
        "from": str(stretch.begins),
        "until": None if stretch.ends is None else str(stretch.ends),
        "proven": stretch.proven,
        "effects": [_effect(effect, bases, facts) for effect in stretch.effects],
        "joint": _flips(stretch.joint, bases, facts),
        "doubts": list(stretch.doubts),
    }


def _effect(effect: Effect, bases: Bases, facts: FactCatalogue) -> dict[str, Any]:
    return {
        "region": str(effect.region),
        "proven": not effect.flips and not effect.doubts,
        "flips": _flips(effect.flips, bases, facts),
        "doubts": [{"what": str(aspect), "why": why} for aspect, why in effect.doubts],
    }


def _flips(flips: Iterable[Flip], bases: Bases, facts: FactCatalogue) -> list[dict[str, Any]]:
    return [
        {
            "what": str(flip.aspect),
            "base": flip.base or None,
            "industry": flip.application.industry,
            "differs": {
                lang: flip.application.told(facts, lang, beside=bases.get(flip.base)) for lang in ("zh", "en")
            },
            "before": _assessed(flip.before),
            "after": _assessed(flip.after),
            "because_of": [str(region) for region in flip.regions],
        }
        for flip in flips
    ]


def _assessed(found: Assessed) -> dict[str, Any]:
    return {
        "outcome": found.outcome.name,
        "card": found.card,
        "whitelisted": found.whitelisted,
        "limit": None if found.limit is None else f"{found.limit // 100}.{found.limit % 100:02d}",
        "rate_spread_bp": found.effects.rate_spread_bp,
        "conditions": list(found.effects.conditions),
        "reasons": [{"code": one.code, "rule": one.rule or None} for one in found.reasons],
        "matched": list(found.matched),
        "unknown": list(found.unknown),
    }
