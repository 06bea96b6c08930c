"""A PostgreSQL server of one's own, from the programs on this machine, for benchmarks and tests."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.http import free_port


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`, if they are installed."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


@contextmanager
def running(place: Path, *, durable: bool) -> Iterator[str]:
    """The URL of a new server, without a database's name, until the block ends. ``durable`` writes through to disk."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    user, port = _unprivileged(folder), free_port()
    server = _start(place, folder, port, user, durable)
    try:
        url = f"postgresql://tester@127.0.0.1:{port}/"
        _when_up(url + "postgres", server)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        server.wait(timeout=30)
        shutil.rmtree(folder)


def execute(url: str, statement: str) -> None:
    """Run a statement on the server itself, outside of any transaction."""
    with psycopg.connect(url + "postgres", autocommit=True) as connection:
        connection.execute(statement)


def _unprivileged(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: give the folder to a user who may."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, user)
    return user


def _start(place: Path, folder: Path, port: int, user: str | None, durable: bool) -> subprocess.Popen[bytes]:
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "user": user}
    initdb = [place / "initdb", "-D", data, "-U", "tester", "--auth=trust", "--encoding=UTF8", "--no-locale", "-N"]
    subprocess.run(initdb, check=True, **quiet)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
    options += [] if durable else ["-c", "fsync=off"]
    return subprocess.Popen([place / "postgres", "-D", data, "-p", str(port), *options], **quiet)


def _when_up(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if server.poll() is not None:
            raise RuntimeError("the PostgreSQL server ended by itself")
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise RuntimeError("the PostgreSQL server does not answer")
