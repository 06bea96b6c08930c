"""What a version must pass before an alias may mean it; every gate says its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from decision_service.errors import InputError, ModelError
from decision_service.portrait.registry import Registry
from decision_service.portrait.series import SERIES, WINDOW
from decision_service.portrait.snapshot import feature_names
from decision_service.rulebook.ruleset import Ruleset
from decision_service.scoring.graph import GRAPH_FILE
from decision_service.scoring.inputs import ModelInputs, check_fit, inputs_of
from decision_service.scoring.models import Model, build
from decision_service.vocabulary import Person
from ml.blend import Blend, own_files
from ml.comparison import SAME, WORSE, verdict
from ml.fitted import Array
from ml.held_out import HeldOut
from ml.metrics import Labels, Sweep, checked, class_mass, evaluate, interval, resamples, stacked
from ml.segments import enough, segments_of

MOST_ECE = 0.015
LARGE = 0.10  # how far the mean forecast may be from the observed rate, of that rate, whatever the interval says
LEVEL = 0.05  # of the whole family of segments
REPEATS, SEED = 2_000, 7
SEGMENT_REPEATS = 500  # enough for a spread
FIGURES = ("auc", "brier")
SYNTHETIC = "synthetic city"
OTHER_INPUTS = "leave the other columns out (train --drop COLUMN), or register it under another name"
RECALIBRATE = (
    "train again with --base-rate R if the portfolio's rate is not the sample's, or on more bads; --max-ece X only"
    " where the risk team agreed to an error of X, with the reason in --note"
)
WORSE_THAN = "keep the champion, or train on more or newer rows, or longer (--budget)"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate says of a version, and what can be done where it is closed."""

    name: str
    passed: bool
    figures: str
    todo: str = ""

    def told(self) -> tuple[str, bool, str]:
        """As it is kept with the promotion."""
        return self.name, self.passed, self.figures


@dataclass(frozen=True, slots=True)
class Evidence:
    """Held-out rows with the candidate's probabilities, and on the same rows those of whoever it is held against.

    ``base_rate`` is the one at which the candidate is calibrated; ``other`` is named by ``title``.
    """

    held_out: HeldOut
    base_rate: float
    source: str
    title: str = ""
    other: Array | None = None


def places_of(name: str, rules: Ruleset) -> tuple[ModelInputs, ...]:
    """What every product of the rules that names this model delivers to it."""
    registry = Registry.from_csv(rules.sources["indicators.csv"], rules.sources["industries.csv"])
    found = []
    for product in rules.products.values():
        if product.xgb_model == name:
            found.append(ModelInputs("xgboost", feature_names(product.name, registry)))
        if product.lstm_model == name:
            found.append(ModelInputs("lstm", SERIES, WINDOW))
        if product.scorecard_model == name:
            found.append(ModelInputs("scorecard", feature_names(product.name, registry)))
    return tuple(found)


def signature(model: Model | Blend, champion: Model | Blend | None, places: Sequence[ModelInputs]) -> Gate:
    """It reads what its places deliver; without any, what the champion reads or less."""
    if isinstance(model, Blend):
        return blend_signature(model, champion, places)
    if isinstance(champion, Blend) and not places:
        return Gate("signature", False, "the champion is a blend", "train with --kind blend, or under another --name")
    against = tuple(places) or (() if champion is None or isinstance(champion, Blend) else (inputs_of(champion),))
    needed = inputs_of(model)
    where = f"{len(places)} places in use" if places else "the champion" if against else "nothing: the first version"
    try:
        check_fit(model, against)
    except ModelError as error:
        return Gate("signature", False, error.what, OTHER_INPUTS)
    return Gate("signature", True, f"{needed.kind} of {len(needed.names)} inputs, held against {where}")


def blend_signature(blend: Blend, champion: Model | Blend | None, places: Sequence[ModelInputs]) -> Gate:
    """It stands where tables are scored, never where the service scores; it reads what the champion reads, or less."""
    if places:
        return Gate(
            "signature",
            False,
            "the rules name this model for a product, and decisions are not scored by a blend",
            "train --kind xgboost and --kind lstm under the two names that the product's file has; it blends them",
        )
    needed = blend.inputs
    if champion is not None and not isinstance(champion, Blend):
        kind = inputs_of(champion).kind
        return Gate("signature", False, f"the champion is no blend but of kind {kind}", "train it under another --name")
    absent = sorted(needed - champion.inputs) if champion is not None else []
    if absent:
        told = f"it reads {', '.join(absent[:12])}, which the champion does not read"
        return Gate("signature", False, told, OTHER_INPUTS)
    where = "the first version" if champion is None else "held against the champion"
    return Gate("signature", True, f"{' and '.join(blend.kinds)} of {len(needed)} inputs, {where}; scores tables only")


