"""Stores to test with: SQLite in a temporary file, and a PostgreSQL server of our own where its programs exist."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, text

from decision_service.audit.merkle import EMPTY_ROOT
from decision_service.audit.signing import Signer
from decision_service.store import Store, upgrade
from decision_service.store.tables import LOG_HEAD, METADATA

NUMBERS = count()


@pytest.fixture(scope="session")
def signer() -> Signer:
    """A log key of this test run."""
    return Signer(Ed25519PrivateKey.generate())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A place for a SQLite store."""
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as the test run, with a migrated database ``template``."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL programs on this machine (initdb, postgres)")
    folder = Path(tempfile.mkdtemp(prefix="store-test-"))
    user = _unprivileged(folder)
    port = _free_port()
    server = _start(programs, folder, port, user)
    try:
        url = f"postgresql://tester@127.0.0.1:{port}/"
        _when_up(url + "postgres", server)
        _execute(url, "CREATE DATABASE template_store")
        upgrade(url + "template_store")
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        server.wait(timeout=30)
        shutil.rmtree(folder)


@pytest.fixture
def postgresql_url(postgresql: str) -> Iterator[str]:
    """A migrated PostgreSQL database of its own."""
    name = f"store_{next(NUMBERS)}"
    _execute(postgresql, f"CREATE DATABASE {name} TEMPLATE template_store")
    yield postgresql + name
    _execute(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A store's URL on each kind of database."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(scope="session")
def postgresql_store(postgresql: str) -> Iterator[Store]:
    """One PostgreSQL store for all tests that only fill it."""
    _execute(postgresql, "CREATE DATABASE shared TEMPLATE template_store")
    opened = Store.open(postgresql + "shared")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store on each kind of database."""
    opened: Store = request.getfixturevalue(f"{request.param}_store")
    if request.param == "postgresql":
        with opened._database.write() as connection:
            connection.execute(text("TRUNCATE " + ", ".join(METADATA.tables)))
            connection.execute(insert(LOG_HEAD).values(id=1, size=0, frontier=b"", root=EMPTY_ROOT))
        return Store(opened._database)  # one that remembers no acts, as a new process
    return opened


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """An empty store on SQLite."""
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()


def _programs() -> Path | None:
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _unprivileged(folder: Path) -> str | None:
    """PostgreSQL refuses to run as root: give the folder to a user who may."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, user)
    return user


def _start(programs: Path, folder: Path, port: int, user: str | None) -> "subprocess.Popen[bytes]":
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "user": user}
    initdb = [programs / "initdb", "-D", data, "-U", "tester", "--auth=trust", "--encoding=UTF8", "--no-locale", "-N"]
    subprocess.run(initdb, check=True, **quiet)
    options = ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    return subprocess.Popen([programs / "postgres", "-D", data, "-p", str(port), *options], **quiet)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _when_up(url: str, server: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        assert server.poll() is None, "the PostgreSQL server ended by itself"
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError("the PostgreSQL server does not answer")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url + "postgres", autocommit=True) as connection:
        connection.execute(statement)
