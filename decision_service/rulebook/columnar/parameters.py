"""Parameters in force as columns: policy for all rows, product and industry parameters by the row's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import ibis

from decision_service.rulebook.columnar.truths import column_type, literal, unknown
from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.ruleset import RulesInForce

INDUSTRY_CODE = "industry_code"
"""The column with the two-digit code of a row's industry; not a fact."""
STATUS = "industry_status"
CODE, JOINED = "~code", "~"
SCOPES = ("policy", "product", "industry")


def is_parameter(name: str) -> bool:
    """Whether a fact is a parameter, which a ruleset supplies."""
    return name.partition(".")[0] in SCOPES and "." in name


def with_parameters(table: ibis.Table, rules: RulesInForce, names: Collection[str]) -> ibis.Table:
    """The table with those parameters and the ``industry_status`` among ``names`` that are in force for each row.

    Reads ``product`` and ``industry_code``. What is not in force is unknown. A row without a code keeps what the table
    itself has under the name of an industry parameter or ``industry_status``; all other such columns are replaced.
    """
    wanted = [name for name in rules.catalogue if name in names and (is_parameter(name) or name == STATUS)]
    by_code = [name for name in wanted if name == STATUS or name.startswith("industry.")]
    table = table.mutate(
        **{
            name: _city_wide(name, rules) if name.startswith("policy.") else _by_product(name, rules)
            for name in wanted
            if name not in by_code
        }
    )
    return _with_industries(table, rules, by_code) if by_code else table


def _city_wide(name: str, rules: RulesInForce) -> Any:
    value = rules.parameters("", None).get(name)
    return unknown(rules.catalogue[name]) if value is None else literal(value)


def _by_product(name: str, rules: RulesInForce) -> Any:
    values = {product: rules.parameters(product, None).get(name) for product in rules.products}
    known = [(ibis._["product"] == product, literal(value)) for product, value in values.items() if value is not None]
    return ibis.cases(*known) if known else unknown(rules.catalogue[name])


def _with_industries(table: ibis.Table, rules: RulesInForce, names: list[str]) -> ibis.Table:
    """Joined by the code; a code that no file names has the status of an unknown one, and no parameters.

    Numbers travel as text: on their way to Spark, whole numbers beside NULL would become floating point.
    """
    codes = rules.industry_codes()
    known = {code: {**rules.parameters("", code), STATUS: rules.industry_status(code)} for code in codes}
    data = {CODE: codes, **{JOINED + name: [_text(known[code].get(name)) for code in codes] for name in names}}
    rows = ibis.memtable(_rows(data), schema=ibis.schema(dict.fromkeys(data, "string")))
    joined = table.left_join(rows, table[INDUSTRY_CODE] == rows[CODE])
    columns = {}
    for name in names:
        own = ibis._[name] if name in table.columns else unknown(rules.catalogue[name])
        found = ibis._[JOINED + name].cast(column_type(rules.catalogue[name]))
        columns[name] = ibis.ifelse(ibis._[INDUSTRY_CODE].isnull(), own, found)
    if STATUS in names:
        columns[STATUS] = columns[STATUS].fill_null(rules.industry_status(None))
    return joined.mutate(**columns).drop(CODE, *(JOINED + name for name in names))


def _text(value: Exact | None) -> str | None:
    return None if value is None else str(value)


def _rows(data: Mapping[str, Any]) -> list[dict[str, str | None]]:
    return [dict(zip(data, row)) for row in zip(*data.values())]
