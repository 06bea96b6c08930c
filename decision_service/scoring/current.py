"""Keeps the models behind an alias: new versions picked up within seconds, all at one moment; bad ones refused."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from decision_service.errors import DecisionServiceError, ModelError
from decision_service.scoring.inputs import ModelInputs, check_fit, inputs_of
from decision_service.scoring.promotions import Together
from decision_service.scoring.registry import LoadedModel, ModelRegistry, ModelWithdrawn

POLL_SECONDS = 2.0
RETRY_SECONDS = 30.0  # before a version that was refused is tried again
FIRST_ANSWER_SECONDS = 3.0  # how long the first request waits for a remote registry to answer
NEXT_WAIT_SECONDS = 0.5  # how long later requests wait for it
LOAD_SECONDS = 30.0  # how long a request without a model waits while the answered version is being loaded
SETTLE_SECONDS = 600.0  # how long work that no answer waits for gives the models to load
FINISH_SECONDS = 1.0  # how long a promotion of several models may be on its way before that is a problem
AGAIN_SECONDS = 0.1

_LOG = logging.getLogger(__name__)

Places = Callable[[str], Iterable[ModelInputs]]
"""By a model's name: every place it is used in, as the rules in force say. Raises ``DecisionServiceError``."""


class StillLoading(ModelError):
    """It is not known yet whether there is a model."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A name's model in force, if any, and what is wrong with the version that its alias means."""

    model: LoadedModel | None = None
    problem: ModelError | None = None

    def in_force(self) -> LoadedModel:
        """The model; raises ``ModelError`` saying why there is none."""
        if self.model is None:
            raise self.problem or ModelError("there is no model", remedy="check the model registry")
        return self.model


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the registry: ``answered`` once it named the versions or failed, ``done`` once all is settled."""

    names: frozenset[str]
    started: float
    patience: float
    asked_by: int
    answered: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)


class CurrentModels:
    """The models that one alias means now. Looks at the registry when used, at most every ``poll_seconds``.

    One look reads all names at one moment of the registry, and what came of it takes the place of what was kept in one
    step: whoever gets several models gets versions that were in force together. Models promoted together are taken
    over together or not at all.

    The look happens in a thread of its own: a request that already has its models waits half a second for it at most,
    so a registry that hangs or is down costs nothing more, and the old models stay. Without a model, only the first
    look is waited for a little longer. An alias that was taken away withdraws the model. A version that does not fit
    all of its ``places`` (without any: that differs in kind or inputs from the version in force) is refused.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        alias: str,
        *,
        places: Places,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._alias = alias
        self._places = places
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._looking: _Look | None = None
        self._looked_at = float("-inf")
        self._newest: _Look | None = None
        self._first_patience = LOAD_SECONDS if registry.local else FIRST_ANSWER_SECONDS
        self._names: frozenset[str] = frozenset()
        self._kept: Mapping[str, Kept] = {}
        self._refused: dict[tuple[str, str], tuple[float, ModelError]] = {}

    def get(self, names: Sequence[str]) -> dict[str, Kept]:
        """The models of these names as they are in force together."""
        look = self.look(names)
        if look is not None:
            self._wait(look, names)
        kept = self._kept
        return {name: kept.get(name) or self._loading(name) for name in names}

    def settled(self, names: Sequence[str]) -> dict[str, Kept]:
        """As ``get``, once it is known of every model whether it is there; raises ``ModelError`` after ten minutes."""
        until = self._clock() + SETTLE_SECONDS
        while True:
            found = self.get(names)
            unknown = [one.problem for one in found.values() if isinstance(one.problem, StillLoading)]
            if not unknown:
                return found
            if self._clock() >= until:
                what = f"still loading after {SETTLE_SECONDS:.0f} seconds"
                raise ModelError(what, where=unknown[0].where, remedy=unknown[0].remedy)
            time.sleep(AGAIN_SECONDS)

    def kept(self, name: str) -> LoadedModel | None:
        """The model that is kept of a name, if any, without looking."""
        return self._kept.get(name, Kept()).model

    def look(self, names: Iterable[str]) -> _Look | None:
        """Begin to look at the registry if it is time, without waiting; gives the look under way, if any."""
        known = self._names.issuperset(names)
        if known and self._clock() - self._looked_at < self._poll_seconds:
            return None
        with self._lock:
            if self._looking is None or not self._looking.names.issuperset(names):
                self._names = self._names.union(names)
                patience = NEXT_WAIT_SECONDS if known else self._first_patience
                self._looking = self._newest = _Look(self._names, self._clock(), patience, threading.get_ident())
                threading.Thread(target=self._refresh, args=(self._looking,), daemon=True).start()
            return self._looking

    def _wait(self, look: _Look, names: Sequence[str]) -> None:
        if all(self._kept.get(name, Kept()).model for name in names):
            if look.asked_by == threading.get_ident():
                look.done.wait(NEXT_WAIT_SECONDS)
        elif look.answered.wait(self._left(look, look.patience)):
            look.done.wait(self._left(look, LOAD_SECONDS))

    def _left(self, look: _Look, seconds: float) -> float:
        return max(0.0, look.started + seconds - self._clock())

    def _loading(self, name: str) -> Kept:
        where = f"{name}@{self._alias}"
        return Kept(problem=StillLoading("still loading", where=where, remedy="check the model registry"))

    def _refresh(self, look: _Look) -> None:
        try:
            self._adopt(look, self._found(look))
        finally:
            with self._lock:
                if self._newest is look:
                    self._looked_at, self._looking = self._clock(), None
            look.answered.set()
            look.done.set()

    def _found(self, look: _Look) -> Mapping[str, Kept]:
        try:
            groups = self._settled(look)
        except ModelError as error:
            return {name: self._failing(name, error) for name in look.names}
        look.answered.set()
        return {name: kept for group in groups for name, kept in self._follow(group).items()}

    def _adopt(self, look: _Look, found: Mapping[str, Kept]) -> None:
        """Put all in force in one step; a look that a newer one overtook leaves it to that."""
        with self._lock:
            newest = self._newest
            if newest is look:
                self._note(found)
                self._kept = {**self._kept, **found}
        if newest is not None and newest is not look:
            newest.done.wait(LOAD_SECONDS)

    def _settled(self, look: _Look) -> tuple[Together, ...]:
        """What to serve; a promotion of several models that is on its way gets a moment to end."""
        while True:
            groups = self._registry.in_force(sorted(look.names), self._alias)
            moving = any(group.unfinished for group in groups)
            if not moving or self._left(look, FINISH_SECONDS) == 0.0:
                return groups
            time.sleep(AGAIN_SECONDS)

    def _failing(self, name: str, error: ModelError) -> Kept:
        """What is kept while the registry does not say what to serve."""
        told = type(error)(error.what, where=f"{name}@{self._alias}", remedy=error.remedy)
        return Kept(self.kept(name), told)

    def _follow(self, group: Together) -> dict[str, Kept]:
        """What to keep of models that move together: all of the wanted versions, or what was there."""
        problem = self._unfinished(group)
        try:
            return {name: self._wanted(name, version, problem) for name, version in group.wanted.items()}
        except ModelError as error:
            refused = error
        if not group.before or all(self.kept(name) for name in group.wanted):
            return {name: Kept(self.kept(name), refused) for name in group.wanted}
        try:
            return {name: self._wanted(name, version, refused) for name, version in group.before.items()}
        except ModelError:
            return {name: Kept(self.kept(name), refused) for name in group.wanted}

    def _unfinished(self, group: Together) -> ModelError | None:
        if group.unfinished is None:
            return None
        what = f"the promotion of {_versions(group.unfinished.members)} together did not end"
        remedy = "run it again, or: python -m ml rollback; until then the versions before it decide"
        return ModelError(what, where=f"@{self._alias}", remedy=remedy)

    def _wanted(self, name: str, version: str | None, problem: ModelError | None) -> Kept:
        """A version as it is to be kept; raises ``ModelError`` when it cannot be used."""
        if version is None:
            what = f"no version stands behind the alias {self._alias}"
            withdrawn = ModelWithdrawn(what, where=f"{name}@{self._alias}", remedy="check the model registry")
            return Kept(problem=problem or withdrawn)
        model = self.kept(name)
        if model is not None and model.identity.version == version:
            return Kept(model, problem)
        at, refused = self._refused.get((name, version), (float("-inf"), None))
        if refused is not None and self._clock() - at < RETRY_SECONDS:
            raise refused
        try:
            return Kept(self._fitting(name, version), problem)
        except ModelError as error:
            self._refused[name, version] = self._clock(), error
            raise

    def _fitting(self, name: str, version: str) -> LoadedModel:
        """The version as a model that can be used where its name stands."""
        loaded = self._registry.load(name, version)
        where = f"{name} version {version}"
        try:
            places = tuple(self._places(name))
            before = self.kept(name)
            if not places and before is not None:
                places = (inputs_of(before.model),)
            check_fit(loaded.model, places)
        except DecisionServiceError as error:
            raise ModelError(error.what, where=where, remedy=error.remedy) from error
        return loaded

    def _note(self, found: Mapping[str, Kept]) -> None:
        """Tell what is new: a takeover, or something that goes wrong, once."""
        for name, kept in found.items():
            was = self._kept.get(name, Kept())
            if kept.model is not None and kept.model is not was.model:
                _LOG.info("%s version %s is in force", name, kept.model.identity.version)
            if kept.problem is not None and (was.problem is None or was.problem.text() != kept.problem.text()):
                stays = f"; {name} version {kept.model.identity.version} stays in force" if kept.model else ""
                _LOG.warning("%s%s", kept.problem.text(), stays)


def _versions(members: Mapping[str, str]) -> str:
    return " and ".join(f"{name} version {version}" for name, version in members.items())
