"""What models read of n units of a table: a matrix, for panels a window of series, labels and roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from decision_service.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Inputs:
    """n units. ``matrix`` n x k (nan: missing), columns called ``names``; of panels ``series`` n x w x F and ``mask``
    n x w. ``labels`` (1: bad), ``times`` (days or years) and ``groups`` where known; ``segments``: name to n values."""

    ids: tuple[str, ...]
    matrix: Array
    names: tuple[str, ...]
    series: Array | None = None
    mask: NDArray[np.bool_] | None = None
    series_names: tuple[str, ...] = ()
    labels: NDArray[np.int_] | None = None
    groups: tuple[str, ...] = ()
    times: Array | None = None
    segments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def outcomes(self) -> NDArray[np.int_]:
        """The labels of units that must have some; raises ``InputError``."""
        if self.labels is None:
            raise InputError("the table has no known labels", remedy="give a table with the target column")
        return self.labels

    def rows(self, chosen: NDArray[Any]) -> Inputs:
        """The chosen units only (a mask, or places)."""
        places = np.arange(len(self))[chosen]
        return Inputs(
            ids=_picked(self.ids, places),
            matrix=self.matrix[places],
            names=self.names,
            series=None if self.series is None else self.series[places],
            mask=None if self.mask is None else self.mask[places],
            series_names=self.series_names,
            labels=None if self.labels is None else self.labels[places],
            groups=_picked(self.groups, places),
            times=None if self.times is None else self.times[places],
            segments={name: _picked(values, places) for name, values in self.segments.items()},
        )


def _picked(values: tuple[str, ...], places: NDArray[np.int_]) -> tuple[str, ...]:
    return tuple(values[place] for place in places) if values else ()
