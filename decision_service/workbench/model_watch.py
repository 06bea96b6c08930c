"""Watching the models in use, also while nobody asks for a decision: a new version is loaded beside the requests."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from decision_service.audit.act import MODEL_SWITCHED, NOTICE, NewAct
from decision_service.decide import Platform
from decision_service.errors import DecisionServiceError
from decision_service.vocabulary import ModelVersion

EVERY_SECONDS = 1.0
Told = Callable[[str, str | None, bool], None]
"""Is told of each model in use: its name, the version in force if any, whether something is wrong."""

log = logging.getLogger(__name__)


class ModelWatch:
    """Looks each second, in a thread of its own for as long as the process lives; the registry is asked less often."""

    def __init__(self, platform: Platform, told: Told, clock: Callable[[], datetime]) -> None:
        self._platform = platform
        self._told = told
        self._clock = clock
        self._seen: dict[str, ModelVersion] = {}
        self._end = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self.watch, name="models", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._end.set()

    def watch(self) -> None:
        """Look until stopped."""
        failed = ""
        while not self._end.wait(EVERY_SECONDS):
            try:
                self.look()
                failed = ""
            except DecisionServiceError as error:  # no rules or no store: requests tell, too
                if failed != (failed := str(error)):
                    log.error("the models in use are not known: %s", error)

    def look(self) -> None:
        """Once. Raises what ``Policies.current`` raises."""
        names = self._platform.policies.current().models
        for name, kept in self._platform.scorer.standing(names).items():
            version = None if kept.model is None else kept.model.identity.version
            self._told(name, version, kept.problem is not None)
            if kept.model is not None:
                self._note(name, kept.model.identity)

    def _note(self, name: str, present: ModelVersion) -> None:
        """Tell in the log, once for all workers, of a version that has taken the place of another."""
        before = self._seen.get(name)
        if before == present:
            return
        store = self._platform.store
        notices = [one for one in store.acts(NOTICE, name) if one.how == MODEL_SWITCHED]
        # Of what was switched while nothing ran, the last notice knows; before the first, nobody does.
        known = notices[-1].details["version"] if notices else before and before.version
        if known not in (None, present.version):
            details = {"model": name, "version_before": known, "version": present.version, "digest": present.digest}
            once = f"{MODEL_SWITCHED}:{name}:{len(notices)}"
            new = NewAct(MODEL_SWITCHED, self._clock(), details=details, once=once)
            store.notice(name, new, self._platform.signer.receipt)
        self._seen[name] = present
