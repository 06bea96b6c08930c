"""Two models, one probability of default, perhaps a scorecard to fall back on; or why the score is unknown."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from decision_service.errors import ModelError
from decision_service.scoring.blend import blended, rounded
from decision_service.scoring.contributions import Explained
from decision_service.scoring.current import POLL_SECONDS, CurrentModels, Kept, Places
from decision_service.scoring.graph import GraphFailed
from decision_service.scoring.models import LstmModel, ScorecardModel, XgboostModel
from decision_service.scoring.reasons import reasons_of
from decision_service.scoring.registry import LoadedModel, ModelRegistry, ModelWithdrawn, NoRegistry, import_library
from decision_service.scoring.rows import feature_row
from decision_service.vocabulary import ModelVersion, ScoreReasons, Scores

Series = Sequence[Sequence[float | None]]
KEPT_VERSIONS = 32
Failures = tuple[type[ModelError], ...]


class Scorer:
    """Scores with the models an alias means. Loads on first use, so each forked worker has models of its own.

    Safe under threads. No method raises for a model that is missing, corrupt or failing unless it says so.
    """

    _ending: Failures = ()
    """What ends a score with an error instead of leaving it unknown."""

    def __init__(
        self,
        tracking_uri: str,
        *,
        alias: str = "champion",
        places: Places = lambda name: (),
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """``places`` tells, by a model's name, what it must fit; without it nothing but the version in force does."""
        self._tracking_uri = tracking_uri
        self._alias = alias
        self._places = places
        self._poll_seconds = poll_seconds
        self._start()

    def serving(self, places: Places) -> Scorer:
        """A scorer from the same registry and alias for other places."""
        return Scorer(self._tracking_uri, alias=self._alias, places=places, poll_seconds=self._poll_seconds)

    def behind(self, alias: str, names: Iterable[str]) -> tuple[ModelVersion, ...]:
        """The versions that another alias means now, verified and proven; raises ``ModelError``."""
        found = []
        for name in names:
            version = self._registry.state(name, alias).version
            if version is not None:
                found.append(self._recorded(name, version).identity)
        return tuple(found)

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._registry = ModelRegistry(self._tracking_uri)
        self._current: CurrentModels | None = None
        self._recorded = lru_cache(maxsize=KEPT_VERSIONS)(self._registry.load)

    def score(
        self,
        features: Mapping[str, Any],
        series: Series,
        mask: Sequence[bool],
        *,
        models: tuple[str, str],
        weights: tuple[Decimal, Decimal] | None,
        single_model_blend: str | None = None,
        fallback: str | None = None,
        contributions: bool = False,
    ) -> Scores:
        """Both models' calibrated 12-month PDs and their blend; unknown is ``None``, ``problems`` says why.

        ``models`` names the XGBoost and the LSTM model. ``features`` maps indicators (nan: missing) and
        ``industry_code``; ``series`` is months x series, oldest first. With one model unknown ``pd_12m`` is unknown
        unless ``single_model_blend`` names the other (``xgboost`` or ``lstm``), or ``fallback`` a scorecard.
        """
        names = models if fallback is None else (*models, fallback)
        kept = self._kept(names)  # once: all models as they are in force together
        sources = tuple(kept[name].in_force for name in names)
        scores = _scored(
            features, series, mask, sources=sources, weights=weights, single=single_model_blend, ending=self._ending
        )
        if not contributions or scores.pd_xgb is None:
            return scores
        model = kept[models[0]].in_force().model
        shares = model.contributions(features) if isinstance(model, XgboostModel) else {}
        return replace(scores, contributions=shares)

    def score_version(
        self,
        features: Mapping[str, Any],
        series: Series,
        mask: Sequence[bool],
        *,
        versions: Sequence[ModelVersion],
        weights: tuple[Decimal, Decimal] | None,
        single_model_blend: str | None = None,
    ) -> Scores:
        """Score again with the model versions a decision recorded; another digest than recorded is unknown."""
        sources: dict[type, Callable[[], LoadedModel]] = {}
        missing = []
        for version in versions:
            try:
                loaded = self._recorded_version(version)
                sources[type(loaded.model)] = lambda loaded=loaded: loaded  # type: ignore[misc]
            except ModelError as error:
                missing.append(error.text())
        every = [sources.get(XgboostModel, _not_recorded), sources.get(LstmModel, _not_recorded)]
        if ScorecardModel in sources:
            every.append(sources[ScorecardModel])
        scores = _scored(features, series, mask, sources=every, weights=weights, single=single_model_blend)
        return replace(scores, problems=tuple(missing) + scores.problems)

    def explained(self, version: ModelVersion, features: Mapping[str, Any]) -> Explained | None:
        """What one version of a tree model or scorecard makes of features; ``None`` for a series model or one that
        cannot be used."""
        try:
            model = self._recorded_version(version).model
            if isinstance(model, LstmModel):
                return None
            shares, calibration = model.contributions(features), model.spec.calibration
            if isinstance(model, XgboostModel):
                return Explained(version, shares, calibration)
            return Explained(version, shares, calibration, points_lost=model.points_lost(features))
        except ModelError:
            return None

    def reasons(
        self,
        features: Mapping[str, Any],
        series: Series,
        mask: Sequence[bool],
        *,
        versions: Sequence[ModelVersion],
        weights: tuple[Decimal, Decimal] | None,
        shares: bool = True,
    ) -> ScoreReasons | None:
        """Why ``pd_12m`` is what it is by the versions that gave it; ``None`` when one of them cannot be used.

        A scorecard among them stood in for the others; a model alone counts in full.
        """
        try:
            models = [self._recorded_version(version).model for version in versions]
            return reasons_of(models, features, series, mask, weights=weights, shares=shares)
        except ModelError:
            return None

    def columns(self, features: Mapping[str, Any], model: str) -> dict[str, float]:
        """The tree model's input of one enterprise by column, nan where missing; raises ``ModelError``."""
        loaded = self._in_force(model).model
        if not isinstance(loaded, XgboostModel):
            raise ModelError(f"{model} is not a tree model", remedy="name one of kind xgboost")
        return dict(zip(loaded.spec.columns, map(float, feature_row(features, loaded.spec)[0]), strict=True))

    def versions(self, names: Sequence[str]) -> tuple[ModelVersion, ...]:
        """The identities of those models that are in force now; ``problems`` tells of the others."""
        return tuple(kept.model.identity for kept in self._kept(names).values() if kept.model is not None)

    def problems(self, names: Sequence[str]) -> tuple[str, ...]:
        """What is wrong with the models now, also when an older version stays in force."""
        return tuple(kept.problem.text() for kept in self._kept(names).values() if kept.problem is not None)

    def standing(self, names: Sequence[str]) -> dict[str, Kept]:
        """Each model in force, if any, and what is wrong with it or with the version that should take its place."""
        return self._kept(names)

    def settled(self, names: Sequence[str]) -> dict[str, Kept]:
        """As ``standing``, once each is loaded, however long that takes: for work that no answer waits for.

        Without a model are only those that nobody registered or promoted. Raises ``ModelError`` for one that should be
        there and cannot be used.
        """
        found = self._models().settled(names)
        for one in found.values():
            if not isinstance(one.problem, ModelWithdrawn | NoRegistry):
                one.in_force()
        return found

    def holding(self, versions: Iterable[ModelVersion]) -> Scorer:
        """A scorer by these versions alone, loaded now, whatever the alias means. Raises ``ModelError`` for one that
        cannot be loaded; so does its ``score`` for one that fails, other than by what a row says."""
        return _Holding(self._tracking_uri, {one.name: Kept(self._recorded_version(one)) for one in versions})

    def _kept(self, names: Sequence[str]) -> dict[str, Kept]:
        return self._models().get(names)

    def _in_force(self, name: str) -> LoadedModel:
        return self._kept((name,))[name].in_force()

    def _models(self) -> CurrentModels:
        if os.getpid() != self._process:
            self._start()  # connections and library threads of the parent must not be used after a fork
        found = self._current
        if found is None:
            import_library()  # before the time runs that the registry has for its first answer
            with self._lock:
                found = self._current = self._current or CurrentModels(
                    self._registry, self._alias, places=self._places, poll_seconds=self._poll_seconds
                )
        return found

    def _recorded_version(self, version: ModelVersion) -> LoadedModel:
        kept = self._models().kept(version.name)
        if kept is not None and kept.identity == version:
            return kept
        loaded = self._recorded(version.name, version.version)
        if loaded.identity.digest != version.digest:
            where = f"{version.name} version {version.version}"
            remedy = "restore the registry of that time"
            raise ModelError(f"digest {loaded.identity.digest}, recorded {version.digest}", where=where, remedy=remedy)
        return loaded


