"""Findings about rules, each proven for all applications: on every day on which a rule is in force, or on some day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import permutations

from decision_service.rulebook.cases import Assessed
from decision_service.rulebook.completeness import PRODUCT, approving
from decision_service.rulebook.conditions import AllOf, Condition, comparisons, facts_named
from decision_service.rulebook.evaluate import truth_of
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.findings import Finding, words
from decision_service.rulebook.lines import Lines
from decision_service.rulebook.proof.applications import Application
from decision_service.rulebook.proof.boundaries import Opening, is_open, openings, point
from decision_service.rulebook.reads import PARAMETER
from decision_service.rulebook.rules import Rule, Stage
from decision_service.rulebook.syntax import condition_text, literal_text
from decision_service.vocabulary import Outcome
from decision_service.workbench.lint_days import Asking, Day, Days
from decision_service.workbench.witnesses import Holds, Witnesses

Words = Mapping[str, Mapping[str, str]]


class RuleFindings:
    """All findings about rules; each once, for the base before it is asked for a client's rules."""

    def __init__(self, asking: Asking, bases: Mapping[str, Application]) -> None:
        self._asking = asking
        self._witnesses = Witnesses(bases)
        self._catalogue = asking.ruleset.catalogue
        self._lines = Lines(asking.ruleset.sources, self._catalogue)

    def all(self) -> Iterator[Finding]:
        """For everybody, then for each client."""
        seen: set[tuple[str, str, int]] = set()
        for client in ("", *self._asking.ruleset.overlays):
            for finding in self._for(Days(self._asking, client)):
                key = finding.code, finding.file, finding.line
                if key not in seen:
                    seen.add(key)
                    yield finding

    def _for(self, days: Days) -> Iterator[Finding]:
        matching = [rule for rule in days.scope if any(day.reachable(rule) for day in days.of(rule))]
        starved = [one for day in days.days for one in self._starved(day, days)]
        yield from (finding for _, finding in starved)
        named = {rule.name for rule, _ in starved}
        for rule in days.scope:
            if rule not in matching and rule.name not in named:  # a row that lacks says why
                yield self._unreachable(rule, days)
        for rule in matching:
            yield from self._idle(rule, days)
        yield from self._subsumed(matching, days)
        yield from self._outweighed(days)
        for day in days.days:
            yield from self._conflicts(day, days)
            yield from self._undecided(day, days)

    # What is so on every day on which the rule is in force

    def _unreachable(self, rule: Rule, days: Days) -> Finding:
        parts, among_themselves = days.of(rule)[0].analysis.clashing(rule)
        code = "contradiction" if among_themselves else "unreachable-rule"
        return self._about(code, rule, days, self._told(parts), part=parts[-1])

    def _idle(self, rule: Rule, days: Days) -> Iterator[Finding]:
        asked = [day for day in days.of(rule) if day.reachable(rule)]
        for idle in asked[0].idle(rule):
            if all(idle in day.idle(rule) for day in asked[1:]):
                code = "redundant-condition" if idle.always else "contradiction"
                line = self._lines.comparison(rule, idle.place)
                yield self._about(code, rule, days, self._told([idle.part]), line=line)

    def _subsumed(self, rules: Sequence[Rule], days: Days) -> Iterator[Finding]:
        every = {rule.name: rule for day in days.days for rule in day.by_name.values()}
        found = {
            (one.name, other.name)
            for one in rules
            for other in every.values()
            if other is not one and _comparable(one, other) and self._changes_nothing(one, other, days)
        }
        for one in rules:
            for other in every.values():
                twins = (other.name, one.name) in found
                if (one.name, other.name) in found and not (twins and _place(one) < _place(other)):
                    yield self._about("subsumed-rule", one, days, words({"other": other.id}))
                    break

    def _changes_nothing(self, one: Rule, other: Rule, days: Days) -> bool:
        """Whether on every day on which one rule is in force the other makes it superfluous."""
        unknown = one.outcome is not Outcome.APPROVE
        return all(
            other.name in day.by_name
            and day.implies(one, other, unknown=unknown)
            and day.analysis.at_least_as_tight(other, one)
            for day in days.of(one)
        )

    def _outweighed(self, days: Days) -> Iterator[Finding]:
        approving = {
            rule.name: rule for day in days.days for rule in day.by_name.values() if rule.outcome is Outcome.APPROVE
        }
        for rule in approving.values():
            asked = [day for day in days.of(rule) if day.reachable(rule)]
            stricter: Iterable[Rule] = ()
            for day in asked:
                if not (stricter := day.outweighing(rule)):
                    break
            if asked and stricter:
                others = ", ".join(other.id for other in stricter)
                yield self._about("never-approves", rule, days, words({"others": others}))

    # What is so on some day

    def _conflicts(self, day: Day, days: Days) -> Iterator[Finding]:
        """An approving and a declining rule that judge the same facts and contradict each other."""
        deciding = day.rules.rules(Stage.DECISION)
        reads = day.analysis.reads
        for one, other in permutations(deciding, 2):
            opposed = one.outcome is Outcome.APPROVE and other.outcome is Outcome.DECLINE
            if not opposed or not days.in_scope(one, other):
                continue
            if reads.judged(facts_named(other.when)) <= reads.judged(facts_named(one.when)):
                found = day.analysis.both(one, other)
                if found is not None:
                    holds = _matching(one.id, other.id)
                    told = words({"other": other.id})
                    yield self._about("approve-and-decline", one, days, told, day=day, found=found, holds=holds)

    def _starved(self, day: Day, days: Days) -> Iterator[tuple[Rule, Finding]]:
        """Rules that stay unknown because a parameter has no row in force."""
        for rule in day.by_name.values():
            if not days.in_scope(rule):
                continue
            for name in sorted(day.analysis.reads.of_rule(rule)):
                if self._catalogue[name].source == PARAMETER:
                    yield from ((rule, finding) for finding in self._without_row(rule, name, day, days))

    def _without_row(self, rule: Rule, name: str, day: Day, days: Days) -> Iterator[Finding]:
        for scope, product in _scopes(name, day):
            if day.analysis.starved(rule, name, product=product):
                both = words({"fact": name}, zh={"scope": scope["zh"]}, en={"scope": scope["en"]})
                part = next((one for one in comparisons(rule.when) if name in facts_named(one)), None)
                yield self._about("parameter-not-in-force", rule, days, both, part=part, day=day)
                return

    def _undecided(self, day: Day, days: Days) -> Iterator[Finding]:
        """Boundaries left open, and gaps elsewhere."""
        opened = []
        for opening in openings(day.analysis):
            rules = opening.below.rule, opening.above.rule
            found = is_open(day.analysis, opening) if days.in_scope(*rules) else None
            if found is not None:
                opened.append(opening)
                yield self._open(opening, found, day, days)
        if days.client:
            return  # a narrower approving rule is how a bank tightens: what only it leaves out refers, as it means to
        for product in day.rules.products:
            if not approving(product, self._asking.ruleset.rules, self._asking.ruleset):
                continue  # no rule of any day approves it: `check` refuses such a folder
            if (gap := day.analysis.gap(product, but=[point(day.analysis.world, one) for one in opened])) is not None:
                yield self._gap(product, gap, day, days)

    def _open(self, opening: Opening, found: Application, day: Day, days: Days) -> Finding:
        below, above = opening.below, opening.above
        fact = self._catalogue[opening.fact]
        where = below.to or literal_text(fact, opening.offset, self._catalogue)
        told = words({"fact": opening.fact, "point": where, "other": above.rule.id})
        line = self._lines.comparison(below.rule, below.place)
        rules = below.rule.when, above.rule.when

        def holds(seen: Assessed) -> bool:
            facts = seen.facts
            exactly = facts[opening.fact] == (facts[below.to] if below.to else opening.offset)
            return exactly and all(truth_of(when, facts) is False for when in rules)

        return self._about("open-boundary", below.rule, days, told, line=line, day=day, found=found, holds=holds)

    def _gap(self, product: str, found: Application, day: Day, days: Days) -> Finding:
        """Told at the approving rule that misses the application by the least, or at one that ended or is to come."""
        facts = day.analysis.assess(found).facts
        deciding = day.rules.rules(Stage.DECISION)
        ids = {rule.id for rule in deciding}

        def holds(other: Assessed) -> bool:
            return other.facts[PRODUCT] == product and not ids & {*other.matched, *other.unknown}

        ruleset = self._asking.ruleset
        if not (in_force := approving(product, deciding, ruleset)):
            near = _last_approving(approving(product, ruleset.rules, ruleset), day.rules.on)
            told = words({"product": product}, **_not_in_force(near, day.rules.on))
            return self._about("gap", near, days, told, day=day, found=found, holds=holds)
        near = min(in_force, key=lambda rule: (_for_another(rule, facts), len(_missed(rule, facts)), rule.id))
        parts = _missed(near, facts) or [near.when]
        lacking = self._told(parts)
        zh = {"near": f"最接近的批准规则 {near.id} 差在 {lacking['zh']['parts']}"}
        en = {"near": f"rule {near.id}, the nearest that approves, misses it by {lacking['en']['parts']}"}
        told = words({"product": product}, zh=zh, en=en)
        return self._about("gap", near, days, told, part=parts[0], day=day, found=found, holds=holds)

    # How it is told

    def _told(self, parts: Sequence[Condition]) -> Words:
        texts = [condition_text(part, self._catalogue) for part in parts]
        zh, en = "、".join(f"“{text}”" for text in texts), " and ".join(f"'{text}'" for text in texts)
        together = len(texts) > 1
        zh, en = zh + "同时" * together, en + " together" * together
        return words(zh={"parts": zh}, en={"parts": en})

    def _about(
        self,
        code: str,
        rule: Rule,
        days: Days,
        told: Words,
        *,
        line: int = 0,
        part: Condition | None = None,
        day: Day | None = None,
        found: Application | None = None,
        holds: Holds | None = None,
    ) -> Finding:
        """A finding about a rule: at a line, or where a part of its condition begins, or where the rule does."""
        if not line:
            line = self._line(rule, part)
        witness = self._witnesses.told(found, day, holds) if found and day and holds else {}
        return Finding(
            code,
            rule.file,
            line,
            words({"rule": rule.id}, zh=told["zh"], en=told["en"]),
            since=days.since(day) if day is not None else None,
            client=days.client,
            witness=witness,
        )

    def _line(self, rule: Rule, part: Condition | None) -> int:
        if part is None:
            return rule.line
        first = next(iter(comparisons(part)))
        place = next((at for at, one in enumerate(comparisons(rule.when)) if one is first), -1)
        return self._lines.comparison(rule, place) if place >= 0 else rule.line


