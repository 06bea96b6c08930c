"""One entry of a YAML list: its cells, the smallest changes of its text that make cells say something else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import yaml

from decision_service.workbench.table_text import COMMENT, Cells, newline_of
from decision_service.workbench.yaml_condition import condition_line, replaced_condition
from decision_service.workbench.yaml_places import (
    Pair,
    Splice,
    above,
    behind_colon,
    content_end,
    find,
    key_node,
    line_end,
)
from decision_service.workbench.yaml_scalar import scalar

CONDITION = "when"
WORDS = "effects.conditions"


class Entry:
    """An entry with the comment and empty lines above it; ``begin`` to ``end`` are whole lines of the text."""

    def __init__(self, text: str, node: yaml.MappingNode, *, after: int) -> None:
        self._text = text
        self.node = node
        dash = text.rindex("-", 0, node.start_mark.index)
        self.line_start = text.rfind("\n", 0, dash) + 1
        self.indent = text[self.line_start : dash]
        self.end = line_end(text, content_end(text, node))
        self.begin = above(text, self.line_start, after)
        self.inner = " " * (node.start_mark.index - self.line_start)
        self.flow = bool(node.flow_style)

    @property
    def lines(self) -> tuple[int, int]:
        """First and last line, without the comment above."""
        first = self._text.count("\n", 0, self.line_start) + 1
        return first, first + self._text.count("\n", self.line_start, content_end(self._text, self.node))

    def cells(self, columns: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The text of every column; empty where the entry says nothing."""
        for column in columns:
            yield column, self._comment() if column == COMMENT else _shown(column, find(self.node, column))

    def nested_flow(self, key: str) -> bool:
        """Whether the mapping under a key is written in braces."""
        pair = key_node(self.node, key)
        return pair is None or bool(getattr(pair[1], "flow_style", True))

    def changes(self, cells: Cells) -> list[Splice]:
        """What to replace in the text so that these cells, and only they, read as given."""
        gone = {column for column, value in cells.items() if not value}
        splices: list[Splice] = []
        filled: set[int] = set()
        for column, value in cells.items():
            pair = find(self.node, column)
            if column == COMMENT:
                splices.append((self.begin, self.line_start, self._new_above(value)))
            elif pair is None:
                alone = not self._staying(column, gone) and self._parent(column).start_mark.index + 1 not in filled
                splices.append(self._added(column, value, self._staying(column, gone), alone=alone))
                filled.add(splices[-1][0])
            elif value:
                splices += self._replaced(column, pair, value)
            else:
                splices.append(_removed(self._text, self._parent(column), pair, self._staying(column, gone)))
        return splices

    def _staying(self, column: str, gone: set[str]) -> list[Pair]:
        """The keys beside a column that are not taken out."""
        prefix = column[: column.rfind(".") + 1]
        return [pair for pair in self._parent(column).value if f"{prefix}{pair[0].value}" not in gone]

    def _parent(self, column: str) -> yaml.MappingNode:
        key, _, nested = column.partition(".")
        pair = key_node(self.node, key) if nested else None
        return pair[1] if pair is not None and isinstance(pair[1], yaml.MappingNode) else self.node

    def _comment(self) -> str:
        lines = [line.strip() for line in self._text[self.begin : self.line_start].split("\n")]
        return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines).strip("\n")

    def _new_above(self, comment: str) -> str:
        old = self._text[self.begin : self.line_start]
        newline = newline_of(self._text)
        lines = old.split("\n")[:-1]
        blank = [not line.strip() for line in lines]
        leading = lines[: blank.index(False)] if False in blank else lines
        trailing = lines[len(lines) - blank[::-1].index(False) :] if False in blank else []
        told = [f"{self.indent}# {line}".rstrip() + newline for line in comment.split("\n")] if comment else []
        return "".join([*(f"{line}\n" for line in leading), *told, *(f"{line}\n" for line in trailing)])

    def _replaced(self, column: str, pair: Pair, value: str) -> list[Splice]:
        key, node = pair
        if column == CONDITION and not isinstance(node, yaml.ScalarNode):
            return replaced_condition(self._text, key, node, " ".join(value.split()), flow=self.flow)
        flow = self.flow or bool(self._parent(column).flow_style)
        start, end = node.start_mark.index, content_end(self._text, node)
        if isinstance(node, yaml.SequenceNode) and not node.flow_style:
            return [(behind_colon(self._text, key), end, f" {cell_yaml(column, value, flow=False)}")]
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        new = cell_yaml(column, value, flow=flow, like=style)
        return [(start, end, new if end > start else f" {new}")]

    def _added(self, column: str, value: str, staying: Sequence[Pair], *, alone: bool) -> Splice:
        parent = self._parent(column)
        key = column.rpartition(".")[2]
        new = f"{key}: {cell_yaml(column, value, flow=self.flow or bool(parent.flow_style))}"
        before = [pair for pair in staying if _order(pair[0].value) < _order(key)]
        if parent.flow_style:
            if before:
                end = content_end(self._text, before[-1][1])
                return end, end, f", {new}"
            start = parent.start_mark.index + 1
            return start, start, new if alone else f"{new}, " if staying else f", {new}"
        if before:
            end = line_end(self._text, content_end(self._text, before[-1][1]))
            inner = " " * parent.value[0][0].start_mark.column
            missing = "" if self._text[:end].endswith("\n") else newline_of(self._text)
            return end, end, f"{missing}{inner}{new}{newline_of(self._text)}"
        start = parent.value[0][0].start_mark.index
        return start, start, f"{new}{newline_of(self._text)}{' ' * parent.value[0][0].start_mark.column}"


