"""Counters and histograms for Prometheus; one set per application, shared over worker processes when told to."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
CONTENT_TYPE = CONTENT_TYPE_LATEST
BATCHES = "/v1/decision-batches"
QUIET_SECONDS = 0.25
"""Without a request for so long, a process is taken to have none."""


class Metrics:
    """``shared`` is the folder through which worker processes add up, as prometheus_client knows it."""

    def __init__(self, shared: str | None = None) -> None:
        self._shared = shared
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("decision_http_requests", "Answered requests", labels, registry=self.registry)
        self.seconds = Histogram(
            "decision_http_request_seconds", "Time to answer", ("route",), buckets=SECONDS, registry=self.registry
        )
        self.decisions = Counter("decision_outcomes", "New decisions by outcome", ("outcome",), registry=self.registry)
        self.shadows = Counter(
            "decision_shadow_judgements",
            "Decisions that a shadow was held against, or why not",
            ("version", "status"),
            registry=self.registry,
        )
        self.flips = Counter(
            "decision_shadow_flips",
            "Decisions of which a shadow says another outcome",
            ("version", "active", "shadow"),
            registry=self.registry,
        )
        self.models = Gauge(
            "decision_model_in_force",
            "1 for the version of a model that scores now",
            ("model", "version"),
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.model_problems = Gauge(
            "decision_model_problem",
            "1 while a model is down, or a new version was refused and the one before goes on scoring",
            ("model",),
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.lines = Counter(
            "decision_batch_lines", "Lines of batches that are done", ("outcome",), registry=self.registry
        )
        self.away = Counter(
            "decision_turned_away",
            "Requests that were answered 429 unread: a quota was used up, or too many of the client waited",
            ("kind", "why"),
            registry=self.registry,
        )
        self.late = Gauge(
            "decision_repairs_late",
            "Records that were ruled wrong, and that their sources still deliver when their time is over",
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self.told_late = Gauge(
            "decision_repairs_told_late",
            "Repairs that sources told of later than three working days after them, within the last 30 days",
            registry=self.registry,
            multiprocess_mode="mostrecent",
        )
        self._answered_at = 0.0
        self._versions: dict[str, str] = {}
        self._outcomes: dict[str, Counter] = {}
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer; methods that HTTP does not know count as one, so that no caller can add series."""
        key = (method if method in METHODS else "other", route, status)
        series = self._series.get(key)
        if series is None:
            self._series[key] = series = (self.requests.labels(*key), self.seconds.labels(route))
        series[0].inc()
        series[1].observe(seconds)
        if route.startswith("/v1/") and not route.startswith(BATCHES):
            self._answered_at = time.monotonic()

    def is_busy(self) -> bool:
        """Whether requests come to this process now; those about batches and the state of the service do not count."""
        return time.monotonic() - self._answered_at < QUIET_SECONDS

    def turned_away(self, kind: str, why: str) -> None:
        """Count a request that was not looked at."""
        self.away.labels(kind, why).inc()

    def batched(self, outcome: str) -> None:
        """Count a line of a batch by its outcome, or as refused."""
        self.lines.labels(outcome).inc()

    def decided(self, outcome: str) -> None:
        """Count one new decision."""
        series = self._outcomes.get(outcome)
        if series is None:
            self._outcomes[outcome] = series = self.decisions.labels(outcome)
        series.inc()

    def shadowed(self, version: str, status: str, answered: str, said: str | None) -> None:
        """Count what a shadow says of one decision; ``None`` when the decision is left out."""
        self.shadows.labels(version, status).inc()
        if said is not None and said != answered:
            self.flips.labels(version, answered, said).inc()

    def model(self, name: str, version: str | None, problem: bool) -> None:
        """Note which version of a model scores now (``None``: none), and whether something is wrong with it."""
        before = self._versions.get(name)
        if before is not None and before != version:
            self.models.labels(name, before).set(0)
        if version is not None:
            self._versions[name] = version
            self.models.labels(name, version).set(1)
        self.model_problems.labels(name).set(int(problem))

    def repairs_late(self, count: int) -> None:
        """Note how many sources are late with what a ruling asks of them."""
        self.late.set(count)

    def repairs_told_late(self, count: int) -> None:
        """Note of how many repairs sources told too late."""
        self.told_late.set(count)

    def exposition(self) -> bytes:
        """The text format, over all workers."""
        if self._shared is None:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=self._shared)
        return generate_latest(registry)
