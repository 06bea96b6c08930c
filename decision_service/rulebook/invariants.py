"""Claims about all inputs (``invariants.yaml``): what they may say, and the outcome as a word that they may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from decision_service.rulebook.conditions import Condition
from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.syntax import did_you_mean, read_condition
from decision_service.rulebook.yamltree import Branch, Node
from decision_service.vocabulary import Outcome

OUTCOME = Fact(
    name="outcome",
    type=FactType.CHOICE,
    label={"zh": "结果", "en": "outcome"},
    source="decision",
    choices=(Outcome.APPROVE.name, Outcome.REFER.name, Outcome.DECLINE.name),
)
"""The outcome as a fact of claims, mildest first."""


class Claim(Enum):
    """The forms of a claim."""

    IMPLICATION = "implication"
    MONOTONE = "monotone"
    UNKNOWN_NEVER_APPROVES = "unknown_never_approves"
    ALWAYS_DECIDED = "always_decided"
    OVERLAY_NEVER_LOOSENS = "overlay_never_loosens"


KEYS: Mapping[Claim, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Claim.IMPLICATION: (("if", "then"), ()),
    Claim.MONOTONE: (("fact", "worse"), ("of", "if")),
    Claim.UNKNOWN_NEVER_APPROVES: ((), ()),
    Claim.ALWAYS_DECIDED: ((), ("if",)),
    Claim.OVERLAY_NEVER_LOOSENS: ((), ()),
}
"""By form, the keys that it needs and those that it may have, beside ``id``, ``claim``, ``title``, ``reference``."""

COMMON = ("id", "claim", "title", "reference")
WORSE, OF = ("higher", "lower"), ("outcome", "limit")


@dataclass(frozen=True, slots=True)
class Invariant:
    """One claim.

    ``given`` is its ``if``, ``then`` what must follow; ``fact`` is the one that gets worse when it is ``worse``, and
    ``of`` what must then not get better (``outcome`` or ``limit``).
    """

    id: str
    claim: Claim
    title: Mapping[str, str] = field(default_factory=dict)
    given: Condition | None = None
    then: Condition | None = None
    fact: str = ""
    worse: str = "higher"
    of: str = "outcome"
    reference: str = ""
    file: str = ""
    line: int = 0


def with_outcome(catalogue: FactCatalogue) -> FactCatalogue:
    """The facts that a claim may name: every declared one, and the outcome."""
    return FactCatalogue([*(fact for fact in catalogue.values() if fact.name != OUTCOME.name), OUTCOME])


def is_given(fact: Fact) -> bool:
    """Whether a claim may be about this fact getting worse: it is given with the application, not computed from it."""
    computed = fact.derived is not None or fact.combine is not None or fact.name == "industry_status"
    return not computed and "." not in fact.name and fact.source not in ("decision", "lending", "parameter")


def read_invariants(root: Node, catalogue: FactCatalogue, sheet: Sheet) -> tuple[Invariant, ...]:
    """The claims of one file; every mistake is reported to ``sheet``."""
    branch = sheet.branch(root, "the file", required=("invariants",))
    nodes = sheet.items(branch.entries.get("invariants"), "invariants") if branch else ()
    words = with_outcome(catalogue)
    found = [one for node in nodes if (one := _invariant(node, words, sheet)) is not None]
    _check_once(found, sheet)
    return tuple(found)


def _check_once(found: Iterable[Invariant], sheet: Sheet) -> None:
    first: dict[str, int] = {}
    for one in found:
        if one.id in first:
            sheet.report(one.line, f"invariant {one.id} stands twice, first in line {first[one.id]}", "rename one")
        first.setdefault(one.id, one.line)


def _invariant(node: Node, words: FactCatalogue, sheet: Sheet) -> Invariant | None:
    form = _form(node, sheet)
    if form is None or not isinstance(node, Branch):
        return None
    required, optional = KEYS[form]
    sheet.branch(node, f"an invariant of the form {form.value}", required=(*COMMON, *required), optional=optional)
    name = sheet.text(node.entries.get("id"), "id")
    if name is None:
        return None
    what = f"invariant {name}"
    return Invariant(
        id=name,
        claim=form,
        title=sheet.texts(node.entries.get("title"), f"{what}: title") or {},
        given=_condition(node.entries.get("if"), what, words, sheet),
        then=_condition(node.entries.get("then"), what, words, sheet),
        fact=_fact(node.entries.get("fact"), what, words, sheet),
        worse=_word(node.entries.get("worse"), f"{what}: worse", WORSE, sheet),
        of=_word(node.entries.get("of"), f"{what}: of", OF, sheet),
        reference=sheet.text(node.entries.get("reference"), f"{what}: reference") or "",
        file=sheet.file,
        line=node.line,
    )


def _form(node: Node, sheet: Sheet) -> Claim | None:
    if not isinstance(node, Branch):
        sheet.report(node.line, "an invariant is not a mapping", "write id, claim, title, reference")
        return None
    forms = [form.value for form in Claim]
    written = node.entries.get("claim")
    if written is None:
        sheet.report(node.line, "an invariant: 'claim' is missing", f"add claim: {', '.join(forms)}")
        return None
    text = sheet.text(written, "claim")
    if text is not None and text not in forms:
        hint = did_you_mean(text, forms, otherwise=f"use {', '.join(forms)}")
        sheet.report(written.line, f"there is no claim of the form '{text}'", hint)
    return Claim(text) if text in forms else None


def _condition(node: Node | None, what: str, words: FactCatalogue, sheet: Sheet) -> Condition | None:
    if node is None:
        return None

    def report(line: int, mistake: str, remedy: str) -> None:
        sheet.report(line, f"{what}: {mistake}", remedy)

    return read_condition(node, words, report=report)


def _fact(node: Node | None, what: str, words: FactCatalogue, sheet: Sheet) -> str:
    """A fact that may get worse: given, with an order; what is computed cannot be moved by itself."""
    name = sheet.text(node, f"{what}: fact")
    if name is None or node is None:
        return ""
    fact = words.get(name)
    if fact is None:
        sheet.report(node.line, f"{what}: unknown fact '{name}'", did_you_mean(name, words, otherwise="declare it"))
    elif not is_given(fact):
        sheet.report(node.line, f"{what}: '{name}' is computed or a parameter", "name a fact that is given")
    return name


def _word(node: Node | None, what: str, words: tuple[str, ...], sheet: Sheet) -> str:
    text = sheet.text(node, what)
    if text is not None and text not in words and node is not None:
        sheet.report(node.line, f"{what}: unknown word '{text}'", f"use {' or '.join(words)}")
    return text if text in words else words[0]