def _matching(*ids: str) -> Holds:
    return lambda seen: set(ids) <= set(seen.matched)


def _for_another(rule: Rule, facts: Facts) -> bool:
    """Whether a rule is for other products only, by what it says of the product alone."""
    return any(facts_named(part) == {PRODUCT} for part in _missed(rule, facts))


def _missed(rule: Rule, facts: Facts) -> list[Condition]:
    """The parts of a rule that are not true."""
    parts = rule.when.parts if isinstance(rule.when, AllOf) else (rule.when,)
    return [part for part in parts if truth_of(part, facts) is not True]


def _last_approving(rules: Sequence[Rule], on: date) -> Rule:
    """Of rules that are not in force on a day the one that ended last, or else the one that begins first."""
    ended = [rule for rule in rules if rule.effective_to is not None and rule.effective_to <= on]
    if ended:
        return max(ended, key=lambda rule: (rule.effective_to or on, rule.id))
    return min(rules, key=lambda rule: (rule.effective_from, rule.id))


def _not_in_force(rule: Rule, on: date) -> Words:
    """That no rule approves, and when this one did or will."""
    ended = rule.effective_to is not None and rule.effective_to <= on
    day = rule.effective_to if ended else rule.effective_from
    zh = f"此时没有生效的规则批准该产品：规则 {rule.id} {day} {'失效' if ended else '生效'}"
    en = f"no rule in force then approves it: rule {rule.id} {'ended' if ended else 'begins'} on {day}"
    return {"zh": {"near": zh}, "en": {"near": en}}