EFFECTS = ("limit_factor", "limit_cap", "rate_spread_bp", "conditions")
DATED = ("min_months", "max_months", "reason", "effective_from", "effective_to", "reference")


def _order(key: str) -> int:
    """Where a key that was left out belongs: a reason before the dates, these before the reference, others first."""
    known = (*EFFECTS, *DATED)
    return known.index(key) if key in known else -1


def cell_yaml(column: str, value: str, *, flow: bool, like: str | None = None) -> str:
    """A cell as YAML: a list of words for condition codes, else one scalar."""
    if column == WORDS:
        return f"[{', '.join(word.strip() for word in value.split(','))}]"
    text = " ".join(value.split()) if column == CONDITION else value
    return scalar(text, flow=flow, like=like)


def rendered(cells: Cells, columns: Sequence[str], *, like: Entry | None, flow: bool, text: str) -> str:
    """A new entry written like its neighbour, each line ended."""
    newline = newline_of(text)
    indent = like.indent if like else "  "
    flow = like.flow if like else flow
    given = [column for column in columns if column != COMMENT and cells[column]]
    above = "".join(f"{indent}# {line}".rstrip() + newline for line in cells[COMMENT].split("\n") if cells[COMMENT])
    if flow:
        return f"{above}{indent}- {{{', '.join(_pairs(given, cells, like, newline, inner=None))}}}{newline}"
    inner = like.inner if like else f"{indent}  "
    body = f"{newline}{inner}".join(_pairs(given, cells, like, newline, inner=inner))
    return f"{above}{indent}-{inner[len(indent) + 1 :]}{body}{newline}"


def _pairs(
    given: Sequence[str], cells: Cells, like: Entry | None, newline: str, *, inner: str | None
) -> Iterator[str]:
    """``key: value`` for every key; ``inner`` is the indentation of a block's keys, none in braces."""
    for key in dict.fromkeys(column.partition(".")[0] for column in given):
        nested = [column for column in given if column.startswith(f"{key}.")]
        if not nested:
            yield f"{key}: {cell_yaml(key, cells[key], flow=inner is None)}"
            continue
        braces = inner is None or like is None or like.nested_flow(key)
        parts = [f"{one.partition('.')[2]}: {cell_yaml(one, cells[one], flow=braces)}" for one in nested]
        deeper = f"{newline}{inner}  "
        yield f"{key}: {{{', '.join(parts)}}}" if braces else f"{key}:{deeper}{deeper.join(parts)}"


def _shown(column: str, pair: Pair | None) -> str:
    if pair is None:
        return ""
    node = pair[1]
    if column == CONDITION:
        return condition_line(node)
    if isinstance(node, yaml.SequenceNode):
        return ", ".join(one.value for one in node.value)
    return str(node.value)


def _removed(text: str, parent: yaml.MappingNode, pair: Pair, staying: Sequence[Pair]) -> Splice:
    """Take out a key with its value and one of the commas beside it, or its lines."""
    place = parent.value.index(pair)
    start, end = pair[0].start_mark.index, content_end(text, pair[1])
    behind_another = any(one in staying for one in parent.value[:place])
    if not behind_another:
        return start, parent.value[place + 1][0].start_mark.index if place + 1 < len(parent.value) else end, ""
    if parent.flow_style:
        return content_end(text, parent.value[place - 1][1]), end, ""
    return text.rfind("\n", 0, start) + 1, line_end(text, end), ""
