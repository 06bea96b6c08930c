"""What every command of ``python -m ml`` shares: errors in one line, progress bars, a quiet MLflow."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from decision_service.errors import DecisionServiceError

FOUND_SOMETHING, COULD_NOT_RUN = 1, 2
BEGAN = "ml.began"  # key in click's context: when the command was called
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def reported(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose expected errors end it with their text and exit status 2."""

    @wraps(command)
    def run(**arguments: Any) -> None:
        try:
            command(**arguments)
        except (DecisionServiceError, OSError) as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(COULD_NOT_RUN)

    return run


class Steps:
    """A progress bar that counts named steps; silent unless on a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._bar = tqdm(unit=" steps", leave=False, delay=1, disable=quiet or not sys.stderr.isatty())

    def __call__(self, step: str) -> None:
        """Says which step begins."""
        self._bar.set_description(step)
        self._bar.update(1)

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()


def prepare_mlflow(uri: str) -> None:
    """MLflow says nothing below an error, and a SQLite store finds its folder."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).resolve().parent.mkdir(parents=True, exist_ok=True)