class _Holding(Scorer):
    """A scorer whose models do not change."""

    _ending = (GraphFailed,)

    def __init__(self, tracking_uri: str, held: Mapping[str, Kept]) -> None:
        super().__init__(tracking_uri)
        self._held = held

    def _kept(self, names: Sequence[str]) -> dict[str, Kept]:
        return {name: self._held.get(name) or Kept() for name in names}


def _not_recorded() -> LoadedModel:
    raise ModelError("the decision recorded no such model")


def _scored(
    features: Mapping[str, Any],
    series: Series,
    mask: Sequence[bool],
    *,
    sources: Sequence[Callable[[], LoadedModel]],
    weights: tuple[Decimal, Decimal] | None,
    single: str | None,
    ending: Failures = (),
) -> Scores:
    problems: list[str] = []
    used: list[ModelVersion] = []
    noted: dict[str, Any] = {"used": used, "problems": problems, "ending": ending}
    by_features = _probability(sources[0], XgboostModel, (features,), **noted)
    by_series = _probability(sources[1], LstmModel, (series, mask), **noted)
    blend, status = _blend(by_features, by_series, weights=weights, single=single, problems=problems)
    if blend is None and None in (by_features, by_series) and len(sources) > 2:
        blend = _probability(sources[2], ScorecardModel, (features,), **noted)
        status = "unavailable" if blend is None else "fallback"
    return Scores(
        pd_xgb=None if by_features is None else rounded(by_features),
        pd_lstm=None if by_series is None else rounded(by_series),
        pd_12m=None if blend is None else rounded(blend),
        status=status,
        models=tuple(used),
        problems=tuple(problems),
        features=dict(features),
    )


