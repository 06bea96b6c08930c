"""Fits a scorecard: optimal bins, weights of evidence, logistic regression with sign checks, points a person can read.

Bins and regression are optbinning's and scikit-learn's; what is served is read out of them and held against them.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from decision_service.errors import InputError, ModelError
from decision_service.scoring import scorecard as served
from decision_service.scoring.models import ScorecardModel
from decision_service.scoring.scorecard import Bin, BinnedFeature
from decision_service.scoring.spec import Calibration, PointScale, ScorecardSpec
from ml.fitted import Array, FittedModel, scorecard_margins, with_canaries
from ml.trees import CANARY_QUANTILES, checked_labels

if TYPE_CHECKING:
    from optbinning import BinningProcess
    from optbinning import Scorecard as Original

LEAST_VALUE = 0.02  # information value below which a feature says nothing (Siddiqi, 2006)
CHANCE = 0.001  # strict, because bins are chosen to look their best
MOST_ALIKE = 0.7  # correlation of two features' weights of evidence
LEAST_IN_BIN = 5  # goods and bads, or missing and special values count as average
BINS: Mapping[str, Any] = {"max_n_prebins": 20, "min_prebin_size": 0.03, "min_bin_size": 0.03, "max_n_bins": 8}
SECONDS_A_FEATURE = 20
TRENDS = {1: "ascending", -1: "descending", 0: "auto_asc_desc"}
AGREEMENT = 1e-9
PROOF_ROWS = 5000
MOST_TOLD = 5000  # characters of one parameter
BANDS = range(400, 801, 20)


def fit_scorecard(
    matrix: Array,
    labels: NDArray[np.int_],
    *,
    feature_names: Sequence[str],
    monotone: Mapping[str, int] | None = None,
    categories: Mapping[str, Sequence[str | None]] | None = None,
    special: Mapping[str, Sequence[float]] | None = None,
    scale: PointScale = PointScale(),
) -> FittedModel:
    """A scorecard on n firms x numbers (nan: missing) and ``categories`` by name; labels 1 = defaulted in 12 months.

    Bins are monotone: as ``monotone`` declares (+1: the PD rises with the feature), else whichever way fits better.
    ``special`` values of a number have a bin of their own. Features are dropped that say nothing, that say what a
    better one says, or whose weight has the wrong sign; ``params["dropped"]`` tells which and why. Deterministic. Not
    calibrated yet: see ``calibrate``. Raises ``InputError``, ``ModelError`` if optbinning and the result disagree.
    """
    labels = checked_labels(labels, len(matrix))
    frame = _frame(matrix, feature_names, categories or {})
    sample = _Sample(frame, labels, dict(monotone or {}), dict(special or {}))
    dropped = _silent(sample)
    kept, process = _binned(sample, [name for name in frame if name not in dropped], dropped)
    kept = _distinct(sample, kept, process, dropped)
    kept, original = _signed(sample, kept, process, scale, dropped)
    card = _read_out(original, kept, process)
    spec = ScorecardSpec(tuple(kept), scale, Calibration(1.0, 0.0, float(labels.mean())), _canaries(frame, kept))
    params = {"rows": len(frame), "features": len(kept), **BINS, "dropped": _told(dropped)}
    fitted = with_canaries(FittedModel(served.to_json(card), spec, params))
    _prove(fitted, original, sample)
    return fitted


@dataclass(frozen=True, slots=True)
class _Sample:
    """What is fitted on."""

    frame: pd.DataFrame
    labels: NDArray[np.int_]
    monotone: Mapping[str, int]
    special: Mapping[str, Sequence[float]]


def _frame(
    matrix: Array, feature_names: Sequence[str], categories: Mapping[str, Sequence[str | None]]
) -> pd.DataFrame:
    values = np.asarray(matrix, dtype=float)
    names = [*feature_names, *categories]
    if values.ndim != 2 or values.shape[1] != len(feature_names):
        raise InputError(f"the matrix has shape {values.shape}, {len(feature_names)} features are named")
    if np.isinf(values).any():
        raise InputError("the matrix holds an infinite value", remedy="correct the data, or leave it missing")
    if len(set(names)) < len(names):
        raise InputError("a feature is named twice", remedy="give each column a name of its own")
    frame = pd.DataFrame(values, columns=list(feature_names))
    for name, column in categories.items():
        if len(column) != len(frame):
            raise InputError(f"category {name!r} has {len(column)} values for {len(frame)} firms")
        frame[name] = pd.Series([None if one is None else str(one) for one in column], dtype=object)
    return frame


def _silent(sample: _Sample) -> dict[str, str]:
    """Features that cannot be binned: not known of anybody, or one value for all."""
    found = {}
    for name, column in sample.frame.items():
        known = column.dropna()
        if known.empty:
            found[str(name)] = "is never known"
        elif known.nunique() == 1 and len(known) == len(column):
            found[str(name)] = "has one value only"
    return found


def _process(sample: _Sample, names: Sequence[str], neutral: Mapping[str, Any]) -> BinningProcess:
    from optbinning import BinningProcess

    texts = [name for name in names if not pd.api.types.is_numeric_dtype(sample.frame[name])]
    fits: dict[str, dict[str, Any]] = {}
    for name in names:
        fits[name] = {"monotonic_trend": TRENDS[sample.monotone.get(name, 0)], "time_limit": SECONDS_A_FEATURE}
        if name in texts:
            fits[name] |= {"monotonic_trend": None, "cat_cutoff": BINS["min_bin_size"]}
        elif len(sample.special.get(name, ())):
            fits[name]["special_codes"] = list(sample.special[name])
    return BinningProcess(
        list(names),
        **BINS,
        categorical_variables=texts or None,
        binning_fit_params=fits,
        binning_transform_params={name: neutral[name] for name in names if neutral.get(name)} or None,
    )


def _binned(sample: _Sample, names: Sequence[str], dropped: dict[str, str]) -> tuple[list[str], BinningProcess]:
    """The features that say something, the most telling first, and their bins."""
    if not names:
        raise InputError("no feature has values that differ", remedy="give columns that say something about a firm")
    process = _process(sample, names, {})
    process.fit(sample.frame[list(names)], sample.labels)
    values = {name: _value(process, name) for name in names}
    for name, value in values.items():
        needed = max(LEAST_VALUE, _by_chance(_table(process, name), sample.labels))
        if value < needed:
            dropped[name] = f"says nothing (information value {value:.4f}, {needed:.4f} needed)"
    kept = [name for name in sorted(names, key=lambda name: -values[name]) if name not in dropped]
    if not kept:
        raise InputError("no feature says anything about the label", remedy="give other columns, or more firms")
    process.binning_transform_params = _neutral(process, names)
    return kept, process


def _table(process: BinningProcess, name: str) -> pd.DataFrame:
    return process.get_binned_variable(name).binning_table.build(add_totals=False)


def _value(process: BinningProcess, name: str) -> float:
    return float(_table(process, name)["IV"].sum())


def _by_chance(table: pd.DataFrame, labels: NDArray[np.int_]) -> float:
    """The information value that a feature without information reaches once in a thousand times.

    Divided by 1/goods + 1/bads it is chi-squared for many firms (Kullback, Information Theory and Statistics, 1959).
    """
    bads = int(labels.sum())
    freedom = max(int((table["Count"] > 0).sum()) - 1, 1)
    return float(chi2.isf(CHANCE, freedom) * (1.0 / bads + 1.0 / (len(labels) - bads)))


def _neutral(process: BinningProcess, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Missing and special bins with too few firms to learn from count as the average firm."""
    found: dict[str, dict[str, float]] = {}
    for name in names:
        special, missing = (row for _, row in _table(process, name).tail(2).iterrows())
        thin = {"metric_special": special, "metric_missing": missing}
        # As a float: optbinning takes an integer for the number of a bin.
        found[name] = {key: 0.0 for key, row in thin.items() if min(row["Non-event"], row["Event"]) < LEAST_IN_BIN}
    return found


