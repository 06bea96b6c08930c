"""A ruleset made ready to decide: its rules and parameters in force, both engines, the portrait's tables."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from decision_service.errors import AuditError, DecisionServiceError, EngineError, NotFound, Problem, RulebookError
from decision_service.portrait.lists import Lists
from decision_service.portrait.registry import Registry
from decision_service.portrait.seasons import Seasons
from decision_service.portrait.series import SERIES, WINDOW
from decision_service.portrait.snapshot import SHANGHAI, feature_names
from decision_service.rulebook.durable_engine import DurableEngine
from decision_service.rulebook.evaluate import ReferenceEngine
from decision_service.rulebook.facts import Facts
from decision_service.rulebook.files import load_sources
from decision_service.rulebook.rules import Stage, StageResult
from decision_service.rulebook.ruleset import Ruleset, RulesInForce, digest_of
from decision_service.scoring.inputs import ModelInputs
from decision_service.store import InForce, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One stage by both engines: the reference's result, and what went wrong between the two, if anything."""

    result: StageResult
    alarm: str | None = None  # None | ENGINE_MISMATCH | ENGINE_FAILED
    detail: str = ""


class Evaluator(Protocol):
    """What decides which rules of a stage match; ``reference`` says what they mean."""

    reference: ReferenceEngine

    def evaluate(self, stage: Stage, facts: Facts) -> Verdict:
        """The rules of one stage over facts."""


class Engines:
    """The two engines over one set of rules; durable-rules unloads them when nobody decides by them any more."""

    def __init__(self, rules: RulesInForce) -> None:
        self.reference = ReferenceEngine(rules)
        self.durable = DurableEngine(rules)
        weakref.finalize(self, self.durable.close).atexit = False

    def evaluate(self, stage: Stage, facts: Facts) -> Verdict:
        """Both engines on one stage; the reference defines the meaning, any difference raises an alarm."""
        result = self.reference.evaluate(stage, facts)
        try:
            second = self.durable.evaluate(stage, facts)
        except EngineError as error:
            return Verdict(result, "ENGINE_FAILED", str(error))
        if second != result:
            return Verdict(result, "ENGINE_MISMATCH", f"{stage.value}: reference {result}, durable-rules {second}")
        return Verdict(result)


class PolicyInForce:
    """What is in force on one business date: the rules with their parameters, and the engines that evaluate them."""

    def __init__(self, rules: RulesInForce, engines: Evaluator) -> None:
        self.rules = rules
        self.engines = engines
        self._decoded: dict[tuple[str, str | None], dict[str, Any]] = {}

    def parameters(self, product: str, industry_code: str | None) -> dict[str, Any]:
        """Parameters in force as the portrait reads them: decimals, choices, flags by fact name."""
        key = (product, industry_code if self.rules.industry_status(industry_code) == "covered" else None)
        found = self._decoded.get(key)
        if found is None:
            catalogue = self.rules.catalogue
            exact = self.rules.parameters(*key)
            found = self._decoded[key] = {name: catalogue.decode(name, value) for name, value in exact.items()}
        return found


def portrait_mistakes(sources: Mapping[str, str]) -> Iterator[Problem]:
    """Mistakes in the rule files that the portrait reads; files that are missing are not its matter."""
    readers: Mapping[str, Callable[[str], Any]] = {
        "indicators.csv": Registry.from_csv,
        "industries.csv": Seasons.from_csv,
        "lists.yaml": Lists.from_yaml,
    }
    for path, read in readers.items():
        try:
            read(sources.get(path) or "")
        except RulebookError as error:
            yield from error.problems if path in sources else ()


class Policy:
    """One immutable ruleset version. Engines are compiled once per distinct set of rules in force, not per date.

    Two clients' rules may share an id, so sets of rules are told apart by the rules' names.
    """

    DAYS_KEPT = 64

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.registry = Registry.from_csv(ruleset.sources["indicators.csv"], ruleset.sources["industries.csv"])
        self.lists = Lists.from_yaml(ruleset.sources["lists.yaml"])
        self._engines: dict[tuple[str, ...], Engines] = {}
        self._days: dict[tuple[date, str], PolicyInForce] = {}
        self._lock = threading.Lock()

    def on(self, day: date, client: str = "") -> PolicyInForce:
        """What is in force on a business date (Asia/Shanghai) for a client; ``""`` is one without an overlay."""
        key = day, client if client in self.ruleset.overlays else ""
        found = self._days.get(key)
        if found is None:
            with self._lock:
                found = self._days.get(key) or self._compile(*key)
        return found

    def prepare(self, day: date) -> None:
        """Compile what is in force on a date for everybody now, so that no request waits for it.

        Raises ``EngineError`` for rules that durable-rules cannot hold.
        """
        for client in ("", *self.ruleset.overlays):
            self.on(day, client)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of all models in use, sorted."""
        products = self.ruleset.products.values()
        return tuple(sorted({name for product in products for name in product.models}))

    def model_inputs(self, name: str) -> tuple[ModelInputs, ...]:
        """What every product that names this model delivers to it."""
        found = []
        for product in self.ruleset.products.values():
            if product.xgb_model == name:
                found.append(ModelInputs("xgboost", feature_names(product.name, self.registry)))
            if product.lstm_model == name:
                found.append(ModelInputs("lstm", SERIES, WINDOW))
            if product.scorecard_model == name:
                found.append(ModelInputs("scorecard", feature_names(product.name, self.registry)))
        return tuple(found)

    def _compile(self, day: date, client: str) -> PolicyInForce:
        rules = self.ruleset.in_force(day, client)
        names = tuple(rule.name for stage in Stage for rule in rules.rules(stage))
        if names not in self._engines:
            self._engines[names] = Engines(rules)
        if len(self._days) >= self.DAYS_KEPT * (1 + len(self.ruleset.overlays)):
            self._days.pop(next(iter(self._days)))
        self._days[day, client] = PolicyInForce(rules, self._engines[names])
        return self._days[day, client]

    def close(self) -> None:
        """Unload the rules from durable-rules, which never frees them by itself."""
        with self._lock:
            for engines in self._engines.values():
                engines.durable.close()
            self._engines.clear()
            self._days.clear()


def stored_texts(store: Store, digest: str) -> Mapping[str, str]:
    """The files of a stored ruleset by path. Raises ``NotFound``, ``AuditError`` when they are not its digest's."""
    sources = store.ruleset_sources(digest)
    if sources is None:
        raise NotFound(f"ruleset {digest} is not in the store", remedy="run: decision-service rules list")
    if digest_of(sources) != digest:
        remedy = "restore it from a backup; audit verify tells what else is damaged"
        raise AuditError(f"the stored ruleset {digest} has been changed", remedy=remedy)
    return sources


