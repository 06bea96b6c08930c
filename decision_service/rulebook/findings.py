"""What lint may find: each code with its sentence and remedy in zh and en, and one finding at its file and line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from decision_service.errors import Problem

LANGUAGES = ("zh", "en")


@dataclass(frozen=True, slots=True)
class Wording:
    """How a finding is said; words in braces are filled in."""

    zh: str
    en: str
    remedy_zh: str
    remedy_en: str


WORDINGS: Mapping[str, Wording] = {
    "unreachable-rule": Wording(
        "规则 {rule} 永远不会命中：{parts} 在事实的取值范围和现行参数下不可能成立",
        "rule {rule} can never match: {parts} cannot be true within the facts' ranges and the parameters in force",
        "改正条件，或给规则写上 effective_to",
        "correct the condition, or end the rule with effective_to",
    ),
    "contradiction": Wording(
        "规则 {rule} 的条件自相矛盾：{parts} 不可能成立",
        "rule {rule} contradicts itself: {parts} cannot be true",
        "改正其中一个比较，或删去该部分",
        "correct one of the comparisons, or delete the part",
    ),
    "redundant-condition": Wording(
        "规则 {rule} 中的 {parts} 在被问到时总是成立，不起作用",
        "rule {rule}: {parts} is always true where it is asked, so it has no effect",
        "删去它，或改成本来要写的界线",
        "delete it, or write the boundary that was meant",
    ),
    "subsumed-rule": Wording(
        "规则 {rule} 不改变任何决定：它命中时，规则 {other} 也命中，且同样严格或更严",
        "rule {rule} changes no decision: whenever it matches, rule {other} does, too, and is at least as strict",
        "删去 {rule}，或改正其中一条",
        "delete {rule}, or correct one of the two",
    ),
    "gap": Wording(
        "产品 {product} 的一笔申请各项事实已知，却没有任何决定规则命中，只能以 NO_APPROVAL 转人工；"
        "{near}",
        "an application for {product} with everything known is decided by no rule and refers with NO_APPROVAL only; "
        "{near}",
        "补一条说明原因的规则，或改正界线",
        "add a rule that says why, or correct a boundary",
    ),
    "never-approves": Wording(
        "规则 {rule} 从不起批准作用：它命中时，{others} 总是更严",
        "rule {rule} can never approve: whenever it matches, one of {others} is stricter",
        "改正 {rule} 或与之相抵的规则",
        "correct {rule}, or the rules that always outweigh it",
    ),
    "approve-and-decline": Wording(
        "规则 {rule} 批准而规则 {other} 拒绝同一笔申请，且 {other} 所看的事实 {rule} 都看过",
        "rule {rule} approves and rule {other} declines one and the same application, "
        "and {other} reads nothing that {rule} does not read, too",
        "使两条规则对这些事实的判断一致（界线、行业参数）",
        "make the two agree about these facts (boundaries, parameters of the industry)",
    ),
    "open-boundary": Wording(
        "{fact} 恰为 {point} 时，规则 {rule} 与规则 {other} 都不命中，决定比两侧都宽",
        "where {fact} is exactly {point}, neither rule {rule} nor rule {other} matches, and what follows is milder "
        "than on both sides",
        "在其中一侧用 <= 或 >=",
        "write <= or >= on one side",
    ),
    "unused-fact": Wording(
        "事实 {fact} 没有任何规则、公式、产品、断言、额度公式或平台使用",
        "the fact {fact} is used by no rule, formula, product, invariant, by no limit formula and not by the platform",
        "删去声明，或写出要用它的规则",
        "delete its declaration, or write the rule that was meant to read it",
    ),
    "unsupplied-fact": Wording(
        "事实 {fact} 被 {users} 使用，却没有来源提供，永远未知",
        "the fact {fact} is used by {users}, and nothing supplies it: it is always unknown",
        "改用平台提供的事实，或写出参数行",
        "use a fact that the platform supplies, or write rows for the parameter",
    ),
    "reason-without-text": Wording(
        "原因代码 {reason} 的 {text} 不是{language}",
        "reason code {reason}: {text} is no text in {language}",
        "写出该语言的文本",
        "write the text in that language",
    ),
    "unused-reason": Wording(
        "原因代码 {reason} 没有任何规则给出，平台也不用",
        "the reason code {reason} is given by no rule, nor by the platform",
        "删去，或写进应当给出它的规则",
        "delete it, or name it in the rule that was meant to give it",
    ),
    "parameter-not-in-force": Wording(
        "规则 {rule} 读取 {fact}，而{scope}没有现行值：规则因此未知，申请转人工",
        "rule {rule} reads {fact}, which has no row in force for {scope}: it stays unknown",
        "补一行参数，或写明规则只适用的产品",
        "add a row, or limit the rule to the products that have one",
    ),
    "parameter-overlap": Wording("", "", "", ""),
    "case-off-target": Wording(
        "例句“{case}”说规则 {rule} {expected}，实际{actual}",
        "the case '{case}' says that rule {rule} {expected}; it {actual}",
        "改正例句的事实，或改它所点名的规则",
        "correct the facts of the case, or the rules that it names",
    ),
    "case-names-gone": Wording("", "", "", ""),
}
"""By code. Those without a sentence are mistakes that keep a folder from being read and are told as such."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: ``file`` is the path inside the folder, ``words`` fill the sentence of its code.

    ``words`` are by language where they differ. ``witness`` are the lines that tell an application, by language.
    """

    code: str
    file: str
    line: int
    words: Mapping[str, Mapping[str, str]]
    since: date | None = None
    client: str = ""
    witness: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def sentence(self, lang: str) -> str:
        """What is wrong, in ``zh`` or ``en``."""
        text = getattr(WORDINGS[self.code], lang).format(**self.words[lang])
        if self.client:
            text = f"客户 {self.client}：{text}" if lang == "zh" else f"client {self.client}: {text}"
        return f"自 {self.since} 起，{text}" if self.since and lang == "zh" else (
            f"from {self.since} on, {text}" if self.since else text
        )

    def remedy(self, lang: str) -> str:
        """What to do, in ``zh`` or ``en``."""
        text: str = getattr(WORDINGS[self.code], f"remedy_{lang}")
        return text.format(**self.words[lang])

    def problem(self, lang: str, *, folder: str = "") -> Problem:
        """The finding as a problem: ``file:line: what [code]; remedy``."""
        return Problem(f"{folder}{self.file}", self.line, f"{self.sentence(lang)} [{self.code}]", self.remedy(lang))


def words(both: Mapping[str, str] | None = None, *, zh: Mapping[str, str] | None = None,
          en: Mapping[str, str] | None = None) -> Mapping[str, Mapping[str, str]]:
    """Words that fill a sentence: ``both`` are the same in each language."""
    return {"zh": {**(both or {}), **(zh or {})}, "en": {**(both or {}), **(en or {})}}
