"""Where the parts of a YAML document stand in its text."""

from __future__ import annotations

import yaml

Pair = tuple[yaml.Node, yaml.Node]
Splice = tuple[int, int, str]


def find(node: yaml.MappingNode, column: str) -> Pair | None:
    """Key and value of a column, which may name a key inside a mapping: ``title.zh``."""
    key, _, nested = column.partition(".")
    pair = key_node(node, key)
    return key_node(pair[1], nested) if nested and pair is not None else pair


def key_node(node: yaml.Node, key: str) -> Pair | None:
    """Key and value nodes of a mapping, or ``None``."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((pair for pair in pairs if pair[0].value == key), None)


def content_end(text: str, node: yaml.Node) -> int:
    """Where a node's own text ends; a block's end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode):
        end = node.end_mark.index
        return len(text[:end].rstrip()) if node.style in ("|", ">") else end
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return content_end(text, last[1] if isinstance(last, tuple) else last)


def line_end(text: str, place: int) -> int:
    """Where the next line begins."""
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1


def above(text: str, line_start: int, after: int) -> int:
    """Where the comment and empty lines above a line begin, not before ``after``."""
    begin = line_start
    while begin > after:
        previous = text.rfind("\n", 0, begin - 1) + 1
        line = text[previous:begin].strip()
        if previous < after or (line and not line.startswith("#")):
            break
        begin = previous
    return begin


def behind_colon(text: str, key: yaml.Node) -> int:
    """Where the value of a key may begin."""
    return text.index(":", key.end_mark.index) + 1
