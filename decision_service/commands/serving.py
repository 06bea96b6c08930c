"""`serve`: the HTTP API in worker processes, ready to decide."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import NoReturn

import click

from decision_service.commands.console import FOUND, ensure_rules, finish, now, platform, settings
from decision_service.decide import Platform
from decision_service.settings import Settings

SANDBOX = "sandbox"
START_SECONDS, STOP_SECONDS, KEEP_ALIVE_SECONDS = 180, 20, 30


@click.command()
@click.option("--host", help="Address to listen on; only this machine by default.")
@click.option("--port", type=int, help="Port to listen on.")
@click.option("--workers", type=int, help="Worker processes.")
@click.option("--threads", type=int, help="Threads per worker.")
@click.option("--sandbox", is_flag=True, help="Print a fresh sandbox key and a curl line that works.")
@click.option("--check-empty", is_flag=True, help="Only tell whether the store is empty: exit 0 if so, else 1.")
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    threads: int | None,
    sandbox: bool,
    check_empty: bool,
) -> None:
    """Serve the API until stopped.

    Example: decision-service serve --port 8080 --workers 2
    """
    found = settings(DECISION_HOST=host, DECISION_PORT=port, DECISION_WORKERS=workers, DECISION_THREADS=threads)
    with platform(found) as built:
        count = built.store.enterprise_count()
        if check_empty:
            click.echo(f"{count} enterprises on record")
            finish(FOUND if count else 0)
        ensure_rules(built, found)
        if not count:
            click.echo("No enterprise is on record, so every decision is a 404. Load feeds first:", err=True)
            click.echo("  decision-service feeds load FOLDER    (make serve loads a synthetic city)", err=True)
        if sandbox:
            _sandbox(built, found)
    click.echo(f"serving http://{_authority(found)} with {found.workers} workers; stop with Ctrl-C", err=True)
    _become_server(found)


def _become_server(found: Settings) -> NoReturn:
    """Replace this process by gunicorn: signals and the exit code are its own."""
    metrics = found.home.absolute() / f"metrics-{found.port}"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    environ = {**os.environ, **found.environ(), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *server_arguments(found)], environ)


def server_arguments(found: Settings) -> list[str]:
    """gunicorn, each worker building its own platform after the fork."""
    return [
        "-m", "gunicorn", "decision_service.app:served()",
        "--bind", _authority(found),
        "--workers", str(found.workers),
        "--worker-class", "gthread" if found.threads > 1 else "sync",
        "--threads", str(found.threads),
        "--keep-alive", str(KEEP_ALIVE_SECONDS),
        "--timeout", str(START_SECONDS),
        "--graceful-timeout", str(STOP_SECONDS),
        "--log-level", "warning",
        "--no-control-socket",
    ]  # fmt: skip


def _authority(found: Settings) -> str:
    host = f"[{found.host}]" if ":" in found.host and not found.host.startswith("[") else found.host
    return f"{host}:{found.port}"


def _sandbox(built: Platform, found: Settings) -> None:
    """A fresh key each time, because the old one cannot be shown again; the old one is revoked."""
    for entry in built.store.list_clients():
        if entry.client.name == SANDBOX and entry.revoked_at is None:
            built.store.revoke_client(entry.client.client_id, now())
    client, key = built.store.add_client(SANDBOX, "bank", now())
    click.echo(f"sandbox key: {key}")
    codes = built.store.uscc_list(1)
    if codes:
        click.echo("try, in another terminal:")
        click.echo(curl_line(found, key, codes[0]))


def curl_line(found: Settings, key: str, uscc: str) -> str:
    """One line that decides one application."""
    body = {
        "application_id": "SANDBOX-1",
        "product": "working_capital",
        "amount": "500000.00",
        "term_months": 12,
        "purpose": "working_capital",
        "authorization_id": "SANDBOX-AUTH-1",
        "enterprise": {"uscc": uscc},
    }
    headers = f"-H 'Authorization: Bearer {key}' -H 'Idempotency-Key: sandbox-1' -H 'Content-Type: application/json'"
    return f"curl -s http://{_authority(found)}/v1/decisions {headers} -d '{json.dumps(body)}'"
