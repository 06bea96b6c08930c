"""What a place in a product delivers to its model, and whether a model fits that place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from decision_service.errors import ModelError
from decision_service.scoring.models import Model
from decision_service.scoring.spec import ScorecardSpec, XgboostSpec, kind_of

INDUSTRY = "industry_code"


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """The kind of model a place needs and the names it delivers: features of a tree model (``xgboost``) or of a
    ``scorecard``, columns of a sequence model (``lstm``) in their order, over ``months`` months (else 0)."""

    kind: str
    names: tuple[str, ...]
    months: int = 0


def inputs_of(model: Model) -> ModelInputs:
    """What a model reads."""
    spec = model.spec
    if isinstance(spec, XgboostSpec):
        return ModelInputs("xgboost", spec.features + ((INDUSTRY,) if spec.section_order else ()))
    if isinstance(spec, ScorecardSpec):
        return ModelInputs("scorecard", spec.features)
    return ModelInputs("lstm", spec.series, spec.months)


def check_fit(model: Model, places: Iterable[ModelInputs]) -> None:
    """Raises ``ModelError`` unless the model can be used in every one of the places.

    A tree model or a scorecard may read less than is delivered; a sequence model finds its columns by position only.
    """
    needed = inputs_of(model)
    for delivered in places:
        if needed.kind != delivered.kind:
            raise ModelError(
                f"the model is of kind {kind_of(model.spec)}, its place needs {delivered.kind}",
                remedy="put the right model behind the alias",
            )
        if needed.kind == "lstm" and needed != delivered:
            raise ModelError(
                f"the model reads {_shape(needed)}, its place delivers {_shape(delivered)}",
                remedy="put a model trained on these series behind the alias",
            )
        absent = sorted(set(needed.names) - set(delivered.names))
        if absent:
            raise ModelError(
                f"the model reads {_few(absent)}, which its place does not deliver",
                remedy="put a model trained on this product's features behind the alias",
            )


def _shape(inputs: ModelInputs) -> str:
    return f"{inputs.months} months of {_few(inputs.names)}"


def _few(names: Iterable[str], most: int = 12) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
