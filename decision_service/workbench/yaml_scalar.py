"""How a text is written as one YAML scalar: plain where that is safe, else in quotes."""

from __future__ import annotations

import json

import yaml

NULLS = ("null", "Null", "NULL", "~", "")


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
