"""Rows that a model never saw, with its probabilities of them: kept with the run, so that gates can judge it later."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from decision_service.errors import ModelError
from ml.fitted import Array
from ml.metrics import Labels

HELD_OUT_FILE = "held_out.csv"
ID, LABEL, PROBABILITY, BASELINE, GROUP, SEGMENT = "id", "label", "probability", "baseline", "group", "segment:"


@dataclass(frozen=True, slots=True)
class HeldOut:
    """n units with their outcome (1: bad) and the model's probability; ``baseline`` is a scorecard's, if there is one.

    ``segments`` and ``groups`` as in ``metrics.evaluate``; both may be empty.
    """

    ids: tuple[str, ...]
    labels: Labels
    probabilities: Array
    segments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    groups: Sequence[str] = ()
    baseline: Array | None = None

    def to_csv(self) -> bytes:
        """One line a unit."""
        columns: dict[str, Sequence[object]] = {
            ID: self.ids,
            LABEL: self.labels.tolist(),
            PROBABILITY: [repr(float(value)) for value in self.probabilities],
        }
        if self.baseline is not None:
            columns[BASELINE] = [repr(float(value)) for value in self.baseline]
        if len(self.groups):
            columns[GROUP] = self.groups
        columns |= {SEGMENT + name: values for name, values in self.segments.items()}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        return text.getvalue().encode()


def held_out_from(content: bytes) -> HeldOut:
    """Back from ``to_csv``; raises ``ModelError`` for anything else."""
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode()), strict=True))
        columns = {name: tuple(row[name] for row in rows) for name in rows[0]}
        return HeldOut(
            ids=columns[ID],
            labels=np.array([("0", "1").index(value) for value in columns[LABEL]]),
            probabilities=_chances(columns[PROBABILITY]),
            segments={name.removeprefix(SEGMENT): one for name, one in columns.items() if name.startswith(SEGMENT)},
            groups=columns.get(GROUP, ()),
            baseline=_chances(columns[BASELINE]) if BASELINE in columns else None,
        )
    except (csv.Error, IndexError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{HELD_OUT_FILE} cannot be read ({error!r})", remedy="train and register again") from error


def _chances(texts: Sequence[str]) -> Array:
    found = np.array([float(text) for text in texts])
    if not ((found >= 0.0) & (found <= 1.0)).all():
        raise ValueError("a probability is outside [0, 1]")
    return found
