"""A condition's YAML as one line of the language, and back: parts that stay keep their lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

import yaml

from decision_service.workbench.table_text import newline_of
from decision_service.workbench.yaml_places import Splice, behind_colon, content_end, line_end
from decision_service.workbench.yaml_scalar import scalar

_TOKEN = re.compile(r"[()\[\]]|\b(?:and|or)\b")


def condition_line(node: yaml.Node) -> str:
    """A condition's YAML in one line of the language."""
    if isinstance(node, yaml.ScalarNode):
        return " ".join(node.value.split())
    if isinstance(node, yaml.SequenceNode):
        return _line("all", node)
    parts = [_line(key.value, value) for key, value in node.value]
    return parts[0] if len(parts) == 1 else " and ".join(_wrapped(part) for part in parts)


def _line(key: str, node: yaml.SequenceNode) -> str:
    word = " and " if key == "all" else " or "
    parts = [_part(part) for part in node.value]
    if key == "none":
        return f"not ({word.join(parts)})"
    return word.join(parts) if len(parts) > 1 else condition_line(node.value[0])


def _part(node: yaml.Node) -> str:
    """A part of a list of conditions, in parentheses where it joins several itself."""
    return _wrapped(condition_line(node))


def _wrapped(text: str) -> str:
    return f"({text})" if len(split_condition(text)[1]) > 1 else text


def split_condition(text: str) -> tuple[str, list[str]]:
    """The word that joins a condition at its top, and the parts; one part when nothing is joined there."""
    for word in ("or", "and"):
        parts = list(_split(text, word))
        if len(parts) > 1:
            return word, parts
    return "and", [text.strip()]


def _split(text: str, word: str) -> Iterator[str]:
    depth, begin = 0, 0
    for found in _TOKEN.finditer(text):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(found.group(), 0)
        if depth == 0 and found.group() == word:
            yield text[begin : found.start()].strip()
            begin = found.end()
    yield text[begin:].strip()


def replaced_condition(text: str, key: yaml.Node, node: yaml.Node, new: str, *, flow: bool) -> list[Splice]:
    """A list of conditions keeps its form, and the parts that stay keep their lines, if the new one joins alike."""
    word, parts = split_condition(new)
    single = node.value[0] if isinstance(node, yaml.MappingNode) and len(node.value) == 1 else None
    joins = {"all": "and", "any": "or"}.get(single[0].value, "") if single else ""
    if single is None or (len(parts) > 1 and word != joins) or single[1].flow_style:
        start = behind_colon(text, key)
        return [(start, content_end(text, node), f" {scalar(new, flow=flow)}")]
    old = single[1].value
    kept = _kept([_part(one) for one in old], parts)
    if sorted(place for place in kept if place is not None) == list(range(len(old))) == kept:
        return []
    spans = _part_spans(text, old)
    indent = text[text.rfind("\n", 0, spans[0][0]) + 1 : text.rindex("-", 0, old[0].start_mark.index)]
    newline = newline_of(text)
    lines = [
        text[slice(*spans[place])] if place is not None else f"{indent}- {scalar(part, flow=False)}{newline}"
        for place, part in zip(kept, parts)
    ]
    begin, end = spans[0][0], spans[-1][1]
    closed = "".join(line if line.endswith("\n") else line + newline for line in lines)
    return [(begin, end, closed if text[:end].endswith("\n") else closed.rstrip("\r\n"))]


def _kept(old: list[str], new: list[str]) -> list[int | None]:
    """For each new part the place of the old one that it still is, in order; ``None`` for one that is new."""
    places: list[int | None] = [None] * len(new)
    for block in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            places[block.b + step] = block.a + step
    return places


def _part_spans(text: str, parts: Sequence[yaml.Node]) -> list[tuple[int, int]]:
    """Whole lines of each part, with the comments above all but the first."""
    spans: list[tuple[int, int]] = []
    for part in parts:
        dash = text.rindex("-", 0, part.start_mark.index)
        begin = spans[-1][1] if spans else text.rfind("\n", 0, dash) + 1
        spans.append((begin, line_end(text, content_end(text, part))))
    return spans
