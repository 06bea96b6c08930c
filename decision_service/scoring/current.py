"""Keeps the model behind an alias: picked up within seconds, a bad one refused and the old one kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from decision_service.errors import DecisionServiceError, ModelError
from decision_service.scoring.inputs import ModelInputs, check_fit, inputs_of
from decision_service.scoring.registry import LoadedModel, ModelRegistry, ModelWithdrawn

POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0  # before a version that was refused is tried again
FIRST_ANSWER_SECONDS = 3.0  # how long the first request waits for a remote registry to answer
NEXT_WAIT_SECONDS = 0.5  # how long later requests wait for it
LOAD_SECONDS = 30.0  # how long a request without a model waits while the answered version is being loaded

_LOG = logging.getLogger(__name__)

Places = Callable[[str], Iterable[ModelInputs]]
"""By a model's name: every place it is used in, as the rules in force say. Raises ``DecisionServiceError``."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the registry: ``answered`` once it named a version or failed, ``done`` once all is settled."""

    started: float
    patience: float
    asked_by: int
    answered: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class CurrentModel:
    """The model one alias means now. Looks at the registry when used, at most every ``poll_seconds``.

    The look happens in a thread of its own: a request that already has a model waits half a second for it at most,
    so a registry that hangs or is down costs nothing more, and the old model stays. Without a model, only the first
    look is waited for a little longer. An alias that was taken away withdraws the model. A version that does not fit
    all of its ``places`` (without any: that differs in kind or inputs from the version in force) is refused.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        name: str,
        alias: str,
        *,
        places: Places,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._name = name
        self._alias = alias
        self._places = places
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._looking: _Look | None = None
        self._looked_at = float("-inf")
        self._patience = LOAD_SECONDS if registry.local else FIRST_ANSWER_SECONDS
        self._loaded: LoadedModel | None = None
        self._refused: tuple[str, float, ModelError] | None = None
        self.problem: ModelError | None = None

    def get(self) -> LoadedModel:
        """The model in force; raises ``ModelError`` saying why there is none."""
        look = self.look()
        if look is not None:
            self._wait(look)
        loaded = self._loaded
        if loaded is None:
            remedy = "check the model registry"
            raise self.problem or ModelError("still loading", where=f"{self._name}@{self._alias}", remedy=remedy)
        return loaded

    def look(self) -> _Look | None:
        """Begin to look at the registry if it is time, without waiting; gives the look under way, if any."""
        if self._clock() - self._looked_at < self._poll_seconds:
            return None
        with self._lock:
            if self._looking is None:
                self._looking = _Look(self._clock(), self._patience, threading.get_ident())
                self._patience = NEXT_WAIT_SECONDS
                threading.Thread(target=self._refresh, args=(self._looking,), daemon=True).start()
            return self._looking

    def _wait(self, look: _Look) -> None:
        if self._loaded is not None:
            if look.asked_by == threading.get_ident():
                look.done.wait(NEXT_WAIT_SECONDS)
        elif look.answered.wait(self._left(look, look.patience)):
            look.done.wait(self._left(look, LOAD_SECONDS))

    def _left(self, look: _Look, seconds: float) -> float:
        return max(0.0, look.started + seconds - self._clock())

    def _refresh(self, look: _Look) -> None:
        try:
            version = self._registry.version_of(self._name, self._alias)
            look.answered.set()
            self._follow(version)
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
            look.answered.set()
            look.done.set()

    def _follow(self, version: str) -> None:
        if self._loaded is not None and self._loaded.identity.version == version:
            return
        if self._refused and self._refused[0] == version and self._clock() - self._refused[1] < RETRY_SECONDS:
            raise self._refused[2]
        try:
            self._loaded = self._fitting(version)
        except ModelError as error:
            self._refused = (version, self._clock(), error)
            raise
        self._refused = None

    def _fitting(self, version: str) -> LoadedModel:
        """The version as a model that can be used where its name stands."""
        loaded = self._registry.load(self._name, version)
        where = f"{self._name} version {version}"
        try:
            places = tuple(self._places(self._name))
            if not places and self._loaded is not None:
                places = (inputs_of(self._loaded.model),)
            check_fit(loaded.model, places)
        except DecisionServiceError as error:
            raise ModelError(error.what, where=where, remedy=error.remedy) from error
        return loaded

    def _note(self, error: ModelError) -> None:
        if self.problem is None or self.problem.text() != error.text():
            kept = f"; version {self._loaded.identity.version} stays in force" if self._loaded else ""
            _LOG.warning("%s%s", error.text(), kept)
        self.problem = error
