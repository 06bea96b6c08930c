"""One platform for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.served import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("platform"))
    yield made
    made.platform.store.close()
