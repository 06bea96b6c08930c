"""Two rulesets that differ, and what the reference evaluator says of a synthetic portfolio under each."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from bench.synthetic import portfolio
from decision_service.rulebook.columnar import INDUSTRY_CODE
from decision_service.rulebook.files import load
from decision_service.rulebook.ruleset import Ruleset, RulesInForce
from tests.rulebook.columns import KEY, Row, reference_rows

RULES = Path(__file__).resolve().parents[2] / "rules"
ON = date(2026, 6, 3)
EDITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "parameters.yaml": (
        ("name: lenders_30d_max, value: 3", "name: lenders_30d_max, value: 2"),
        ("name: first_time_auto_cap, value: 1_000_000.00", "name: first_time_auto_cap, value: 4_000_000.00"),
    ),
    "credit_policy.yaml": (("when: card == yellow\n    outcome: REFER", "when: card == yellow\n    outcome: DECLINE"),),
    "limits.yaml": (("limit_factor: 0.5,", "limit_factor: 0.75,"),),
    "products/invoice_loan.yaml": (("name: max_term_months, value: 12", "name: max_term_months, value: 36"),),
    "never_automatic.yaml": (("when: stale_feeds > 0", "when: stale_feeds > 100"),),
}
"""Parameters that tighten and loosen, a stricter outcome, a larger factor, a rule that no longer matches."""


def changed(folder: Path, edits: Mapping[str, tuple[tuple[str, str], ...]] = EDITS) -> Ruleset:
    """The shipped rules with edits, loaded from a folder of their own."""
    shutil.copytree(RULES, folder)
    for name, pairs in edits.items():
        text = (folder / name).read_text(encoding="utf-8")
        for old, new in pairs:
            assert old in text, f"{name} no longer says {old}"
            text = text.replace(old, new)
        (folder / name).write_text(text, encoding="utf-8")
    return load(folder)


def synthetic(rules: RulesInForce, rows: int) -> pyarrow.Table:
    """A portfolio with keys as text, which applications turned out bad, and a client."""
    table = portfolio(rules, rows)
    table = table.set_column(0, KEY, table[KEY].cast(pyarrow.string()))
    bad = [None if place % 3 else place % 7 == 0 for place in range(rows)]
    clients = ["bank-a" if place % 4 else "bank-b" for place in range(rows)]
    return table.append_column("bad", pyarrow.array(bad)).append_column("client", pyarrow.array(clients))


def write(table: pyarrow.Table, path: Path) -> Path:
    """A table as a Parquet file."""
    pyarrow.parquet.write_table(table, path)
    return path


def reference(ruleset: Ruleset, table: pyarrow.Table) -> list[Row]:
    """What the reference evaluator says of every row, by the rules in force for the row's client."""
    rows = table.to_pylist()
    found: dict[str, Row] = {}
    for client in {row["client"] for row in rows}:
        own = [row for row in rows if row["client"] == client]
        rules = ruleset.in_force(ON, client)
        found |= zip((row[KEY] for row in own), reference_rows(rules, [_facts(rules, row) for row in own]))
    return [found[row[KEY]] for row in rows]


def _facts(rules: RulesInForce, row: Row) -> dict[str, Any]:
    code = row[INDUSTRY_CODE]
    status = rules.industry_status(code) if code else row["industry_status"] or rules.industry_status(None)
    given = {name: value for name, value in row.items() if name in rules.catalogue}
    return {**given, **rules.parameters(str(row["product"]), code), "industry_status": status}
