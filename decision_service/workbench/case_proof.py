"""Cases that no search near others finds: looked for among all applications, or proven not to exist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from decision_service.lending.limits import limit
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.conditions import Comparison
from decision_service.rulebook.coverage import OFFSETS, ComparisonCoverage, Probe
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.proof.applications import Application, nearer
from decision_service.rulebook.proof.inputs import inputs_of
from decision_service.rulebook.proof.reach import Wish, reach
from decision_service.rulebook.proof.world import World
from decision_service.rulebook.ruleset import RulesInForce
from decision_service.workbench.case_search import CaseSearch, goals_of, in_force_for
from decision_service.workbench.moves import Goal, admits


@dataclass(frozen=True, slots=True)
class Answer:
    """A case that shows a state, or why there is none."""

    case: Case | None = None
    why: str = ""


class CaseProof:
    """Asks Z3 about all applications. A case that is found is brought near the first start of a search."""

    def __init__(self, search: CaseSearch) -> None:
        self._search = search
        self._worlds: dict[tuple[date, str], World] = {}

    def find(self, gap: ComparisonCoverage, state: str) -> Answer:
        """A case that shows a state of a comparison, or why there is none."""
        if not self._search.starts:
            return Answer(why="there is no case to start from")
        start = in_force_for(self._search.starts[0], gap.rule)
        world = self._world(start)
        rules = world.rules
        probe = Probe(gap.rule, rules.catalogue)

        def shows(one: Application) -> bool:
            return state in probe.shown(self._search.assessed_facts(one.facts(rules), start).facts)[gap.place]

        wishes = [wish for goal in list(goals_of(gap, state))[-1] for wish in wishes_of(goal, rules.catalogue)]
        found = reach(world, wishes, shows=shows)
        if found.none:
            return Answer(why=f"proven: no application shows it with the parameters in force on {start.decided_by}")
        if found.pair is None:
            return Answer(why=f"not proven either: {found.doubt}")
        base = Application({**start.profile, **start.facts}, start.industry, start.decided_by)
        case = _case(start, base, nearer(found.pair[0], base, shows, rules.catalogue), rules)
        if case is not None and state in probe.shown(self._search.assessed(case).facts)[gap.place]:
            return Answer(case)
        return Answer(why="there are applications that show it, but the facts of a case cannot say them")

    def _world(self, case: Case) -> World:
        key = case.decided_by, case.client
        if key not in self._worlds:
            rules = self._search.rules(case)
            self._worlds[key] = World(rules, inputs_of(rules), limit=limit)
        return self._worlds[key]


def wishes_of(goal: Goal, catalogue: FactCatalogue) -> Iterator[Wish]:
    """A goal as wishes: a member of a list is wished for by an equality of its own."""
    yield Wish(goal.condition, goal.truth, OFFSETS.get(goal.state))
    one = goal.condition
    if isinstance(one, Comparison) and isinstance(one.operand, tuple) and goal.state:
        members = [member for member in one.operand if goal.state.endswith(catalogue.text(one.fact, member))]
        yield from (Wish(Comparison(one.fact, "==", member), True) for member in members)


def _case(start: Case, base: Application, near: Application, rules: RulesInForce) -> Case | None:
    """The case that says an application, if the facts of a case can."""
    changed = {name: value for name, value in near.values.items() if base.values.get(name) != value}
    facts = {**start.facts, **changed, **dict.fromkeys(near.hidden)}
    if not all(admits(rules.catalogue[name], value) for name, value in facts.items()):
        return None
    industry = near.industry if near.industry is not None else _unlisted(rules, (f"{one:02d}" for one in range(100)))
    return replace(start, industry=industry, facts=facts)


def _unlisted(rules: RulesInForce, codes: Iterable[str]) -> str | None:
    return next((code for code in codes if rules.industry_status(code) == "unknown"), None)
