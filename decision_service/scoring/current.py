"""Keeps the model behind an alias: picked up within seconds, a bad one refused and the old one kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from decision_service.errors import ModelError
from decision_service.scoring.registry import LoadedModel, ModelRegistry, ModelWithdrawn

POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0  # before a version that was refused is tried again
FIRST_WAIT_SECONDS = 60.0
NEXT_WAIT_SECONDS = 0.5  # how long a request waits for the registry while it holds an older model

_LOG = logging.getLogger(__name__)


class CurrentModel:
    """The model one alias means now. Looks at the registry when used, at most every ``poll_seconds``.

    The look happens in a thread of its own: a request that already has a model waits half a second for it at most,
    so a registry that hangs or is down costs nothing more, and the old model stays. An alias that was taken away
    withdraws the model.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        name: str,
        alias: str,
        *,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._name = name
        self._alias = alias
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._looking: threading.Event | None = None
        self._looked_at = float("-inf")
        self._loaded: LoadedModel | None = None
        self._refused: tuple[str, float, ModelError] | None = None
        self.problem: ModelError | None = None

    def get(self) -> LoadedModel:
        """The model in force; raises ``ModelError`` saying why there is none."""
        if self._clock() - self._looked_at >= self._poll_seconds:
            self._look()
        loaded = self._loaded
        if loaded is None:
            remedy = "check the model registry"
            raise self.problem or ModelError("still loading", where=f"{self._name}@{self._alias}", remedy=remedy)
        return loaded

    def _look(self) -> None:
        with self._lock:
            mine = self._looking is None
            if mine:
                self._looking = threading.Event()
                threading.Thread(target=self._refresh, args=(self._looking,), daemon=True).start()
            done = self._looking
        assert done is not None
        if self._loaded is None:
            done.wait(FIRST_WAIT_SECONDS)
        elif mine:
            done.wait(NEXT_WAIT_SECONDS)

    def _refresh(self, done: threading.Event) -> None:
        try:
            self._follow(self._registry.version_of(self._name, self._alias))
            self.problem = None
        except ModelWithdrawn as error:
            self._loaded = None
            self._note(error)
        except ModelError as error:
            self._note(error)
        finally:
            self._looked_at = self._clock()
            with self._lock:
                self._looking = None
            done.set()

    def _follow(self, version: str) -> None:
        if self._loaded is not None and self._loaded.identity.version == version:
            return
        if self._refused and self._refused[0] == version and self._clock() - self._refused[1] < RETRY_SECONDS:
            raise self._refused[2]
        try:
            self._loaded = self._registry.load(self._name, version)
        except ModelError as error:
            self._refused = (version, self._clock(), error)
            raise
        self._refused = None

    def _note(self, error: ModelError) -> None:
        if self.problem is None or self.problem.text() != error.text():
            kept = f"; version {self._loaded.identity.version} stays in force" if self._loaded else ""
            _LOG.warning("%s%s", error.text(), kept)
        self.problem = error
