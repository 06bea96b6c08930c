"""Strict YAML: text becomes a small tree in which every scalar is still its text and every node knows its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from decision_service.errors import Problem

MAX_DEPTH = 32
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as written; nothing is guessed about its type. ``quoted`` scalars are text on purpose."""

    text: str
    line: int = 0
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A YAML sequence."""

    items: tuple["Node", ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Branch:
    """A YAML mapping with text keys, in the order written."""

    entries: dict[str, "Node"]
    line: int = 0
    key_lines: dict[str, int] = field(default_factory=dict)


Node = Scalar | Listing | Branch


class _Refused(Exception):
    """YAML that is well-formed but not used here."""

    def __init__(self, line: int, what: str, remedy: str) -> None:
        super().__init__(what)
        self.line, self.what, self.remedy = line, what, remedy


def read_yaml(text: str, *, file: str, problems: list[Problem]) -> Node | None:
    """The one document of a file; each mistake is added to ``problems``, and ``None`` returned when nothing is left."""
    try:
        events = yaml.parse(text, Loader=_LOADER)
        return _Reader(events, file, problems).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else 1
        problems.append(Problem(file, line, f"YAML syntax: {what}", "check indentation, quotes and colons; no tabs"))
    except yaml.YAMLError as error:
        problems.append(Problem(file, 1, f"YAML syntax: {error}", "save the file as plain UTF-8 text"))
    except _Refused as refused:
        problems.append(Problem(file, refused.line, refused.what, refused.remedy))
    return None


class _Reader:
    """Builds the tree from parser events, so that duplicates, anchors and depth are seen before anything is built."""

    def __init__(self, events: Iterator[yaml.Event], file: str, problems: list[Problem]) -> None:
        self._events = events
        self._file = file
        self._problems = problems

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _Refused(_line(event), "a second YAML document begins", "keep one document per file")
            if isinstance(event, yaml.NodeEvent):
                root = self._node(event, depth=0)
        if root is None:
            raise _Refused(1, "the file is empty", "write its content or delete it")
        return root

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused(line, "YAML anchors and aliases are not used here", "write the value out")
        if depth > MAX_DEPTH:
            raise _Refused(line, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise _Refused(line, f"the YAML tag {tag} is not used here", "remove the tag")
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(event.value, line, quoted=event.style in ("'", '"', "|", ">"))
        if isinstance(event, yaml.SequenceStartEvent):
            return Listing(tuple(self._items(depth)), line)
        return self._branch(line, depth)

    def _items(self, depth: int) -> Iterator[Node]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, depth=depth + 1)

    def _branch(self, line: int, depth: int) -> Branch:
        branch = Branch({}, line, {})
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth=depth + 1)
            value = self._node(next(self._events), depth=depth + 1)
            if not isinstance(key, Scalar):
                raise _Refused(key.line, "a key is not text", "write key: value")
            if key.text in branch.entries:
                what = f"the key '{key.text}' stands twice, first in line {branch.key_lines[key.text]}"
                self._problems.append(Problem(self._file, key.line, what, "keep one of them"))
                continue
            branch.entries[key.text] = value
            branch.key_lines[key.text] = key.line
        return branch


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
