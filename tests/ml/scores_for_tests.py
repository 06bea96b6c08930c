"""Made-up scores: a risk, outcomes drawn from it, and scores that see it through noise."""

from __future__ import annotations

import numpy as np

from ml.fitted import Array
from ml.metrics import Labels


def outcomes(count: int, *, seed: int, log_odds: float = -2.5) -> tuple[Labels, Array]:
    """Outcomes and the probabilities that they were drawn from."""
    random = np.random.default_rng(seed)
    chances = expit(log_odds + 1.2 * random.normal(size=count))
    return (random.random(count) < chances).astype(int), chances


def noisy(chances: Array, *, seed: int, noise: float) -> Array:
    """The probabilities with noise on their log-odds."""
    random = np.random.default_rng([seed, 1])
    return expit(np.log(chances / (1 - chances)) + noise * random.normal(size=len(chances)))


def expit(log_odds: Array) -> Array:
    return 1 / (1 + np.exp(-log_odds))
