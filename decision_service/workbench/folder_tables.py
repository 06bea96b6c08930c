"""The tables of a rule folder that people edit as sheets: industries, rules, parameters, periods of lists, reasons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from decision_service.rulebook.encoding import Fact, FactType
from decision_service.rulebook.parameter_file import DATED, EXCLUDED_COLUMNS
from decision_service.rulebook.rules import Stage
from decision_service.rulebook.ruleset import Ruleset
from decision_service.vocabulary import Outcome
from decision_service.workbench.csv_table import CsvTable
from decision_service.workbench.schema_values import fact_words
from decision_service.workbench.sheet_words import HEADINGS
from decision_service.workbench.table_text import COMMENT, TableText
from decision_service.workbench.yaml_entry import CONDITION, EFFECTS
from decision_service.workbench.yaml_table import GROUP, Layout, YamlTable

NOT_TABLES = ("facts", "cases", "invariants")
TITLE_LENGTH = 31
"""Longest title of a sheet."""
PERIODS = ("severity", "min_months", "max_months", "effective_from", "effective_to", "reference", COMMENT)
PARAMETERS = ("name", "value", "effective_from", "effective_to", "reference", COMMENT)
REASONS = ("code", "customer.zh", "customer.en", "officer.zh", "officer.en", COMMENT)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet; ``choices`` are offered and enforced, ``pads`` is the width of a code with leading zeros."""

    name: str
    zh: str
    en: str
    choices: tuple[str, ...] = ()
    required: bool = True
    pads: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """One sheet: its title, its file inside the folder, its columns, and the rows as the text has them."""

    title: str
    file: str
    columns: tuple[Column, ...]
    text: TableText
    key: tuple[str, ...]


def tables(ruleset: Ruleset) -> list[Table]:
    """Every table of a loaded folder, in the order of its sheets."""
    found = [
        _industries(ruleset),
        _excluded(ruleset),
        *_rules(ruleset),
        _parameters(ruleset, "parameters.yaml"),
        *(_parameters(ruleset, f"products/{name}.yaml") for name in sorted(ruleset.products)),
    ]
    found.append(_periods(ruleset))
    found.append(_reasons(ruleset))
    return found


def _industries(ruleset: Ruleset) -> Table:
    text = CsvTable(ruleset.sources["industries.csv"])
    columns = tuple(_industry_column(name, ruleset) for name in text.columns)
    return Table("industries", "industries.csv", columns, text, key=("code", "effective_from"))


def _industry_column(name: str, ruleset: Ruleset) -> Column:
    fact = ruleset.catalogue.get(f"industry.{name}")
    if fact is not None:
        return Column(name, *fact_words(fact), choices=_choices(fact))
    return _column(name, required=name in DATED)


def _excluded(ruleset: Ruleset) -> Table:
    text = CsvTable(ruleset.sources["industries_excluded.csv"])
    columns = tuple(_column(name, required=name == "code") for name in EXCLUDED_COLUMNS)
    return Table("industries_excluded", "industries_excluded.csv", columns, text, key=("code",))


def _rules(ruleset: Ruleset) -> Iterator[Table]:
    by_file: dict[str, Stage] = {rule.file: rule.stage for rule in ruleset.rules}
    for file, stage in sorted(by_file.items()):
        codes = tuple(sorted(ruleset.reasons))
        columns = (
            *(_column(name) for name in ("id", "title.zh", "title.en", CONDITION)),
            *_results(stage, ruleset),
            _column("reason", choices=codes, required=False),
            _column("effective_from"),
            _column("effective_to", required=False),
            _column("reference"),
            _column(COMMENT, required=False),
        )
        layout = Layout("rules", tuple(column.name for column in columns))
        yield _yaml(file.removesuffix(".yaml"), file, columns, layout, ruleset, key=("id",))


def _results(stage: Stage, ruleset: Ruleset) -> Iterator[Column]:
    if stage is Stage.DECISION:
        yield _column("outcome", choices=tuple(Outcome.__members__))
    elif stage is Stage.LIMIT:
        for name in EFFECTS:
            yield _column(f"effects.{name}", required=False)
    else:
        for fact in ruleset.catalogue.settable:
            yield Column(f"sets.{fact.name}", *fact_words(fact), choices=_choices(fact), required=False)


def _parameters(ruleset: Ruleset, file: str) -> Table:
    scope = "product" if "/" in file else "policy"
    names = tuple(name.partition(".")[2] for name in ruleset.catalogue if name.startswith(f"{scope}."))
    optional = ("effective_to", COMMENT)
    columns = tuple(
        _column(name, choices=names if name == "name" else (), required=name not in optional) for name in PARAMETERS
    )
    title = file.removesuffix(".yaml").replace("products/", "product ")
    layout = Layout("parameters", PARAMETERS, flow=True)
    return _yaml(title, file, columns, layout, ruleset, key=("name", "effective_from"))


def _periods(ruleset: Ruleset) -> Table:
    required = ("severity", "effective_from")
    layout = Layout("periods", PERIODS, inside="lists", flow=True)
    text = YamlTable(ruleset.sources["lists.yaml"], layout)
    columns = (_column(GROUP, choices=text.groups), *(_column(name, required=name in required) for name in PERIODS))
    return Table("lists", "lists.yaml", columns, text, key=())


def _reasons(ruleset: Ruleset) -> Table:
    columns = tuple(_column(name, required=name != COMMENT) for name in REASONS)
    return _yaml("reasons", "reasons.yaml", columns, Layout("reasons", REASONS), ruleset, key=("code",))


def _yaml(
    title: str, file: str, columns: tuple[Column, ...], layout: Layout, ruleset: Ruleset, *, key: tuple[str, ...]
) -> Table:
    return Table(title[:TITLE_LENGTH], file, columns, YamlTable(ruleset.sources[file], layout), key)


def _column(name: str, *, choices: tuple[str, ...] = (), required: bool = True) -> Column:
    zh, en = HEADINGS[name]
    return Column(name, zh, en, choices, required, pads=2 if name == "code" and not choices else 0)


def _choices(fact: Fact) -> tuple[str, ...]:
    return ("true", "false") if fact.type is FactType.FLAG else fact.choices
