"""The synthetic city that all notebooks look at: drawn once, kept as NumPy files, drawn again when its code changes.

``NOTEBOOK_FIRMS`` is its size, ``NOTEBOOK_HOME`` the folder of what the notebooks keep (default ``var/notebooks``).
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import matplotlib
import numpy as np
from scipy.special import expit, logit
from scipy.stats import binomtest

with warnings.catch_warnings():  # tqdm complains that there are no widgets; nothing here shows a bar
    warnings.simplefilter("ignore")
    import tqdm.auto  # noqa: F401

from decision_service.rulebook.files import load
from ml.city_commands import SHANGHAI, place_of
from ml.city_training import Sample, Sizes, test_sample, training_sample
from ml.features import Table, read_portraits
from ml.fitted import Array
from ml.metrics import Estimate, Labels

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "rules"
HOME = Path(os.environ.get("NOTEBOOK_HOME") or ROOT / "var" / "notebooks")
FIRMS = int(os.environ.get("NOTEBOOK_FIRMS") or 3000)
SEED = 7
SIZES = Sizes(population=20 * FIRMS, good_firms=FIRMS, test_firms=2 * FIRMS)
PLACE = place_of(SEED, datetime(2026, 6, 30), RULES, now=datetime(2026, 7, 1, 9, tzinfo=SHANGHAI))
PORTRAITS = read_portraits(RULES)
RULES_IN_FORCE = load(RULES).in_force(PLACE.as_of)
SECTIONS = {industry.code: industry.section for industry in PLACE.industries}
DRAWN_BY = ("ml/city*.py", "ml/features.py", "decision_service/portrait/*.py", "rules/*.csv", "rules/lists.yaml")

matplotlib.rcParams.update(
    {
        "figure.figsize": (8, 3.4),
        "figure.constrained_layout.use": True,
        "figure.dpi": 90,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
    }
)


def training() -> Sample:
    """All firms of the city that defaulted and some that did not, split into fit, early stopping and calibration."""
    return _kept("training", lambda: training_sample(PLACE, PORTRAITS, SIZES))


def test() -> Sample:
    """Other firms of the city at its own default rate; no model sees them before it is judged."""
    return _kept("test", lambda: test_sample(PLACE, PORTRAITS, SIZES))


def rate(bads: Labels) -> Estimate:
    """The share of bads with Wilson's 95 % interval."""
    found = binomtest(int(bads.sum()), len(bads)).proportion_ci(method="wilson")
    return Estimate(float(bads.mean()), found.low, found.high)


def reach(one: Estimate) -> list[list[float]]:
    """How far an interval reaches to either side, as Matplotlib's error bars want it."""
    return [[one.value - one.low], [one.high - one.value]]


def parameter(name: str, industry_codes: Sequence[str]) -> Array:
    """What the rules state for each firm's industry (``pd_cutoff_auto``, ``weight_xgb``, …); nan: not covered."""
    stated, name = {}, f"industry.{name}"
    for code in set(industry_codes):
        exact = RULES_IN_FORCE.parameters("working_capital", code).get(name)
        stated[code] = np.nan if exact is None else float(RULES_IN_FORCE.catalogue.decode(name, exact))
    return np.array([stated[code] for code in industry_codes])


def pd_12m(trees: Array, network: Array, industry_codes: Sequence[str]) -> Array:
    """The score that decisions use: both models' log-odds in the proportion that the industry's rules state."""
    weight = parameter("weight_xgb", industry_codes)
    return np.asarray(expit(weight * logit(trees) + (1.0 - weight) * logit(network)), dtype=float)


def _kept(name: str, draw: Callable[[], Sample]) -> Sample:
    path = HOME / f"{name}-{FIRMS}-{_code()}.npz"
    if not path.exists():
        _write(path, draw())
    with np.load(path, allow_pickle=False) as found:
        codes = tuple(found["industry_codes"].tolist())
        table = Table(found["indicators"], found["invoices"], codes, found["series"], found["mask"])
        return Sample(table, found["labels"], found["part"], found["true_pd"])


def _write(path: Path, sample: Sample) -> None:
    """Whole or not at all, because two notebooks may draw at once."""
    table = sample.table
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(
        unfinished,
        indicators=table.indicators,
        invoices=table.invoices,
        industry_codes=np.array(table.industry_codes),
        series=table.series,
        mask=table.mask,
        labels=sample.labels,
        part=sample.part,
        true_pd=sample.true_pd,
    )
    unfinished.replace(path)


def _code() -> str:
    """A fingerprint of what draws the city: a change of it must not meet an old city."""
    files = sorted(path for pattern in DRAWN_BY for path in ROOT.glob(pattern))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