def _probability(
    source: Callable[[], LoadedModel],
    kind: type[XgboostModel] | type[LstmModel] | type[ScorecardModel],
    arguments: tuple[Any, ...],
    *,
    used: list[ModelVersion],
    problems: list[str],
    ending: Failures,
) -> float | None:
    """One model's unrounded probability, or ``None`` with the reason noted; raises what is ``ending``."""
    where = kind.__name__
    try:
        loaded = source()
        where = f"{loaded.identity.name} version {loaded.identity.version}"
        if not isinstance(loaded.model, kind):
            raise ModelError("the model is of the other kind", remedy="correct the product's models")
        probability = loaded.model.probability(*arguments)
    except ModelError as error:
        told = type(error)(error.what, where=error.where or where, remedy=error.remedy)
        if isinstance(told, ending):
            raise told from error
        problems.append(told.text())
        return None
    used.append(loaded.identity)
    return probability


def _blend(
    by_features: float | None,
    by_series: float | None,
    *,
    weights: tuple[Decimal, Decimal] | None,
    single: str | None,
    problems: list[str],
) -> tuple[float | None, str]:
    """The unrounded blend and its status: ``ok``, ``single`` or ``unavailable``."""
    if by_features is not None and by_series is not None:
        try:
            if weights is None:
                raise ModelError("no blend weights are in force", remedy="add them to the industry or the product")
            return blended(by_features, by_series, weights), "ok"
        except ModelError as error:
            problems.append(error.text())
            return None, "unavailable"
    alone = {"xgboost": by_features, "lstm": by_series}.get(single or "")
    return (None, "unavailable") if alone is None else (alone, "single")