def canaries(files: Mapping[str, bytes]) -> Gate:
    """Canary predictions come out as recorded: from the ONNX graph, and from the library that trained each model."""
    told = []
    for kind, own in own_files(files).items():
        count, by, wrong = _canaries(own)
        if wrong:
            return Gate("canaries", False, f"{kind} {wrong}".strip(), "train and register it again")
        told.append(f"{kind} {count} predictions within 1e-6 by {by}".strip())
    return Gate("canaries", True, "; ".join(told))


def _canaries(files: Mapping[str, bytes]) -> tuple[int, str, str]:
    """How many come out of one model, by what, and what is wrong (nothing: empty)."""
    without = {name: content for name, content in files.items() if name != GRAPH_FILE}
    runs: dict[str, Mapping[str, bytes]] = {"its own library": without}
    if GRAPH_FILE in files:
        runs["ONNX graph"] = files
    for title, given in runs.items():
        try:
            model = build(given)
        except ModelError as error:
            return 0, "", f"{title}: {error.what}"
    return len(model.spec.canaries), " and ".join(runs), ""


def calibration(evidence: Evidence, *, most_ece: float = MOST_ECE) -> Gate:
    """Its probabilities are what happens: ECE, and the mean forecast against the observed rate at the base rate."""
    held, rate = evidence.held_out, evidence.base_rate
    labels, chances = checked(held.labels, held.probabilities, base_rate=rate)
    ece = evaluate(labels, chances, seed=SEED, repeats=REPEATS, groups=held.groups, base_rate=rate)["ece"]
    bias, values = in_the_large(labels, chances, rate, held.groups)
    off = interval("", bias, values)
    large = off.low <= 0.0 <= off.high or abs(bias) <= LARGE * rate
    passed = ece.low <= most_ece and large
    text = (
        f"ECE {ece} (limit {most_ece}); mean forecast minus rate {off} at base rate {rate:g}"
        f" (limit {LARGE * rate:.4f} where 0 is outside); {_rows(labels)}, {evidence.source}"
    )
    return Gate("calibration", bool(passed), text, RECALIBRATE)


def in_the_large(labels: Labels, chances: Array, rate: float, groups: Sequence[str]) -> tuple[float, Array]:
    """Mean forecast minus ``rate``, both classes weighed as at that rate, and its values over resamples."""

    def biased(weights: Array) -> Array:
        bad, good = weights * (labels == 1), weights * (labels == 0)
        mean = rate * (bad @ chances) / bad.sum(axis=1) + (1.0 - rate) * (good @ chances) / good.sum(axis=1)
        return np.asarray(mean - rate)

    drawn = resamples(labels, seed=SEED, repeats=REPEATS, groups=groups, base_rate=rate)
    once = float((class_mass(labels, rate) * chances).sum() - rate)
    return once, np.concatenate([biased(weights) for weights in drawn])


def no_worse(evidence: Evidence) -> Gate:
    """Overall it ranks and forecasts no worse than the champion, within the intervals of the paired difference."""
    held, other = evidence.held_out, evidence.other
    assert other is not None
    pairs = paired(held.labels, other, held.probabilities, held.groups, base_rate=evidence.base_rate)
    worse = [name for name, (one, values) in pairs.items() if verdict(name, interval("", one, values)) == WORSE]
    return Gate("no worse", not worse, f"minus {evidence.title}: {_told(pairs)}; {_rows(held.labels)}", WORSE_THAN)


def beats(evidence: Evidence) -> Gate:
    """It ranks better than the scorecard, and the interval of the paired difference says so."""
    held, other = evidence.held_out, evidence.other
    assert other is not None
    pairs = paired(held.labels, other, held.probabilities, held.groups, base_rate=evidence.base_rate)
    found = verdict("auc", interval("", *pairs["auc"]))
    passed = found not in (WORSE, SAME)
    figures = f"minus {evidence.title}: {_told(pairs)}; {_rows(held.labels)}"
    return Gate("baseline", passed, figures, f"use {evidence.title}, which is simpler, or train longer (--budget)")


