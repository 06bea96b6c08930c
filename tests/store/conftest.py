"""Stores to test with: SQLite in a temporary file, and a PostgreSQL server of our own where its programs exist."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, text

from bench.postgres import execute, programs, running
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
    place = programs()
    if place is None:
        pytest.skip("no PostgreSQL programs on this machine (initdb, postgres)")
    with running(place, durable=False) as url:
        execute(url, "CREATE DATABASE template_store")
        upgrade(url + "template_store")
        yield url


@pytest.fixture
def postgresql_url(postgresql: str) -> Iterator[str]:
    """A migrated PostgreSQL database of its own."""
    name = f"store_{next(NUMBERS)}"
    execute(postgresql, f"CREATE DATABASE {name} TEMPLATE template_store")
    yield postgresql + name
    execute(postgresql, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """A store's URL on each kind of database."""
    return request.getfixturevalue(f"{request.param}_url")


@pytest.fixture(scope="session")
def postgresql_store(postgresql: str) -> Iterator[Store]:
    """One PostgreSQL store for all tests that only fill it."""
    execute(postgresql, "CREATE DATABASE shared TEMPLATE template_store")
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