def _evidence(sample: _Sample, process: BinningProcess, names: Sequence[str]) -> pd.DataFrame:
    every = process.transform(
        sample.frame[process.variable_names], metric="woe", metric_missing="empirical", metric_special="empirical"
    )
    return every[list(names)]


def _distinct(
    sample: _Sample, names: Sequence[str], process: BinningProcess, dropped: dict[str, str]
) -> list[str]:
    """The features without those that follow a more telling one too closely."""
    alike = np.atleast_2d(np.abs(np.corrcoef(_evidence(sample, process, names).to_numpy(), rowvar=False)))
    kept: list[int] = []
    for place, name in enumerate(names):
        nearest = max(kept, key=lambda other: alike[place, other], default=None)
        if nearest is None or alike[place, nearest] <= MOST_ALIKE:
            kept.append(place)
        else:
            dropped[name] = f"follows {names[nearest]} (correlation {alike[place, nearest]:.2f})"
    return [names[place] for place in kept]


def _signed(
    sample: _Sample, names: Sequence[str], process: BinningProcess, scale: PointScale, dropped: dict[str, str]
) -> tuple[list[str], Original]:
    """The features whose weights have the right sign, and optbinning's scorecard of them.

    More woe is less risk, so a weight must be below zero; the worst offender goes first, then all are fitted again.
    """
    kept = list(names)
    evidence = _evidence(sample, process, names)
    while kept:
        weights = LogisticRegression(max_iter=1000).fit(evidence[kept], sample.labels).coef_[0]
        worst = int(np.argmax(weights))
        if weights[worst] < 0:
            return kept, _original(sample, kept, process, scale)
        dropped[kept[worst]] = f"has the wrong sign beside the others (weight {weights[worst]:+.4f})"
        del kept[worst]
    raise InputError("no feature keeps the right sign", remedy="give other columns, or more firms")


