"""How a text is written as one YAML scalar, and how a condition's tree reads as one line that can be split again."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator

import yaml

NULLS = ("null", "Null", "NULL", "~", "")
_TOKEN = re.compile(r"[()\[\]]|\b(?:and|or)\b")


def scalar(text: str, *, flow: bool, like: str | None = None) -> str:
    """A text as YAML, plain where that is safe; ``like`` is the style of the one before: ``'``, ``"`` or none."""
    if like == '"' or "\n" in text:
        return json.dumps(text, ensure_ascii=False)
    if like == "'":
        return "'" + text.replace("'", "''") + "'"
    return text if _plain(text, flow=flow) else json.dumps(text, ensure_ascii=False)


def _plain(text: str, *, flow: bool) -> bool:
    """Whether a text without quotes reads as itself, in a mapping of that form."""
    if text in NULLS:
        return False
    try:
        root = yaml.compose(f"{{k: {text}, l: m}}" if flow else f"k: {text}\nl: m", Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return False
    if not isinstance(root, yaml.MappingNode) or len(root.value) != 2:
        return False
    value = root.value[0][1]
    plain = isinstance(value, yaml.ScalarNode) and value.style is None and value.value == text
    return plain and value.tag.startswith("tag:yaml.org") and not text.startswith(("!", "&"))


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
    parts = [part_line(part) for part in node.value]
    if key == "none":
        return f"not ({word.join(parts)})"
    return word.join(parts) if len(parts) > 1 else condition_line(node.value[0])


def part_line(node: yaml.Node) -> str:
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


def kept_parts(old: list[str], new: list[str]) -> list[int | None]:
    """For each new part the place of the old one that it still is, in order; ``None`` for one that is new."""
    places: list[int | None] = [None] * len(new)
    for block in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            places[block.b + step] = block.a + step
    return places