def _place(rule: Rule) -> tuple[str, int]:
    return rule.file, rule.line


def _comparable(one: Rule, other: Rule) -> bool:
    """Whether the other rule could make one superfluous: same stage, at least as strict, no reason is lost that counts.

    A reason that is told beside a stricter outcome counts for nothing; beside the same outcome it does.
    """
    if one.stage is not other.stage:
        return False
    same_reason = one.reason in (None, other.reason)
    if one.stage is Stage.STATUS:
        return same_reason and _sets_all(one, other)
    if one.stage is Stage.LIMIT:
        return same_reason and _effects_all(one, other)
    assert one.outcome is not None and other.outcome is not None
    if one.outcome is other.outcome:
        return same_reason
    return Outcome.APPROVE not in (one.outcome, other.outcome) and other.outcome > one.outcome


def _sets_all(one: Rule, other: Rule) -> bool:
    theirs = dict(other.sets)
    return all(theirs.get(name) == value for name, value in one.sets)


def _effects_all(one: Rule, other: Rule) -> bool:
    """Whether the other has every kind of effect; how tight amounts are is asked of Z3."""
    mine, theirs = one.effects, other.effects
    if mine is None or theirs is None:
        return False
    amounts = ("limit_factor", "limit_cap")
    if any(getattr(mine, name) is not None and getattr(theirs, name) is None for name in amounts):
        return False
    if (theirs.rate_spread_bp or 0) < (mine.rate_spread_bp or 0):
        return False
    return set(mine.conditions) <= set(theirs.conditions)


def _scopes(name: str, day: Day) -> Iterator[tuple[Mapping[str, str], str | None]]:
    """Where a parameter has no row in force: for nobody, for a product, for a covered industry."""
    scope, rules = name.partition(".")[0], day.rules
    if scope == "policy" and name not in rules.parameters("", None):
        yield {"zh": "全市", "en": "anybody"}, None
    if scope == "product":
        for product in rules.products:
            if name not in rules.parameters(product, None):
                yield {"zh": f"产品 {product}", "en": f"the product {product}"}, product
    if scope == "industry":
        covered = [code for code in rules.industry_codes() if rules.industry_status(code) == "covered"]
        if lacking := [code for code in covered if name not in rules.parameters("", code)]:
            yield {"zh": f"行业 {lacking[0]}", "en": f"the industry {lacking[0]}"}, None
