"""Where the comparisons of a rule stand in its file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from decision_service.errors import Problem
from decision_service.rulebook.conditions import comparisons
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.rules import Rule
from decision_service.rulebook.syntax import read_condition
from decision_service.rulebook.yamltree import Branch, Listing, Node, Scalar, read_yaml


class Lines:
    """Lines of comparisons, found out for the rules that are asked for; ``sources`` are the texts by path."""

    def __init__(self, sources: Mapping[str, str], catalogue: FactCatalogue) -> None:
        self._sources = sources
        self._catalogue = catalogue
        self._files: dict[str, Mapping[int, Branch]] = {}

    def comparison(self, rule: Rule, place: int) -> int:
        """The line of a rule's comparison, counted from 0 in the order written; the rule's own if it is not found."""
        if rule.file not in self._files:
            self._files[rule.file] = self._rules(rule.file)
        branch = self._files[rule.file].get(rule.line)
        when = branch.entries.get("when") if branch is not None else None
        lines = list(self._leaves(when)) if when is not None else []
        return lines[place] if place < len(lines) else rule.line

    def _rules(self, file: str) -> Mapping[int, Branch]:
        problems: list[Problem] = []
        root = read_yaml(self._sources.get(file, ""), file=file, problems=problems)
        rules = root.entries.get("rules") if isinstance(root, Branch) else None
        items = rules.items if isinstance(rules, Listing) else ()
        return {item.line: item for item in items if isinstance(item, Branch)}

    def _leaves(self, node: Node) -> Iterator[int]:
        """The line of each comparison; a text may hold several."""
        if isinstance(node, Scalar):
            condition = read_condition(node, self._catalogue, report=lambda line, what, remedy: None)
            yield from (node.line for _ in comparisons(condition)) if condition is not None else ()
        elif isinstance(node, Listing):
            for item in node.items:
                yield from self._leaves(item)
        else:
            for entry in node.entries.values():
                yield from self._leaves(entry)
