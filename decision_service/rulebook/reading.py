"""Typed reading of one rule file's tree: each mistake becomes a problem with its line, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from decision_service.errors import FactError, Problem
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.facts import FactCatalogue, FactType
from decision_service.rulebook.literals import parse_date, parse_literal, parse_number, shown
from decision_service.rulebook.syntax import did_you_mean
from decision_service.rulebook.yamltree import Branch, Listing, Node, Scalar, read_yaml

LANGUAGES = ("zh", "en")
MAX_TEXT = 2_000


class Sheet:
    """One file being read. Methods return ``None`` after reporting what is wrong; ``what`` names the thing read.

    ``file`` is the path inside the ruleset; ``folder`` stands before it in messages, so that people can open it.
    """

    def __init__(self, file: str, problems: list[Problem], *, folder: str = "", code: str = "") -> None:
        self.file = file
        self.shown_as = f"{folder}{file}"
        self._folder = folder
        self._problems = problems
        self._code = code

    def coded(self, code: str) -> Sheet:
        """The same file; what is reported to it bears the code of its page in ``docs/lint/``."""
        return Sheet(self.file, self._problems, folder=self._folder, code=code)

    def tree(self, text: str) -> Node | None:
        """The file's YAML document."""
        return read_yaml(text, file=self.shown_as, problems=self._problems)

    def report(self, line: int, what: str, remedy: str = "") -> None:
        """Note one mistake."""
        self._problems.append(Problem(self.shown_as, line, what, remedy, code=self._code))

    def attempt(self, line: int, what: str, read: Callable[[], Any]) -> Any:
        """What ``read`` returns, or ``None`` after reporting its ``FactError``."""
        try:
            return read()
        except FactError as error:
            self.report(line, f"{what}: {error.where + ': ' if error.where else ''}{error.what}", error.remedy)
            return None

    def branch(
        self, node: Node | None, what: str, *, required: Iterable[str] = (), optional: Iterable[str] = ()
    ) -> Branch | None:
        """A mapping whose keys are known; missing and unknown keys are reported."""
        if not isinstance(node, Branch):
            if node is not None:
                self.report(node.line, f"{what} is not a mapping", f"write {_mapping_hint(required)}")
            return None
        allowed = (*required, *optional)
        for key in node.entries:
            if key not in allowed:
                hint = did_you_mean(key, allowed, otherwise=f"use {', '.join(allowed)}")
                self.report(node.key_lines[key], f"{what}: unknown key '{key}'", hint)
        for key in required:
            if key not in node.entries:
                self.report(node.line, f"{what}: '{key}' is missing", f"add {key}: …")
        return node

    def free_branch(self, node: Node | None, what: str) -> Branch | None:
        """A mapping with any keys."""
        if node is None or isinstance(node, Branch):
            return node
        self.report(node.line, f"{what} is not a mapping", "write key: value")
        return None

    def items(self, node: Node | None, what: str) -> tuple[Node, ...]:
        """A list's items."""
        if isinstance(node, Listing):
            return node.items
        if node is not None:
            self.report(node.line, f"{what} is not a list", "write one '- …' per entry")
        return ()

    def text(self, node: Node | None, what: str) -> str | None:
        """Non-empty text; YAML's null is refused."""
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.report(node.line, f"{what} is not text", "write it on one line")
        elif not node.text.strip() or (not node.quoted and node.text in ("null", "~", "Null", "NULL")):
            self.report(node.line, f"{what} is empty", "write a text, or leave the key out")
        elif len(node.text) > MAX_TEXT:
            self.report(node.line, f"{what} is {len(node.text)} characters long", f"use at most {MAX_TEXT}")
        elif any(ord(char) < 32 and char not in "\n\t" for char in node.text):
            self.report(node.line, f"{what} holds a control character", "remove it")
        else:
            return node.text
        return None

    def texts(self, node: Node | None, what: str) -> dict[str, str] | None:
        """A text in zh and en."""
        branch = self.branch(node, what, required=LANGUAGES)
        if branch is None:
            return None
        texts = {lang: self.text(branch.entries.get(lang), f"{what}.{lang}") for lang in LANGUAGES}
        return {lang: text for lang, text in texts.items() if text is not None} if all(texts.values()) else None

    def names(self, node: Node | None, what: str) -> tuple[str, ...]:
        """A list of words, each once."""
        words = [(item.line, word) for item in self.items(node, what) if (word := self.text(item, what)) is not None]
        seen: list[str] = []
        for line, word in words:
            if word in seen:
                self.report(line, f"{what} names {word} twice", "name it once")
            else:
                seen.append(word)
        return tuple(seen)

    def day(self, node: Node | None, what: str) -> date | None:
        """A date."""
        text = self.text(node, what)
        return None if text is None or node is None else self.attempt(node.line, what, lambda: parse_date(text))

    def whole(self, node: Node | None, what: str) -> int | None:
        """A whole number."""
        text = self.text(node, what)
        if text is None or node is None:
            return None
        number = self.attempt(node.line, what, lambda: parse_number(text))
        if number is not None and number != number.to_integral_value():
            self.report(node.line, f"{what}: {shown(text)} is not a whole number", "write digits only")
            return None
        return None if number is None else int(number)

    def value(self, node: Node | None, name: str, catalogue: FactCatalogue) -> Exact | None:
        """The exact value of a fact, written as a literal."""
        text = self.text(node, name)
        if text is None or node is None:
            return None
        if name not in catalogue:
            hint = did_you_mean(name, catalogue, otherwise="declare it in facts.yaml")
            self.report(node.line, f"unknown fact '{name}'", hint)
            return None
        choice = catalogue[name].type is FactType.CHOICE
        return self.attempt(
            node.line, name, lambda: catalogue.encode(name, text if choice else parse_literal(text))
        )

    def period(self, branch: Branch, what: str) -> tuple[date, date | None]:
        """``effective_from`` and the optional ``effective_to`` (exclusive)."""
        begins = self.day(branch.entries.get("effective_from"), f"{what}: effective_from")
        ends_node = branch.entries.get("effective_to")
        ends = self.day(ends_node, f"{what}: effective_to")
        if begins is not None and ends is not None and ends_node is not None and ends <= begins:
            mistake = f"{what}: effective_to {ends} is not after effective_from {begins}"
            self.report(ends_node.line, mistake, "correct one of them")
        return begins or date.min, ends


def _mapping_hint(required: Iterable[str]) -> str:
    return ", ".join(f"{key}: …" for key in required) or "key: value"
