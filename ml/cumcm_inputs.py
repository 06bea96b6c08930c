"""What both models read of the 123 firms, by the same portrait code that serves decisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from decision_service.portrait.invoices import FEATURES
from decision_service.portrait.lists import Lists
from decision_service.portrait.registry import Registry
from decision_service.portrait.series import SERIES
from decision_service.portrait.snapshot import snapshot
from decision_service.rulebook.ruleset import Ruleset
from ml.cumcm import AS_OF, INDUSTRY, Dataset
from ml.fitted import Array
from ml.metrics import Labels

PRODUCT = "invoice_loan"
DECIDED_AT = datetime.combine(AS_OF, time(9), tzinfo=ZoneInfo("Asia/Shanghai"))
RISK = {feature.name: feature.risk for feature in FEATURES}


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the models read of n firms: n x features (in the order of ``RISK``), n x 24 x series, n x 24; outcomes."""

    matrix: Array
    series: Array
    mask: NDArray[np.bool_]
    series_names: tuple[str, ...]
    labels: Labels

    def columns(self, names: Sequence[str]) -> Array:
        """The matrix with only these features."""
        return self.matrix[:, [list(RISK).index(name) for name in names]]


def parameters(ruleset: Ruleset) -> dict[str, Any]:
    """The product's and the assumed industry's parameters in force on the day of decision, decoded."""
    rules = ruleset.in_force(AS_OF)
    return {name: rules.catalogue.decode(name, value) for name, value in rules.parameters(PRODUCT, INDUSTRY).items()}


def read_inputs(dataset: Dataset, ruleset: Ruleset) -> Inputs:
    """One portrait snapshot a firm, as of the decision."""
    registry = Registry.from_csv(ruleset.sources["indicators.csv"])
    lists = Lists.from_yaml(ruleset.sources["lists.yaml"])
    industry = parameters(ruleset)
    portraits = [
        snapshot(firm.records, registry=registry, lists=lists, industry=industry, product=PRODUCT, now=DECIDED_AT)
        for firm in dataset.firms
    ]
    features = [portrait.features_for(PRODUCT) for portrait in portraits]
    return Inputs(
        matrix=np.array([[row[name] for name in RISK] for row in features], dtype=float),
        series=np.array([portrait.series for portrait in portraits], dtype=float),
        mask=np.array([portrait.mask for portrait in portraits], dtype=bool),
        series_names=tuple(SERIES),
        labels=dataset.defaulted,
    )
