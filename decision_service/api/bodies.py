"""From bytes to frozen requests, without a web framework: the API and the command line read applications alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from marshmallow import Schema, ValidationError

from decision_service.api import strict_json
from decision_service.api.problems import bad_json, invalid_fields
from decision_service.api.schemas import ApplicationSchema
from decision_service.vocabulary import CreditApplication

_APPLICATION = ApplicationSchema()
Declared = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
"""What the rules in force do not admit of those fields that the contract admits, as (field, message) pairs."""


def read(body: bytes) -> dict[str, Any]:
    """One JSON object; raises a 400 or 422 problem."""
    document = strict_json.parse(body)
    if not isinstance(document, dict):
        raise bad_json("the body is not an object", "send one JSON object")
    return document


def application(document: Any) -> CreditApplication:
    """An application from its document; raises a 422 problem that names every field."""
    return cast(CreditApplication, loaded(_APPLICATION, document))


def loaded(schema: Schema, document: Any, declared: Declared = lambda fields: ()) -> Any:
    """What a schema makes of a document; raises a 422 problem that names every field.

    ``declared`` is asked only when fields are wrong, about the others: the caller hears of all mistakes at once.
    """
    try:
        return schema.load(document)
    except ValidationError as error:
        found = set(flat(error.messages))
        sound = error.valid_data if isinstance(error.valid_data, Mapping) else {}
        wrong = {field for field, _ in found}
        more = {(field, why) for field, why in declared(sound) if field not in wrong}
        raise invalid_fields(sorted(found | more)) from None


def flat(messages: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """marshmallow's nested messages as (field, message) pairs."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            here = path if name == "_schema" else f"{path}.{name}" if path else str(name)
            yield from flat(inner, here)
    elif isinstance(messages, str):
        yield path or "body", messages
    else:
        for message in messages:
            yield from flat(message, path)
