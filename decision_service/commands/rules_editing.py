"""`rules export-xlsx` and `rules import-xlsx`: the tables of the rulebook in a spreadsheet, and back without a loss."""

from __future__ import annotations

from pathlib import Path

import click

from decision_service.commands.console import as_json_option, print_json
from decision_service.errors import InputError
from decision_service.rulebook.files import load
from decision_service.workbench.sheet_import import prepare, write
from decision_service.workbench.sheets import save

folder_argument = click.argument("folder", type=click.Path(path_type=Path))
file_argument = click.argument("file", metavar="FILE.xlsx", type=click.Path(path_type=Path, dir_okay=False))


@click.command("export-xlsx")
@folder_argument
@file_argument
@as_json_option
def export_xlsx(folder: Path, file: Path, as_json: bool) -> None:
    """Write the tables of a folder into a workbook: industries, rules, parameters, list periods, reasons.

    Example: decision-service rules export-xlsx rules rules.xlsx
    """
    found = save(load(folder), file)
    rows = [{"sheet": table.title, "file": table.file, "rows": len(table.text.rows)} for table in found]
    if as_json:
        print_json({"workbook": str(file), "sheets": rows})
    else:
        click.echo(f"{file}: {len(rows)} sheets, {sum(len(table.text.rows) for table in found)} rows")


@click.command("import-xlsx")
@file_argument
@folder_argument
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@as_json_option
def import_xlsx(file: Path, folder: Path, dry_run: bool, as_json: bool) -> None:
    """Take an edited workbook into the folder that it was exported from; everything or, with a mistake, nothing.

    What was not edited keeps its bytes: comments, order, digits, quotes. The result must load; run `rules check` next.

    Example: decision-service rules import-xlsx rules.xlsx rules
    """
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), remedy="name the folder of rule files")
    found = prepare(file, folder)
    if not dry_run:
        write(found, folder)
    if as_json:
        changes = [
            {name: getattr(one, name) for name in ("way", "place", "file", "row", "column", "before", "after")}
            for one in found.changes
        ]
        print_json({"files": sorted(found.texts), "written": not dry_run, "changes": changes})
        return
    for change in found.changes:
        click.echo(str(change))
    done = "would change" if dry_run else "changed"
    click.echo(f"{len(found.changes)} changes; {len(found.texts)} files {done}")
