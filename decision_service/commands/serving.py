"""`serve`: the HTTP API in worker processes, ready to decide."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import click

from decision_service.api import bodies
from decision_service.app import STOP_SECONDS
from decision_service.commands.console import FOUND, ensure_rules, finish, now, platform, settings
from decision_service.decide import Platform
from decision_service.errors import InputError
from decision_service.logs import FORMATS
from decision_service.settings import Settings
from decision_service.simulate import simulate_application
from decision_service.vocabulary import Client, Outcome

SANDBOX = "sandbox"
TRIED = 50
"""Enterprises of which the first that would be approved is named in the sandbox line: about a second's work."""
METRICS, MEMORY = "decision-metrics", Path("/dev/shm")
HEADER_BYTES = 64 * 1024
MOST_REQUESTS = 1024
"""Of one worker at a time: many more than those that wait because they were refused."""


@click.command()
@click.option("--host", help="Address to listen on; only this machine by default.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Worker processes.")
@click.option("--log-format", type=click.Choice(FORMATS), help="One line an event. [text on a terminal, else json]")
@click.option("--sandbox", is_flag=True, help="Print a fresh sandbox key and a curl line that works.")
@click.option("--check-empty", is_flag=True, help="Only tell whether the store is empty: exit 0 if so, else 1.")
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    log_format: str | None,
    sandbox: bool,
    check_empty: bool,
) -> None:
    """Serve the API until stopped.

    Example: decision-service serve --port 8080 --workers 2
    """
    if log_format is None and "DECISION_LOG_FORMAT" not in os.environ:
        log_format = "text" if sys.stdout.isatty() else "json"
    found = settings(
        DECISION_HOST=host, DECISION_PORT=port, DECISION_WORKERS=workers, DECISION_LOG_FORMAT=log_format
    )
    if check_empty:
        _tell_whether_empty(found)
    address = free_address(found)
    with platform(found) as built:
        ensure_rules(built, found)
        if not built.store.enterprise_count():
            click.echo("No enterprise is on record, so every decision is a 404. Load feeds first:", err=True)
            click.echo("  decision-service feeds load FOLDER    (make serve loads a synthetic city)", err=True)
        if sandbox:
            _sandbox(built, found)
    told = "it answers once /readyz does; stop with Ctrl-C"
    click.echo(f"starting http://{_authority(found)} with {found.workers} workers: {told}", err=True)
    _become_server(found, address)


def _tell_whether_empty(found: Settings) -> NoReturn:
    with platform(found) as built:
        count = built.store.enterprise_count()
    click.echo(f"{count} enterprises on record")
    finish(FOUND if count else 0)


def free_address(found: Settings) -> str:
    """The IP address to listen on; raises ``InputError`` when it is none of this machine's or its port is taken.

    Workers share a port by ``SO_REUSEPORT``, with which a second server would join the first without a word.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            found.host.strip("[]"), found.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.create_server(address, family=family):
            return str(address[0])
    except OSError as error:
        raise InputError(
            f"cannot listen there: {error.strerror or error}",
            where=_authority(found),
            remedy="stop what listens there, or choose another --host or --port",
        ) from error


def _become_server(found: Settings, address: str) -> NoReturn:
    """Replace this process by the server: signals and the exit code are its own."""
    environ = {**os.environ, **found.environ(), "PROMETHEUS_MULTIPROC_DIR": found.metrics_folder or metrics_folder()}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *server_arguments(found, address)], environ)


def metrics_folder() -> str:
    """A fresh folder for what the workers count; those of servers that are gone are removed.

    It is kept in memory where that can be: writing to a mapped file on a full disk ends the process.
    """
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in parent.glob(f"{METRICS}-{os.getuid()}-*"):
        if not Path(f"/proc/{left.name.rsplit('-', 1)[1]}").exists():
            shutil.rmtree(left, ignore_errors=True)
    own = parent / f"{METRICS}-{os.getuid()}-{os.getpid()}"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o700)
    return str(own)


def server_arguments(found: Settings, address: str) -> list[str]:
    """granian, each worker building its own platform; a worker that dies is replaced."""
    return [
        "-m", "granian", "decision_service.app:served", "--factory",
        "--interface", "rsgi",
        "--http", "1",
        "--http1-buffer-size", str(HEADER_BYTES),
        "--host", address,
        "--port", str(found.port),
        "--workers", str(found.workers),
        "--backlog", str(2 * MOST_REQUESTS),
        "--backpressure", str(MOST_REQUESTS),
        "--respawn-failed-workers",
        "--workers-kill-timeout", str(STOP_SECONDS),
        "--log-level", "warning",
    ]  # fmt: skip


def _authority(found: Settings) -> str:
    host = f"[{found.host}]" if ":" in found.host and not found.host.startswith("[") else found.host
    return f"{host}:{found.port}"


def _sandbox(built: Platform, found: Settings) -> None:
    """A fresh key each time, because the old one cannot be shown again; the client and what it has stay."""
    if not found.static_keys:
        click.echo("no sandbox key: keys are turned off (DECISION_STATIC_KEYS)", err=True)
        return
    known = [one.client for one in built.store.list_clients() if one.revoked_at is None and one.client.name == SANDBOX]
    if known:
        client, key = known[-1], built.store.renew_key(known[-1].client_id)
    else:
        client, key = built.store.add_client(SANDBOX, "bank", now())
    click.echo(f"sandbox key: {key}")
    click.echo("enterprises with known outcomes: decision-service sandbox list")
    uscc, outcome = worth_trying(built, client)
    if uscc is not None:
        click.echo(f"try, in another terminal ({outcome} to be expected):")
        click.echo(curl_line(found, key, uscc))


def worth_trying(built: Platform, client: Client) -> tuple[str | None, str | None]:
    """An enterprise whose sandbox application would be approved now, and that outcome.

    If none of the first ``TRIED`` would be, the first of all and what it would get; nothing when none is on record.
    """
    first: tuple[str | None, str | None] = (None, None)
    for uscc in built.store.uscc_list(TRIED):
        application = bodies.application(sandbox_application(uscc))
        found = simulate_application(
            application, client=client, platform=built, overrides={}, as_of=None, now=now()
        )
        outcome = found.assessment.outcome
        if outcome is Outcome.APPROVE:
            return uscc, outcome.name
        if first[0] is None:
            first = uscc, outcome.name
    return first


def sandbox_application(uscc: str) -> dict[str, Any]:
    """An application of the kind most enterprises may make."""
    return {
        "application_id": "SANDBOX-1",
        "product": "working_capital",
        "amount": "500000.00",
        "term_months": 12,
        "purpose": "working_capital",
        "authorization_id": "SANDBOX-AUTH-1",
        "enterprise": {"uscc": uscc},
    }


def curl_line(found: Settings, key: str, uscc: str) -> str:
    """One line that decides one application."""
    headers = f"-H 'Authorization: Bearer {key}' -H 'Idempotency-Key: sandbox-1' -H 'Content-Type: application/json'"
    body = json.dumps(sandbox_application(uscc))
    return f"curl -s http://{_authority(found)}/v1/decisions {headers} -d '{body}'"
