"""What all commands share: errors without tracebacks, exit codes, tables, the platform they work on."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from tqdm import tqdm

from decision_service.app import build_platform
from decision_service.audit.release import Act
from decision_service.commands.persons import os_user
from decision_service.decide import Platform, business_date
from decision_service.errors import DecisionServiceError, InputError, NotFound, Refused, RulebookError
from decision_service.interrupts import INTERRUPTED, interruptible
from decision_service.policy import Policy
from decision_service.regular_file import REMEDY, irregular
from decision_service.rule_folder import load_policy
from decision_service.settings import Settings
from decision_service.store import Store
from decision_service.workbench.release import install

FOUND, FAILED = 1, 2
"""Exit codes: something was found · the command could not run."""
BEAT_SECONDS = 30.0
"""How often a long step tells how far it is, where no bar can show it."""
Item = TypeVar("Item")


class InputFile(click.Path):
    """A file to read that must be there, as a ``Path``; what has no end (a pipe, a device) is refused."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path. Fails with a usage error for what is no regular file."""
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        if (what := irregular(path)) is not None:
            self.fail(f"{path}: {what}; {REMEDY}", param, ctx)
        return path


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Commands(click.Group):
    """A group whose commands end with a sentence: exit code 2 when they cannot run, 130 when they are stopped."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run; errors of this project and of the operating system become one line on stderr."""
        try:
            with interruptible():
                return super().invoke(ctx)
        except RulebookError as error:
            for problem in error.problems or (error,):
                click.echo(str(problem), err=True)
        except Refused as error:
            click.echo(f"refused: {error}", err=True)
            ctx.exit(FOUND)
        except DecisionServiceError as error:
            click.echo(f"error: {error}", err=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has gone: nothing more to say to it
        except OSError as error:
            click.echo(f"error: {error.filename or 'system'}: {error.strerror or error}", err=True)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)
        ctx.exit(FAILED)


class Lazy(click.Group):
    """A group some of whose commands are imported when they are called; ``lazy`` is ``module:attribute`` by name."""

    def __init__(self, *args: Any, lazy: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now if it is a lazy one."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, attribute = self._lazy[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


def settings(**changes: Any) -> Settings:
    """The settings, with some replaced by options that were given; a value that is ``None`` was not given."""
    environ = {**os.environ, **{name: str(value) for name, value in changes.items() if value is not None}}
    return Settings.from_environ(environ)


@contextmanager
def platform(found: Settings | None = None) -> Iterator[Platform]:
    """The platform of the settings; closed at the end."""
    built = build_platform(found or settings())
    try:
        yield built
    finally:
        built.store.close()


@contextmanager
def existing_platform() -> Iterator[Platform]:
    """As ``platform``, for evidence: where nothing is, nothing is created. Raises ``InputError``."""
    found = settings()
    missing = Store.missing_file(found.database_url)
    if missing is not None:
        remedy = "set DECISION_HOME or DECISION_DATABASE_URL as the service has it"
        raise InputError("there is no store", where=str(missing), remedy=remedy)
    with platform(found) as built:
        yield built


def now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)


def finish(code: int) -> NoReturn:
    """End the command with an exit code."""
    click.get_current_context().exit(code)


def save_rules(built: Platform, folder: Any) -> Policy:
    """Load a folder of rules, check that it can decide, and keep it in the store. Raises ``RulebookError``."""
    policy = load_policy(folder, on=business_date(now()))
    keep_rules(built, policy)
    return policy


def keep_rules(built: Platform, policy: Policy) -> None:
    """Keep a policy's texts in the store, so that what it decides can be taken again."""
    ruleset = policy.ruleset
    built.store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, now())


def ensure_rules(built: Platform, found: Settings) -> None:
    """On a store without an active ruleset, activate the rules of the settings and say so."""
    try:
        built.policies.current()
    except NotFound:
        policy = load_policy(found.rules, on=business_date(now()))
        install(built, policy, Act(os_user(), now(), "the store had no rules yet"))
        click.echo(f"activated the rules in {found.rules}, version {policy.ruleset.version}", err=True)


def progress(items: Iterable[Item], *, total: int | None = None, what: str = "") -> Iterator[Item]:
    """The items, with a bar on a terminal once it takes longer than two seconds."""
    yield from tqdm(items, total=total, desc=what, unit="", delay=2, disable=None, leave=False)


def step(what: str) -> None:
    """A line on stderr as a step of a long command begins or goes on, where no bar can show it: on no terminal."""
    if not sys.stderr.isatty():
        click.echo(what, err=True)


def stepping(items: Iterable[Item], *, total: int | None = None, what: str = "") -> Iterator[Item]:
    """As ``progress``, and on no terminal a line as it begins, and every half minute how far it is."""
    step(f"{what} …")
    told = time.monotonic()
    for count, item in enumerate(progress(items, total=total, what=what), start=1):
        yield item
        if time.monotonic() - told >= BEAT_SECONDS:
            told = time.monotonic()
            step(f"{what}: {count / total:.0%}" if total else f"{what}: {count:,}")


def say(text: str) -> None:
    """A line on stdout while a bar may be on the terminal."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def bar(what: str) -> Any:
    """A bar to be moved by hand, on a terminal, once it takes longer than two seconds."""
    return tqdm(desc=what, unit=" rows", delay=2, disable=None, leave=False)


def print_json(document: Any) -> None:
    """One JSON document."""
    click.echo(json.dumps(document, ensure_ascii=False))


def print_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table whose columns line up, Chinese characters counted twice as wide."""
    texts = [tuple(head), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(width(row[place]) for row in texts) for place in range(len(head))]
    for number, row in enumerate(texts):
        click.echo("  ".join(cell + " " * (size - width(cell)) for cell, size in zip(row, widths)).rstrip())
        if number == 0:
            click.echo("  ".join("-" * size for size in widths))


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
