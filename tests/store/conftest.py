"""Stores to test with: SQLite in a temporary file, and PostgreSQL where its programs exist."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, text

from bench.postgres import execute
from decision_service.audit.merkle import EMPTY_ROOT
from decision_service.audit.signing import Signer
from decision_service.store import Store
from decision_service.store.tables import LOG_HEAD, METADATA


@pytest.fixture(scope="session")
def signer() -> Signer:
    """A log key of this test run."""
    return Signer(Ed25519PrivateKey.generate())


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A place for a SQLite store."""
    return f"sqlite:///{tmp_path}/store.db"


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
