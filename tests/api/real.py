"""A real platform on a small store: the showcase firms, the shipped rules, models whose scores are fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from decision_service.audit.signing import Signer
from decision_service.decide import Platform
from decision_service.policy import Policies
from decision_service.radar.intake import load_feeds
from decision_service.rulebook.files import load
from decision_service.scoring.contributions import Explained
from decision_service.scoring.current import Kept
from decision_service.scoring.registry import LoadedModel, ModelWithdrawn
from decision_service.scoring.spec import Calibration
from decision_service.store import Store
from decision_service.vocabulary import ModelVersion, ScoreReason, ScoreReasons, Scores
from ml.city_commands import place_of
from ml.feeds import write_city
from ml.showcase import showcase
from tests.releasing import activate

RULES = Path(__file__).parents[2] / "rules"
VERSION = ModelVersion("pd-fixed", "1", "sha256:00")
SHARES = {"debt_to_asset_ratio": -0.5, "max_overdue_days_24m": 0.25, "base": -1.0}  # the second is of openness level 3
REASONS = ScoreReasons(
    base=-2.0,
    shares={"pd_xgb.max_overdue_days_24m": 1.0, "pd_xgb.industry": -0.25, "pd_lstm.sales.level": 0.5}
    | {"pd_lstm.sales.months_1_3": 1.25, "pd_lstm.history": -0.125},
    stated=(
        ScoreReason("pd_xgb", "max_overdue_days_24m", 1.5, 40.0, 0.0),
        ScoreReason("pd_lstm", "sales", 0.75, 120000.0, 250000.5, -0.5, 0.031),
        ScoreReason("pd_xgb", "debt_to_asset_ratio", 0.5, None, 51.7093505859375),
        ScoreReason("pd_xgb", "industry", 0.25, "F", "C"),
    ),
)
CALIBRATION = Calibration(slope=2.0, offset=-3.306138, base_rate=0.03)  # from the margin -1.25 to 0.003


@dataclass
class FixedScorer:
    """Two models that always say the same; ``pd`` is ``None`` when they are down."""

    pd: Decimal | None = Decimal("0.003000")
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    in_force: ModelVersion = VERSION

    def score(self, features: Any, series: Any, mask: Any, **options: Any) -> Scores:
        if self.pd is None:
            return Scores(problems=("down",))
        return Scores(self.pd, self.pd, self.pd, "ok", (VERSION,), features=dict(features))

    def score_version(self, features: Any, series: Any, mask: Any, **options: Any) -> Scores:
        return self.score(features, series, mask)

    def contributions(self, features: Mapping[str, Any], model: str) -> dict[str, float]:
        return self.shares

    def explained(self, version: ModelVersion, features: Mapping[str, Any]) -> Explained | None:
        return Explained(version, self.shares, CALIBRATION) if version == VERSION else None

    def reasons(self, features: Any, series: Any, mask: Any, **options: Any) -> ScoreReasons | None:
        return REASONS if options["versions"] == (VERSION,) else None

    def versions(self, names: Any) -> tuple[ModelVersion, ...]:
        return (VERSION,) if self.pd is not None else ()

    def settled(self, names: Any) -> dict[str, Kept]:
        if self.pd is None:
            return {name: Kept(problem=ModelWithdrawn("down")) for name in names}
        return {name: Kept(LoadedModel(VERSION, self)) for name in names}  # type: ignore[arg-type]

    def standing(self, names: Any) -> dict[str, Kept]:
        return {name: Kept(LoadedModel(self.in_force, self)) for name in names}  # type: ignore[arg-type]

    def holding(self, versions: Any) -> FixedScorer:
        return self

    def problems(self, names: Any) -> tuple[str, ...]:
        return () if self.pd is not None else ("down",)


def write_feeds(folder: Path, now: datetime | None = None) -> dict[str, dict[str, Any]]:
    """Feed files of the showcase firms as of a moment; gives the showcase entries by key."""
    place = place_of(7, None, RULES, now=now or datetime.now(UTC))
    firms, entries = showcase(place)
    write_city(folder, firms, place)
    return {str(entry["key"]): entry for entry in entries}


def deliver(platform: Platform, folder: Path, now: datetime) -> None:
    """The same firms, as they are reported at a later moment."""
    write_feeds(folder, now)
    assert load_feeds([folder], platform.store, now=now).problem_count == 0


def open_platform(home: Path, scorer: Any, feeds: Path | None = None, url: str | None = None) -> Platform:
    """A platform under ``home`` with the shipped rules active and, if given, the feeds loaded."""
    signer = Signer.open(home / "log-key.pem")
    store = Store.open(url or f"sqlite:///{home}/decisions.db", signer.public.receipt_is_valid)
    now = datetime.now(UTC)
    ruleset = load(RULES)
    store.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, now)
    activate(store, ruleset.digest, signer, now=now)
    if feeds is not None:
        assert load_feeds([feeds], store, now=now).problem_count == 0
    return Platform(store, Policies(store), scorer, signer, "test")