def _original(sample: _Sample, names: Sequence[str], process: BinningProcess, scale: PointScale) -> Original:
    from optbinning import Scorecard as Original

    card = Original(
        _process(sample, names, process.binning_transform_params),
        LogisticRegression(max_iter=1000),
        scaling_method="pdo_odds",
        scaling_method_params={"pdo": scale.double, "odds": scale.odds, "scorecard_points": scale.points},
    )
    return card.fit(sample.frame[list(names)], sample.labels, metric_special="empirical", metric_missing="empirical")


def _read_out(original: Original, names: Sequence[str], process: BinningProcess) -> served.Scorecard:
    weights = original.estimator_.coef_[0]
    neutral = process.binning_transform_params
    features = (
        _feature(original.binning_process_, name, float(weight), neutral[name])
        for name, weight in zip(names, weights, strict=True)
    )
    return served.Scorecard(float(original.estimator_.intercept_[0]), tuple(features))


def _feature(process: BinningProcess, name: str, weight: float, neutral: Mapping[str, float]) -> BinnedFeature:
    table = _table(process, name)
    found = process.get_binned_variable(name)
    rows = [Bin(float(woe), int(goods), int(bads)) for woe, goods, bads in table[["WoE", "Non-event", "Event"]].values]
    *bins, special, missing = rows
    text = found.dtype == "categorical"
    return BinnedFeature(
        name=name,
        weight=weight,
        value=float(table["IV"].sum()),
        splits=None if text else tuple(map(float, found.splits)),
        groups=tuple(tuple(map(str, group)) for group in table["Bin"].iloc[:-2]) if text else None,
        bins=tuple(bins),
        special=() if text else tuple(map(float, found.special_codes or ())),
        special_bin=_counted(special, neutral.get("metric_special")),
        missing=_counted(missing, neutral.get("metric_missing")),
    )


def _counted(found: Bin, woe: float | None) -> Bin:
    return found if woe is None else Bin(woe, found.goods, found.bads)


def _canaries(frame: pd.DataFrame, names: Sequence[str]) -> tuple[tuple[Mapping[str, Any], float], ...]:
    """Made-up firms at quantiles of each feature, and one of which only the first is known: no real firm's data."""
    rows = [
        ({name: _middle(frame[name].dropna(), quantile) for name in names}, 0.5) for quantile in CANARY_QUANTILES
    ]
    return (*rows, ({**dict.fromkeys(names), names[0]: rows[0][0][names[0]]}, 0.5))


def _middle(known: pd.Series, quantile: float) -> float | str:
    if pd.api.types.is_numeric_dtype(known):
        return float(known.quantile(quantile))
    names = sorted(set(known))
    return str(names[int(quantile * len(names))])


