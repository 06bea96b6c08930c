"""Cases as the text of a file under ``cases/``, which reads back as the same cases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from decision_service.rulebook.case_file import UNKNOWN, Case, Expectation
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.encoding import FactType
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.files import CASES
from decision_service.workbench.schemas import FOLDER, modeline

HEAD = """\
# Suggested by `decision-service rules test --suggest`: cases at boundaries, and cases in which one comparison decides a
# rule, that no other case showed. What they expect is what the rules of version {version} give, which nobody has
# confirmed. Read each one, correct it or the rule it is about, then delete the comment above it.
cases:
"""
COMMENT = "  # to be confirmed by a person: expects what the rules give at present"
FEN = 100


def write_new(
    path: Path,
    cases: Iterable[Case],
    catalogue: FactCatalogue,
    *,
    version: str,
    head: str = HEAD,
    comment: str = COMMENT,
) -> None:
    """A new file of cases; in a folder of rules with schemas its first line names that of cases, for editors.

    Raises ``OSError``.
    """
    text = text_of(cases, catalogue, version=version, head=head, comment=comment)
    path.write_text(f"{_modeline(path)}{text}", encoding="utf-8")


def _modeline(path: Path) -> str:
    schemas = path.resolve().parent.parent / FOLDER
    return f"{modeline(f'{CASES}/{path.name}', CASES)}\n" if (schemas / f"{CASES}.json").is_file() else ""


def text_of(
    cases: Iterable[Case], catalogue: FactCatalogue, *, version: str, head: str = HEAD, comment: str = COMMENT
) -> str:
    """A file of cases, each under a comment that a person must confirm it; ``head`` says where they come from."""
    lines = [line for case in cases for line in _lines(case, catalogue, comment)]
    return head.format(version=version) + "\n".join(lines) + "\n"


def _lines(case: Case, catalogue: FactCatalogue, comment: str) -> Iterator[str]:
    yield comment
    yield f"  - name: {_quoted(case.name)}"
    if case.base is not None:
        yield f"    base: {_quoted(case.base)}"
    yield f"    as_of: {case.as_of}"
    if case.policy_on is not None:
        yield f"    policy_on: {case.policy_on}"
    if case.client:
        yield f"    client: {_quoted(case.client)}"
    if case.industry is not None:
        yield f"    industry: {_quoted(case.industry)}"
    if case.facts:
        facts = ", ".join(f"{name}: {_value(name, exact, catalogue)}" for name, exact in case.facts.items())
        yield f"    facts: {{{facts}}}"
    yield f"    expect: {{{', '.join(_expected(case.expect))}}}"
    for key, rules in (("matches", case.matches), ("misses", case.misses)):
        if rules:
            yield f"    {key}: [{', '.join(rules)}]"


def _quoted(text: str) -> str:
    """YAML's double quotes, in which JSON's escapes mean the same; plain words stay plain."""
    return text if text.isidentifier() else json.dumps(text, ensure_ascii=False)


def _value(name: str, exact: Exact | None, catalogue: FactCatalogue) -> str:
    if exact is None:
        return UNKNOWN
    value: Any = catalogue.decode(name, exact)
    kind = catalogue[name].type
    if kind is FactType.FLAG:
        return str(value).lower()
    if isinstance(value, Decimal):
        return _money(value) if kind is FactType.MONEY else f"{value:f}"
    return str(value)


def _money(value: Decimal) -> str:
    return f"{value:,.2f}".replace(",", "_")


def _expected(expect: Expectation) -> Iterator[str]:
    yield f"outcome: {expect.outcome.name}"
    for name, value in expect.others.items():
        yield f"{name}: {_expected_value(value)}"


def _expected_value(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, frozenset):
        return f"[{', '.join(sorted(value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _money(Decimal(value) / FEN) if isinstance(value, int) else str(value)
