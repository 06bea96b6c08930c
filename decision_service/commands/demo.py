"""`demo`: starts the service, decides one application of each kind over HTTP, verifies the log, replays, stops."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from decision_service.commands.console import (
    FOUND,
    InputFile,
    as_json_option,
    ensure_rules,
    finish,
    now,
    platform,
    print_json,
    print_table,
    progress,
    settings,
)
from decision_service.errors import InputError, StoreError
from decision_service.settings import Settings

WORKERS = 2
READY_SECONDS = 120
LINE, OVER_LINE = "5000000.00", "5000000.01"


@dataclass(frozen=True, slots=True)
class Show:
    """One application to show, and what must come of it: the outcome, and reasons that must be among those given.

    ``early``: it is asked before the others, because an approval of theirs would change what comes of it.
    """

    story: Mapping[str, str]
    application: Mapping[str, Any]
    expected: str | None
    reasons: frozenset[str] = frozenset()
    early: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What came of it."""

    show: Show
    status: int
    answer: Mapping[str, Any]
    milliseconds: float
    replayed: bool

    @property
    def outcome(self) -> str:
        """The outcome, or the problem's type."""
        return str(self.answer.get("outcome") or self.answer.get("type"))

    @property
    def fine(self) -> bool:
        """Whether it is what was expected."""
        return self.show.expected in (None, self.outcome) and self.show.reasons <= set(self.reasons)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reason codes, each once."""
        return tuple(dict.fromkeys(reason["code"] for reason in self.answer.get("reasons", [])))


@click.command()
@click.argument("showcase", type=InputFile())
@as_json_option
def demo(showcase: Path, as_json: bool) -> None:
    """Decide one application of each kind over HTTP and print them; exit 1 if one comes out unexpectedly.

    Example: decision-service demo var/demo/feeds/showcase.json
    """
    shows = read_showcase(showcase)
    found = settings(DECISION_PORT=free_port(), DECISION_WORKERS=WORKERS)
    with platform(found) as built:
        ensure_rules(built, found)
    with visitor(found) as key, server(found, found.home / "demo-server.log"):
        shown = ask_all(found.port, key, shows)
        retried = ask(found.port, key, shows[0])
    checks = {"the retry gave the same bytes": retried.replayed and retried.answer == shown[0].answer}
    for command in ("audit verify", "replay --all"):
        checks[f"decision-service {command}"] = _succeeds(command, found, as_json)
    _print(shown, checks, as_json)
    finish(0 if all(one.fine for one in shown) and all(checks.values()) else FOUND)


@contextmanager
def visitor(found: Settings) -> Iterator[str]:
    """The key of a bank that is a client until the block ends."""
    with platform(found) as built:
        client, key = built.store.add_client("demo", "bank", now())
        try:
            yield key
        finally:
            built.store.revoke_client(client.client_id, now())


def read_showcase(file: Path) -> list[Show]:
    """The applications in the order to show them. Raises ``InputError`` for a file that is not one."""
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
        shows = [show for entry in entries for show in _with_one_fen_more(_show(entry))]
    except (ValueError, KeyError, TypeError) as error:
        what = f"this is not a showcase ({error!r})"
        raise InputError(what, where=str(file), remedy="write it again with: python -m ml city") from error
    if not shows:
        raise InputError("the showcase is empty", where=str(file), remedy="write it again with: python -m ml city")
    return shows


def _show(entry: Mapping[str, Any]) -> Show:
    application = {**entry["application"], "enterprise": {"uscc": entry["uscc"]}}
    expected = entry.get("expected_outcome")
    return Show(dict(entry["story"]), application, expected, frozenset(entry.get("expected_reasons", ())))


def _with_one_fen_more(show: Show) -> Iterator[Show]:
    """After an approval of exactly 5,000,000.00: the same customer's application for one fen more.

    It is asked before, because the approval would take up all that may be approved.
    """
    yield show
    if show.expected == "APPROVE" and show.application["amount"] == LINE:
        changed = {"amount": OVER_LINE, "application_id": f"{show.application['application_id']}-over"}
        story = {"zh": "同一企业，多一分钱", "en": "The same firm, one fen more"}
        yield Show(story, {**show.application, **changed}, "REFER", frozenset({"AMT_OVER_5M"}), early=True)


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(found: Settings, log: Path) -> Iterator[None]:
    """The service in processes of its own until the block ends; stopped by its own process group."""
    command = [sys.executable, "-m", "decision_service", "serve"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **found.environ(), "DECISION_STATIC_KEYS": "on"},  # the visitor comes with a key
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, found.port, log)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if _request(port, "GET", "/readyz", None, {})[0] == 200:
                return
        except OSError:
            pass  # not listening yet
        time.sleep(0.2)
    raise StoreError("the service did not become ready", where=str(log), remedy="see what it wrote there")


def ask_all(port: int, key: str, shows: Sequence[Show]) -> list[Shown]:
    """Send all applications, the early ones first; the answers in the order of ``shows``."""
    order = sorted(range(len(shows)), key=lambda place: not shows[place].early)
    answers = {place: ask(port, key, shows[place]) for place in progress(order, total=len(order), what="deciding")}
    return [answers[place] for place in range(len(shows))]


def ask(port: int, key: str, show: Show) -> Shown:
    """Send one application and time the answer."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Idempotency-Key": f"demo-{show.application['application_id']}",
        "Content-Type": "application/json",
    }
    began = time.perf_counter()
    status, answer, received = _request(port, "POST", "/v1/decisions", json.dumps(show.application).encode(), headers)
    took = (time.perf_counter() - began) * 1000
    return Shown(show, status, json.loads(answer), took, received.get("idempotent-replayed") == "true")


def _request(
    port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> tuple[int, bytes, Mapping[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def _succeeds(command: str, found: Settings, quiet: bool) -> bool:
    """Run a command of ours in a fresh process, so that nothing this process holds can help it."""
    run = subprocess.run(
        [sys.executable, "-m", "decision_service", *command.split()],
        env={**os.environ, **found.environ()},
        capture_output=True,
        text=True,
    )
    if not quiet:
        click.echo(f"$ decision-service {command}\n{run.stdout}{run.stderr if run.returncode else ''}".rstrip())
    return run.returncode == 0


def _print(shown: list[Shown], checks: Mapping[str, bool], as_json: bool) -> None:
    if as_json:
        decisions = [
            {"story": one.show.story, "expected": one.show.expected, "fine": one.fine, "answer": one.answer}
            for one in shown
        ]
        print_json({"decisions": decisions, "checks": checks})
        return
    rows = [
        (
            one.show.story.get("zh"),
            one.show.story.get("en"),
            one.show.application["amount"],
            one.outcome,
            one.answer.get("limit"),
            one.answer.get("card") or "?",
            one.answer.get("scores", {}).get("pd_12m"),
            " ".join(one.reasons),
            f"{one.milliseconds:.0f}",
            "" if one.fine else f"expected {' '.join([str(one.show.expected), *sorted(one.show.reasons)])}",
        )
        for one in shown
    ]
    click.echo()
    print_table(("申请", "application", "amount", "outcome", "limit", "card", "pd_12m", "reasons", "ms", ""), rows)
    for check, passed in checks.items():
        click.echo(f"{'✓' if passed else '✗'} {check}")
    click.echo(f"{sum(one.fine for one in shown)} of {len(shown)} as expected")
