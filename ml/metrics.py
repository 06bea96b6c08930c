"""How good a score is on firms it never saw: AUC, KS, Brier, calibration error, each with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.fitted import Array

Labels = NDArray[np.int_]
BINS = 10


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def auc(labels: Labels, scores: Array) -> float:
    """Probability that a defaulter scores above a non-defaulter, ties counted half (Mann-Whitney)."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    average_rank = np.cumsum(counts) - (counts - 1) / 2.0
    positives = int(labels.sum())
    negatives = len(labels) - positives
    rank_sum = average_rank[inverse][labels == 1].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def ks(labels: Labels, scores: Array) -> float:
    """Kolmogorov-Smirnov: the largest distance between both score distributions."""
    order = np.argsort(scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    bad = np.cumsum(labels[order])[ends] / labels.sum()
    good = np.cumsum(1 - labels[order])[ends] / (1 - labels).sum()
    return float(np.abs(bad - good).max())


def brier(labels: Labels, probabilities: Array) -> float:
    """Mean squared distance of probability and outcome."""
    return float(np.mean((probabilities - labels) ** 2))


def ece(labels: Labels, probabilities: Array) -> float:
    """Expected calibration error over ten bins of equal size: mean |observed rate - mean probability|."""
    bins = np.array_split(np.argsort(probabilities, kind="stable"), min(BINS, len(labels)))
    gaps = [abs(labels[part].mean() - probabilities[part].mean()) * len(part) for part in bins]
    return float(sum(gaps) / len(labels))


METRICS: dict[str, Callable[[Labels, Array], float]] = {"auc": auc, "ks": ks, "brier": brier, "ece": ece}


def evaluate(labels: Labels, probabilities: Array, *, seed: int, repeats: int = 200) -> dict[str, Estimate]:
    """Every metric with an interval from resampled firms (stratified by label, so both always occur)."""
    labels = np.asarray(labels, dtype=int)
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(labels == label) for label in (0, 1)]
    samples = [
        np.concatenate([generator.choice(group, len(group)) for group in groups]) for _ in range(repeats)
    ]
    estimates = {}
    for name, metric in METRICS.items():
        low, high = np.quantile([metric(labels[rows], probabilities[rows]) for rows in samples], (0.025, 0.975))
        estimates[name] = Estimate(metric(labels, probabilities), float(low), float(high))
    return estimates
