"""A rule file as editors see it: YAML 1.2 core values, so that schemas are tested on what an editor gives them."""

from __future__ import annotations

import re
from typing import Any

from decision_service.rulebook.yamltree import Branch, Listing, Node, read_yaml

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NULLS = ("null", "Null", "NULL", "~", "")
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def core_value(text: str) -> Any:
    """The document of a text in YAML 1.2's core schema."""
    root = read_yaml(text, file="", problems=[])
    assert root is not None
    return _value(root)


def _value(node: Node) -> Any:
    if isinstance(node, Branch):
        return {key: _value(value) for key, value in node.entries.items()}
    if isinstance(node, Listing):
        return [_value(item) for item in node.items]
    return node.text if node.quoted else _plain(node.text)


def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