class Policies:
    """The rulesets of a store: the active one, and any earlier one by digest (for replay).

    A ruleset that becomes active, or will, is prepared beside the requests. While that lasts, but for no longer than
    ``GRACE`` after the switch, the one before goes on deciding; then requests wait. Beside those that decide or will,
    the ``OTHERS_KEPT`` used last stay in memory; a decision in flight keeps its own.
    """

    POLL_SECONDS = 1.0
    GRACE = timedelta(seconds=2)
    OTHERS_KEPT = 4

    def __init__(self, store: Store, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock
        self._loaded: dict[str, Policy] = {}
        self._used_at: dict[str, float] = {}
        self._begun: set[str] = set()
        self._lock = threading.Lock()
        self._in_force = InForce()
        self._served: str | None = None
        self._asked_at = -1e9

    def current(self) -> Policy:
        """The active policy; a change by any process is seen within ``POLL_SECONDS`` and followed after ``GRACE``.

        Raises ``NotFound`` without one, ``AuditError`` when its stored texts were changed.
        """
        if self._in_force.digest is None or time.monotonic() - self._asked_at > self.POLL_SECONDS:
            self._ask()
        digest, since = self._in_force.digest, self._in_force.since
        if digest is None or since is None:
            raise NotFound("no ruleset is active", remedy="run: decision-service rules activate rules")
        if digest not in self._loaded and self._may_go_on(since):
            digest = str(self._served)
        policy = self.by_digest(digest)
        self._served = digest
        return policy

    def forget(self) -> None:
        """Ask the store again at the next call and follow at once, without waiting for poll or grace."""
        self._in_force, self._served = InForce(), None

    def model_inputs(self, name: str) -> tuple[ModelInputs, ...]:
        """What the active rules deliver to a model of this name; raises as ``current``."""
        return self.current().model_inputs(name)

    def by_digest(self, digest: str) -> Policy:
        """A stored policy by its ruleset's digest; raises ``NotFound``."""
        found = self._loaded.get(digest)
        if found is None:
            with self._lock:
                found = self._loaded.get(digest) or self._keep(digest, self._load(digest))
        self._used_at[digest] = time.monotonic()
        return found

    def _may_go_on(self, since: datetime) -> bool:
        """Whether the version served last may be served a moment longer: it was the active one until just now."""
        was_active = self._served in self._loaded and self._served == self._in_force.before
        return was_active and self._clock() < since + self.GRACE

    def _ask(self) -> None:
        """Learn what is active and what is next; what is not loaded yet is prepared beside the requests."""
        self._in_force = self._store.in_force(self._clock())
        self._asked_at = time.monotonic()
        if self._served is None:
            return  # nobody can be served meanwhile: the caller loads it
        following = [digest for digest, _ in self._in_force.coming[:1]]
        for digest in (self._in_force.digest, *following):
            if digest is not None and digest not in self._loaded and digest not in self._begun:
                self._begun.add(digest)
                threading.Thread(target=self._prepare, args=(digest,), name="next rules", daemon=True).start()

    def _prepare(self, digest: str) -> None:
        try:
            with self._lock:
                if digest not in self._loaded:
                    policy = self._load(digest)
                    policy.prepare(self._clock().astimezone(SHANGHAI).date())
                    self._keep(digest, policy)
        except DecisionServiceError as error:
            log.error("ruleset %s is or becomes active and cannot be used: %s", digest, error)

    def _keep(self, digest: str, policy: Policy) -> Policy:
        """Keep a policy, and let go those that neither decide nor will, but for the ones used last."""
        self._loaded[digest] = policy
        coming = [one for one, _ in self._in_force.coming[:1]]
        needed = {digest, self._in_force.digest, self._served, *coming}
        others = sorted(set(self._loaded) - needed, key=lambda one: self._used_at.get(one, 0.0))
        for one in others[: max(0, len(others) - self.OTHERS_KEPT)]:
            del self._loaded[one]
            self._used_at.pop(one, None)
            self._begun.discard(one)
        return policy

    def _load(self, digest: str) -> Policy:
        return Policy(load_sources(stored_texts(self._store, digest)))
