"""Appends cases to a file of cases, every byte of which stays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from decision_service.errors import InputError, Problem
from decision_service.rulebook.case_file import Case
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.files import read_file
from decision_service.rulebook.yamltree import Branch, Listing, Scalar, read_yaml
from decision_service.workbench.case_text import text_of, write_new

REMEDY = "name a new file, or one whose last key is 'cases' with one case below another"


def append(
    path: Path, cases: Iterable[Case], catalogue: FactCatalogue, *, version: str, head: str, comment: str
) -> tuple[Case, ...]:
    """Write cases to a new file under ``head``, or at the end of one that is there; the cases by the names they got.

    Raises ``InputError`` for a file to which no case can be appended; nothing is written then.
    """
    before = _text(path) if path.exists() else None
    named = tuple(_unused(cases, set() if before is None else set(_names(before, path))))
    if before is None:
        write_new(path, named, catalogue, version=version, head=head, comment=comment)
        return named
    added = text_of(named, catalogue, version=version, head="", comment=comment)
    text = f"{before}{'' if before.endswith(chr(10)) else chr(10)}{added}"
    if list(_names(text, path)) != [*_names(before, path), *(case.name for case in named)]:
        raise InputError("no case can be appended to this file", where=str(path), remedy=REMEDY)
    path.write_text(text, encoding="utf-8")
    return named


def _text(path: Path) -> str:
    problems: list[Problem] = []
    text = read_file(path, problems)
    if text is None:
        raise InputError(problems[0].what, where=str(path), remedy=REMEDY)
    return text


def _names(text: str, path: Path) -> Iterator[str]:
    """The names of a file's cases; none where it cannot be read."""
    root = read_yaml(text, file=str(path), problems=[])
    cases = root.entries.get("cases") if isinstance(root, Branch) else None
    for one in cases.items if isinstance(cases, Listing) else ():
        name = one.entries.get("name") if isinstance(one, Branch) else None
        yield name.text if isinstance(name, Scalar) else ""


def _unused(cases: Iterable[Case], names: set[str]) -> Iterator[Case]:
    for case in cases:
        number, name = 1, case.name
        while name in names:
            number += 1
            name = f"{case.name} ({number})"
        names.add(name)
        yield replace(case, name=name)
