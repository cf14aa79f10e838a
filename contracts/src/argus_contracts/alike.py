"""Many events of one batch, checked at once by the rules of their classes, without making an object of each."""

from __future__ import annotations

from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreSchema, SchemaValidator

from argus_contracts.registry import EVENT_CLASSES


class Alike(NamedTuple):
    """What the events of a list have in common."""

    kinds: frozenset[str]
    batch_id: str


def alike(events: list[Any]) -> Alike | None:
    """The kinds and the batch of `events` where all of them are valid and of one batch; None where each must be looked at.

    What this takes, `argus_contracts.registry.parse_event` takes too. It takes half the time.
    """
    try:
        kinds = frozenset(map(itemgetter("kind"), events))
    except (TypeError, KeyError):
        return None
    batch_ids: set[str] = set()
    for kind in kinds:
        if kind not in EVENT_CLASSES:
            return None
        of_kind = events if len(kinds) == 1 else [event for event in events if event["kind"] == kind]
        try:
            checked = _validator(kind).validate_python(of_kind)
        except ValidationError:
            return None
        batch_ids.update(event["batch_id"] for event in checked)
        if max(event.get("version", 1) for event in checked) > EVENT_CLASSES[kind].VERSION:
            return None
    return Alike(kinds, batch_ids.pop()) if len(batch_ids) == 1 else None


@cache
def _validator(kind: str) -> SchemaValidator:
    schema = _without_objects(TypeAdapter(EVENT_CLASSES[kind]).core_schema)
    return SchemaValidator(cast("CoreSchema", {"type": "list", "items_schema": schema, "strict": True}))


def _without_objects(schema: Any) -> Any:
    """pydantic's compiled form of a class, with a plain dict in place of each model. Every other rule stays."""
    if isinstance(schema, list):
        return [_without_objects(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    fields = cast("dict[str, Any]", schema)
    if fields.get("type") == "model":
        return _without_objects(fields["schema"])
    if fields.get("type") == "model-fields":
        return {
            "type": "typed-dict",
            "fields": {name: _field(field) for name, field in fields["fields"].items()},
        }
    return {name: _without_objects(value) for name, value in fields.items()}


def _field(field: dict[str, Any]) -> dict[str, Any]:
    """A field with a default may be missing, and then is: filling it in would cost a copy of the default."""
    schema = field["schema"]
    has_default = schema["type"] == "default"
    return {
        **{name: value for name, value in field.items() if name not in ("type", "schema", "metadata")},
        "type": "typed-dict-field",
        "schema": _without_objects(schema["schema"] if has_default else schema),
        "required": not has_default,
    }