def _told(dropped: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {why}" for name, why in dropped.items())[:MOST_TOLD]


def _prove(fitted: FittedModel, original: Original, sample: _Sample) -> None:
    """Raises ``ModelError`` unless the served points of the training firms are optbinning's own."""
    assert isinstance(fitted.spec, ScorecardSpec)
    rows = sample.frame.iloc[:PROOF_ROWS]
    rows = rows[rows[list(fitted.spec.features)].notna().any(axis=1)]
    theirs = original.score(rows)
    model = ScorecardModel(fitted.weights, fitted.spec)
    numbers = [name for name in rows if pd.api.types.is_numeric_dtype(rows[name])]
    texts = {name: list(rows[name].where(rows[name].notna(), None)) for name in rows if name not in numbers}
    margins = scorecard_margins(fitted, rows[numbers].to_numpy(), numbers, texts)
    apart = np.abs(fitted.spec.scale.offset - fitted.spec.scale.factor * margins - theirs).max()
    single = [model.points(_unboxed(features)) for features in rows.head(100).to_dict("records")]
    apart = max(apart, np.abs(np.array(single) - theirs[: len(single)]).max())
    if not apart <= AGREEMENT:
        raise ModelError(
            f"the points differ from optbinning's by {apart:.2e}", remedy="tell the developers; it is not registered"
        )


def _unboxed(features: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): None if pd.isna(value) else value for name, value in features.items()}


def points_table(fitted: FittedModel) -> pd.DataFrame:
    """One line a bin, the most telling feature first: firms, bad rate, woe, points and points below the best bin."""
    assert isinstance(fitted.spec, ScorecardSpec)
    card = served.from_json(fitted.weights)
    rows = []
    for one in card.features:
        best = served.points(card, fitted.spec, one, one.best)
        for label, bin_ in _labelled(one):
            own, firms = served.points(card, fitted.spec, one, bin_.woe), bin_.goods + bin_.bads
            rows.append(
                {
                    "feature": one.name,
                    "bin": label,
                    "firms": firms,
                    "bad_rate": bin_.bads / firms if firms else np.nan,
                    "woe": bin_.woe,
                    "points": own,
                    "points_lost": max(best - own, 0.0),
                    "information_value": one.value,
                }
            )
    return pd.DataFrame(rows)


def _labelled(one: BinnedFeature) -> Iterator[tuple[str, Bin]]:
    if one.groups is not None:
        labels = [", ".join(names) for names in one.groups]
    else:
        labels = _intervals([f"{edge:.6g}" for edge in one.splits or ()])
    yield from zip(labels, one.bins, strict=True)
    if one.special:
        yield "special: " + ", ".join(f"{value:.6g}" for value in one.special), one.special_bin
    yield ("missing or unknown" if one.groups is not None else "missing"), one.missing


def _intervals(edges: Sequence[str]) -> list[str]:
    if not edges:
        return ["known"]
    between = [f"{low} to below {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *between, f"{edges[-1]} and above"]


def pd_by_points(spec: ScorecardSpec) -> pd.DataFrame:
    """The 12-month PD at the base rate and the odds of every twentieth point from 400 to 800."""
    log_odds = (np.array(BANDS) - spec.scale.offset) / spec.scale.factor
    return pd.DataFrame({"points": list(BANDS), "odds": np.exp(log_odds), "pd_12m": expit(-log_odds)})


def points_files(fitted: FittedModel) -> dict[str, bytes]:
    """The scorecard for people: ``points.csv``, and ``points.html`` with the PD of each score."""
    assert isinstance(fitted.spec, ScorecardSpec)
    table, bands = points_table(fitted), pd_by_points(fitted.spec)
    scale = fitted.spec.scale
    stated = (
        f"{scale.points:g} points: {scale.odds:g} firms without default to one with, at a base rate of "
        f"{fitted.spec.calibration.base_rate:.4g}; {scale.double:g} points double the odds. A firm's points are the "
        "sum of one line of each feature."
    )
    shown = table.assign(bad_rate=table["bad_rate"].map("{:.2%}".format).replace("nan%", ""))
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Scorecard</title>'
        "<style>body{font:15px/1.5 sans-serif;margin:2rem auto;max-width:60rem}table{border-collapse:collapse;"
        "margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ccc;text-align:left}</style>"
        f"<h1>Scorecard</h1><p>{html.escape(stated)}</p>"
        + shown.to_html(index=False, border=0, formatters={name: "{:.2f}".format for name in _DECIMALS})
        + "<h2>PD by points</h2>"
        + bands.to_html(index=False, border=0, formatters={"odds": "{:.2f}".format, "pd_12m": "{:.4%}".format})
    )
    return {"points.csv": table.to_csv(index=False).encode(), "points.html": page.encode()}


_DECIMALS = ("woe", "points", "points_lost", "information_value")
