"""`rules schemas`: JSON Schemas of the rule files, so that editors complete, explain and check while people write."""

from __future__ import annotations

from pathlib import Path

import click

from decision_service.commands.console import FOUND, as_json_option, finish, print_json, settings
from decision_service.errors import InputError
from decision_service.workbench.schemas import FOLDER, folder_schemas


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the schemas; FOLDER/schemas by default.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a schema is missing or out of date.")
@as_json_option
def schemas(folder: Path | None, out: Path | None, check: bool, as_json: bool) -> None:
    """Write the JSON Schemas of a folder's files: its own facts, choices, reason codes, rule ids and profiles.

    Editors find them by the first line of each rule file. Run it again after declaring a fact, rule, reason or profile.

    Example: decision-service rules schemas rules
    """
    folder = folder or settings().rules
    if not folder.is_dir():
        raise InputError("there is no such folder", where=str(folder), remedy="name the folder of rule files")
    out = out or folder / FOLDER
    texts = folder_schemas(folder)
    stale = [name for name, text in texts.items() if _read(out / name) != text]
    if not check:
        out.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (out / name).write_text(texts[name], encoding="utf-8")
    if as_json:
        print_json({"folder": str(out), "schemas": sorted(texts), "stale" if check else "written": stale})
    else:
        for name in stale:
            click.echo(f"{out / name}: {'out of date' if check else 'written'}")
        click.echo(f"{len(texts)} schemas in {out}, {len(stale)} {'out of date' if check else 'written'}")
    finish(FOUND if check and stale else 0)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None