def segments(evidence: Evidence) -> Gate:
    """In no segment with enough bads it is worse: one-sided paired bootstrap, all segments corrected after Holm.

    Source: S. Holm, A simple sequentially rejective multiple test procedure, 1979. A p-value is that of the normal
    distribution with the spread of the resampled differences.
    """
    held, other = evidence.held_out, evidence.other
    assert other is not None
    tests, few = [], 0
    for one in segments_of(held.labels, held.segments):
        if not enough(one):
            few += 1
            continue
        rows = one.rows
        groups = [held.groups[row] for row in rows] if len(held.groups) else ()
        pairs = paired(held.labels[rows], other[rows], held.probabilities[rows], groups, repeats=SEGMENT_REPEATS)
        for name, (difference, values) in pairs.items():
            what = f"{one.column} {one.value}: {name} {difference:+.4f}, {one.bads} bads"
            tests.append((_worse(difference if name == "auc" else -difference, values), what))
    worse = list(holm(tests))
    by = ", ".join(held.segments) or "nothing"
    text = f"minus {evidence.title}: {len(tests)} tests in segments by {by}, {few} segments with too few bads"
    if tests and not worse:
        text += f"; the nearest: {min(tests)[1]}, p {min(tests)[0]:.3f}"
    return Gate("segments", not worse, text + "".join(f"; worse: {one}" for one in worse), WORSE_THAN)


def holm(tests: Sequence[tuple[float, str]], level: float = LEVEL) -> Iterator[str]:
    """Of (p, what) those that hold for the whole family at a level."""
    for number, (chance, what) in enumerate(sorted(tests)):
        if chance > level / (len(tests) - number):
            return
        yield f"{what}, p {chance:.1g}"


def paired(
    labels: Labels,
    first: Array,
    second: Array,
    groups: Sequence[str] = (),
    *,
    base_rate: float | None = None,
    repeats: int | None = None,
) -> dict[str, tuple[float, Array]]:
    """Second minus first by figure, on these rows and over the same resamples of them."""
    sweeps = [Sweep(labels, one, base_rate=base_rate) for one in (first, second)]
    once = [sweep.figures(np.ones((1, len(labels)))) for sweep in sweeps]
    drawn = []
    for weights in resamples(labels, seed=SEED, repeats=repeats or REPEATS, groups=groups, base_rate=base_rate):
        before, after = (sweep.figures(weights) for sweep in sweeps)
        drawn.append({name: after[name] - before[name] for name in FIGURES})
    replicates = stacked(drawn)
    return {name: (float(once[1][name][0] - once[0][name][0]), replicates[name]) for name in FIGURES}


def _worse(better: float, values: Array) -> float:
    spread = float(np.std(values))
    return float(norm.cdf(better / spread)) if spread > 0 else float(better >= 0)


def sign_off(promoter: Person, registrar: Person | None, *, first: bool, synthetic: bool) -> Gate:
    """Who promotes is not who registered it; of a first version, and of a training on a made-up city, one is enough."""
    by = "unknown" if registrar is None else str(registrar)
    text = f"registered by {by}, promoted by {promoter}"
    if first or synthetic:
        return Gate("sign-off", True, f"{text}; one person is enough for {'a first version' if first else SYNTHETIC}")
    if registrar is None:
        return Gate("sign-off", False, text, "register it again, so that two persons are known")
    if not promoter.is_same_as(registrar):
        return Gate("sign-off", True, text)
    doubt = promoter.doubt(registrar)
    told = f"{text}: that takes two persons{f', and {doubt}' if doubt else ''}"
    return Gate("sign-off", False, told, "let somebody else run promote, logged in by an account of their own")


def shadowed(count: int | None, least: int, figures: str) -> Gate:
    """The service scored enough decisions by it while it was challenger."""
    todo = "give it the alias challenger (python -m ml challenge NAME/VERSION) and let the service decide"
    return Gate("shadow", (count or 0) >= least, f"{figures} (at least {least} asked for)", todo)


def missing(name: str, why: str, todo: str = "") -> Gate:
    """A gate that cannot be judged is closed."""
    return Gate(name, False, why, todo)


def _told(pairs: dict[str, tuple[float, Array]]) -> str:
    return ", ".join(f"{name} {interval('', one, values)}" for name, (one, values) in pairs.items())


def _rows(labels: Labels) -> str:
    return f"{len(labels)} rows, {int(labels.sum())} bad"


def same_rows(candidate: HeldOut, champion: HeldOut) -> Array | None:
    """The champion's probabilities in the candidate's order, if both were judged on the same units."""
    if candidate.ids == champion.ids:
        rows = list(range(len(champion.ids)))
    elif len(set(candidate.ids)) == len(candidate.ids) == len(champion.ids) and set(candidate.ids) == set(champion.ids):
        place = {name: row for row, name in enumerate(champion.ids)}
        rows = [place[name] for name in candidate.ids]
    else:
        return None
    if not (champion.labels[rows] == candidate.labels).all():
        raise InputError("both versions were judged on the same ids with other outcomes", remedy="give --data FILE")
    return champion.probabilities[rows]
