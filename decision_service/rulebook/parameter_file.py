"""Reads dated parameters: ``parameters.yaml``, ``products/*.yaml``, ``industries.csv`` and the excluded industries."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from decision_service.rulebook.conditions import Exact
from decision_service.rulebook.facts import FactCatalogue
from decision_service.rulebook.literals import parse_date
from decision_service.rulebook.parameters import ParameterRow, overlapping
from decision_service.rulebook.reading import Sheet
from decision_service.rulebook.rules import Product
from decision_service.rulebook.ruleset import POLICY
from decision_service.rulebook.syntax import did_you_mean
from decision_service.rulebook.yamltree import Branch, Listing, Node, Scalar

INDUSTRY_CODE = re.compile(r"[0-9]{2}")
PRODUCT_NAME = re.compile(r"[a-z][a-z0-9_]*")
DATED = ("code", "effective_from", "reference")
DESCRIPTIVE = ("name_zh", "name_en", "section", "section_zh", "peak_months", "note", "value_status", "effective_to")
EXCLUDED_COLUMNS = ("code", "name_zh", "section", "section_zh", "reason")
MODELS = ("xgboost", "lstm")
FALLBACK = "scorecard"
OVERLAP = "parameter-overlap"


def read_policy(root: Node, catalogue: FactCatalogue, sheet: Sheet) -> list[ParameterRow]:
    """The rows of ``parameters.yaml``: facts ``policy.<name>``."""
    branch = sheet.branch(root, "the file", required=("parameters",))
    node = branch.entries.get("parameters") if branch else None
    rows = read_rows(node, POLICY, POLICY, catalogue, sheet)
    written = _names_written(node)
    for name in catalogue:
        if name.startswith(f"{POLICY}.") and name.removeprefix(f"{POLICY}.") not in written:
            sheet.report(1, f"the declared parameter {name} has no row", "add a row for it")
    return rows


def _names_written(node: Node | None) -> set[str]:
    """The parameters that have a row, also when its value could not be read: that is reported already."""
    rows = node.items if isinstance(node, Listing) else ()
    names = [row.entries.get("name") for row in rows if isinstance(row, Branch)]
    return {name.text for name in names if isinstance(name, Scalar)}


def read_rows(
    node: Node | None, scope: str, key: str, catalogue: FactCatalogue, sheet: Sheet
) -> list[ParameterRow]:
    """Rows ``{name, value, effective_from, effective_to?, reference}`` of facts ``<scope>.<name>``."""
    rows = [row for item in sheet.items(node, "parameters") if (row := _row(item, scope, key, catalogue, sheet))]
    for earlier, later in overlapping(rows, superseding=False):
        (name,) = later.values
        sheet.coded(OVERLAP).report(
            later.line,
            f"two rows of {name} are in force on {later.effective_from} (the other in line {earlier.line})",
            "end the earlier one with effective_to",
        )
    return rows


def _row(node: Node, scope: str, key: str, catalogue: FactCatalogue, sheet: Sheet) -> ParameterRow | None:
    required = ("name", "value", "effective_from", "reference")
    branch = sheet.branch(node, "a parameter", required=required, optional=("effective_to",))
    name = sheet.text(branch.entries.get("name"), "name") if branch else None
    if branch is None or name is None:
        return None
    what = f"parameter {name}"
    begins, ends = sheet.period(branch, what)
    reference = sheet.text(branch.entries.get("reference"), f"{what}: reference")
    value = sheet.value(branch.entries.get("value"), f"{scope}.{name}", catalogue)
    if value is None:
        return None
    return ParameterRow(key, {f"{scope}.{name}": value}, begins, ends, reference or "", sheet.file, node.line)


def read_product(
    root: Node, catalogue: FactCatalogue, sheet: Sheet
) -> tuple[Product | None, list[ParameterRow]]:
    """One product file: the product and the rows of its ``product.*`` facts."""
    branch = sheet.branch(
        root,
        "the product",
        required=("name", "label", "models", "required", "parameters"),
        optional=("single_model_blend", "assumptions"),
    )
    name = sheet.text(branch.entries.get("name"), "name") if branch else None
    if branch is None or name is None:
        return None, []
    if not PRODUCT_NAME.fullmatch(name) or sheet.file != f"products/{name}.yaml":
        sheet.report(branch.line, f"the product is named '{name}'", "give file and product the same lower-case name")
    models = sheet.branch(branch.entries.get("models"), "models", required=MODELS, optional=(FALLBACK,))
    kinds = (*MODELS, FALLBACK)
    chosen = {kind: sheet.text(models.entries.get(kind), f"models.{kind}") if models else None for kind in kinds}
    product = Product(
        name=name,
        label=sheet.texts(branch.entries.get("label"), "label") or {},
        required_facts=_required(branch, catalogue, sheet),
        xgb_model=chosen["xgboost"] or "",
        lstm_model=chosen["lstm"] or "",
        single_model_blend=_single_model(branch, sheet),
        assumptions=tuple(
            texts
            for node in sheet.items(branch.entries.get("assumptions"), "assumptions")
            if (texts := sheet.texts(node, "an assumption")) is not None
        ),
        scorecard_model=chosen[FALLBACK],
    )
    return product, read_rows(branch.entries.get("parameters"), "product", name, catalogue, sheet)


def _required(branch: Branch, catalogue: FactCatalogue, sheet: Sheet) -> tuple[str, ...]:
    node = branch.entries.get("required")
    names = sheet.names(node, "required")
    for name in names:
        if name not in catalogue and node is not None:
            hint = did_you_mean(name, catalogue, otherwise="declare it in facts.yaml")
            sheet.report(node.line, f"required: unknown fact '{name}'", hint)
    return tuple(name for name in names if name in catalogue)


def _single_model(branch: Branch, sheet: Sheet) -> str | None:
    node = branch.entries.get("single_model_blend")
    text = sheet.text(node, "single_model_blend")
    if text is not None and node is not None and text not in MODELS:
        sheet.report(node.line, f"single_model_blend: unknown model '{text}'", "use xgboost or lstm")
        return None
    return text


@dataclass(frozen=True, slots=True)
class _Line:
    """One CSV line by column, with its line number."""

    number: int
    cells: Mapping[str, str]


def read_table(
    text: str, sheet: Sheet, *, required: tuple[str, ...], optional: tuple[str, ...] | None
) -> Iterator[_Line]:
    """The lines of a CSV file whose columns are known; ``optional=None`` admits any further column."""
    lines = _lines(text, sheet)
    _, header = next(lines, (1, []))
    if not _header_usable(header, sheet, required, optional):
        return
    for number, cells in lines:
        if len(cells) == len(header):
            yield _Line(number, dict(zip(header, (cell.strip() for cell in cells))))
        elif cells:
            what = f"{len(cells)} cells, but {len(header)} columns"
            sheet.report(number, what, "quote cells that hold commas; leave unknown cells empty")


def _lines(text: str, sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row with the number of its first line."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            sheet.report(number, f"CSV syntax: {error}", "save the file as comma-separated UTF-8 text")
            return
        if cells is None:
            return
        yield number, cells


def _header_usable(
    header: list[str], sheet: Sheet, required: tuple[str, ...], optional: tuple[str, ...] | None
) -> bool:
    if not header:
        sheet.report(1, "the file is empty", f"begin with the columns {', '.join(required)}")
        return False
    for name in required:
        if name not in header:
            sheet.report(1, f"the column '{name}' is missing", "add it")
    for name in sorted(set(header)):
        if header.count(name) > 1:
            sheet.report(1, f"the column '{name}' stands twice", "keep one")
        if optional is not None and name not in (*required, *optional):
            hint = did_you_mean(name, (*required, *optional), otherwise="remove it, or declare the fact")
            sheet.report(1, f"unknown column '{name}'", hint)
    return all(header.count(name) == 1 for name in required)


def read_industries(text: str, catalogue: FactCatalogue, sheet: Sheet) -> list[ParameterRow]:
    """Dated rows of facts ``industry.*`` by two-digit code; a later row supersedes an earlier one without an end."""
    columns = tuple(name.removeprefix("industry.") for name in catalogue if name.startswith("industry."))
    rows = [
        row
        for line in read_table(text, sheet, required=(*DATED, *columns), optional=DESCRIPTIVE)
        if (row := _industry(line, columns, catalogue, sheet)) is not None
    ]
    by_code: dict[str, list[ParameterRow]] = {}
    for row in rows:
        by_code.setdefault(row.key, []).append(row)
    for code, dated in by_code.items():
        for earlier, later in overlapping(dated, superseding=True):
            what = f"industry {code} has two rows in force on {later.effective_from} (the other in line {earlier.line})"
            sheet.coded(OVERLAP).report(later.line, what, "give each row its own period")
    return rows


def _industry(
    line: _Line, columns: tuple[str, ...], catalogue: FactCatalogue, sheet: Sheet
) -> ParameterRow | None:
    code = line.cells["code"]
    if not INDUSTRY_CODE.fullmatch(code):
        sheet.report(line.number, f"the code '{code}' is not a two-digit division", "write it as 01 to 97")
        return None
    values: dict[str, Exact] = {}
    for column in columns:
        name, cell = f"industry.{column}", line.cells[column]
        exact = sheet.attempt(line.number, f"column {column}", lambda: catalogue.encode(name, cell))
        if exact is not None:
            values[name] = exact
    begins, ends = _period(line, sheet)
    if not line.cells["reference"]:
        sheet.report(line.number, "the cell 'reference' is empty", "name the document behind the numbers")
    if begins is None:
        return None
    return ParameterRow(code, values, begins, ends, line.cells["reference"], sheet.file, line.number)


def _period(line: _Line, sheet: Sheet) -> tuple[date | None, date | None]:
    begins_text, ends_text = line.cells["effective_from"], line.cells.get("effective_to", "")
    begins = sheet.attempt(line.number, "effective_from", lambda: parse_date(begins_text))
    ends = sheet.attempt(line.number, "effective_to", lambda: parse_date(ends_text)) if ends_text else None
    if begins is not None and ends is not None and ends <= begins:
        sheet.report(line.number, f"effective_to {ends} is not after effective_from {begins}", "correct one of them")
    return begins, ends


def read_excluded(text: str, covered: set[str], sheet: Sheet) -> dict[str, str]:
    """Excluded codes with the reason; none of them may have parameters as well."""
    excluded: dict[str, str] = {}
    for line in read_table(text, sheet, required=EXCLUDED_COLUMNS, optional=()):
        code = line.cells["code"]
        if not INDUSTRY_CODE.fullmatch(code):
            sheet.report(line.number, f"the code '{code}' is not a two-digit division", "write it as 01 to 97")
        elif code in excluded:
            sheet.report(line.number, f"industry {code} is excluded twice", "keep one line")
        elif code in covered:
            sheet.report(line.number, f"industry {code} is excluded and has parameters", "keep it in one of the files")
        excluded[code] = line.cells["reason"]
    return excluded
