"""JSON Schemas of every kind of file that a risk team edits, made from the folder itself, for completion and hover."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from decision_service.errors import Problem
from decision_service.rulebook.files import CASES, load, read_file
from decision_service.rulebook.overlays import OVERLAYS
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.rulebook.yamltree import Branch, Scalar, read_yaml
from decision_service.workbench.schema_cases import case_file
from decision_service.workbench.schema_claims import claim_file
from decision_service.workbench.schema_rules import rule_file
from decision_service.workbench.schema_tables import fact_file, list_file, policy_file, product_file, reason_file
from decision_service.workbench.schema_values import Schema

DRAFT = "http://json-schema.org/draft-07/schema#"
"""The draft that editors have understood longest."""
FOLDER = "schemas"
TITLES = {
    "facts": "facts.yaml · 事实",
    "reasons": "reasons.yaml · 原因代码",
    "parameters": "parameters.yaml · 参数",
    "lists": "lists.yaml · 名单",
    "product": "products/*.yaml · 产品",
    "cases": "cases/*.yaml · 例句",
    "invariants": "invariants.yaml · 断言",
    **{stage.value: f"stage: {stage.value} · 规则" for stage in Stage},
}


def folder_schemas(folder: Path) -> dict[str, str]:
    """The schemas of a folder as JSON texts by file name. Raises ``RulebookError`` if its rules cannot be loaded."""
    found = schemas(load(folder), profile_names(folder))
    return {f"{kind}.json": _text(kind, schema) for kind, schema in found.items()}


def schemas(ruleset: Ruleset, profiles: tuple[str, ...] = ()) -> dict[str, Schema]:
    """The schemas of a ruleset by kind of file; ``profiles`` are the names that a case may start from."""
    return {
        "facts": fact_file(ruleset),
        "reasons": reason_file(),
        "parameters": policy_file(ruleset),
        "lists": list_file(ruleset),
        "product": product_file(ruleset),
        "cases": case_file(ruleset, profiles),
        "invariants": claim_file(ruleset),
        **{stage.value: rule_file(stage, ruleset) for stage in Stage},
    }


def kind_of(path: str, sources: Mapping[str, str]) -> str:
    """The kind of a YAML file by its path inside the folder: the name of its schema."""
    folder, _, name = path.removesuffix(".yaml").rpartition("/")
    if folder and not folder.startswith(f"{OVERLAYS}/"):
        return {"products": "product"}.get(folder, CASES)
    return name if name in TITLES and name not in {stage.value for stage in Stage} else _stage(sources[path])


def modeline(path: str, kind: str) -> str:
    """The comment line by which an editor finds the schema of a file in the folder."""
    up = "../" * path.count("/")
    return f"# yaml-language-server: $schema={up}{FOLDER}/{kind}.json"


def profile_names(folder: Path) -> tuple[str, ...]:
    """The profiles of all case files, sorted; files that cannot be read have none."""
    return tuple(sorted({name for path in sorted(folder.glob(f"{CASES}/*.yaml")) for name in _profiles(path)}))


def _profiles(path: Path) -> Iterator[str]:
    unread: list[Problem] = []
    text = read_file(path, unread)
    root = read_yaml(text, file=str(path), problems=unread) if text is not None else None
    found = root.entries.get("profiles") if isinstance(root, Branch) else None
    yield from found.entries if isinstance(found, Branch) else ()


def _stage(text: str) -> str:
    root = read_yaml(text, file="", problems=[])
    stage = root.entries.get("stage") if isinstance(root, Branch) else None
    return stage.text if isinstance(stage, Scalar) else Stage.DECISION.value


def _text(kind: str, schema: Schema) -> str:
    document = {"$schema": DRAFT, "title": TITLES[kind], **schema}
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"
