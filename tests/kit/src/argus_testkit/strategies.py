"""Events that nobody thought of, made from the contract's own schemas: a new kind is covered by being listed."""

from __future__ import annotations

import functools
import json
import string
from datetime import UTC, datetime
from typing import Any, cast

from hypothesis import strategies as st

from argus_contracts.freeze import schema_of
from argus_contracts.registry import EVENT_CLASSES

BATCH_ID = "fuzzed"
MAX_INT = 2**53
_TEXT = st.text(max_size=12) | st.sampled_from([
    "", " ", "\x00", "\ud800", "\u202egnp", "a\nb", "\x1b[2J", "NaN", "-Infinity", "1e999", "null", "'; DROP TABLE runs;--", "%", "_", "{}",
    "x" * 1024, "é" * 1025, "x" * 17_000, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "2026-11-21T03:00:00",
])  # fmt: skip
_NUMBERS = st.integers(-5, 1000) | st.sampled_from(
    [0, -1, 2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**400, 0.0, -0.0, 0.1, 1e-320, 1e308, 1e22, True, False]
)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _FLOATS | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=8,
)
"""Any JSON, and some Python that nearly is."""


@functools.cache
def events_of(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    """Events of `kind` as the contract describes them (not always: some of its rules stand in no schema)."""
    schema = schema_of(EVENT_CLASSES[kind])
    return cast("st.SearchStrategy[dict[str, Any]]", _values(schema, json.dumps(schema.get("$defs", {}))))


def mutated(events: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """The same with one thing wrong in it, somewhere."""
    return st.builds(_spoil, events, st.randoms(use_true_random=False), ANYTHING, _TEXT)


def near_events(kinds: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Events of these kinds, every other one nearly."""
    good = st.sampled_from(kinds).flatmap(events_of)
    return good | mutated(good)


def _values(schema: dict[str, Any], defs: str) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return st.deferred(lambda: _definition(schema["$ref"], defs))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([_values(one, defs) for one in schema["anyOf"]])
    match schema.get("type"):
        case "object":
            return _objects(schema, defs)
        case "array":
            inner = _values(schema.get("items", {}), defs)
            return st.lists(inner, min_size=schema.get("minItems", 0), max_size=min(schema.get("maxItems", 4), 4))
        case "string":
            return _strings(schema)
        case "integer":
            low, high = schema.get("minimum", -MAX_INT), schema.get("maximum", MAX_INT)
            return st.integers(low, min(high, low + 100)) | st.sampled_from([low, high])
        case "number":
            low = schema.get("minimum", schema.get("exclusiveMinimum"))
            high = schema.get("maximum", schema.get("exclusiveMaximum"))
            return st.floats(low, high, allow_nan=False, allow_infinity=False, exclude_max="exclusiveMaximum" in schema)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return ANYTHING


@functools.cache
def _definition(reference: str, defs: str) -> st.SearchStrategy[Any]:
    return _values(json.loads(defs)[reference.rpartition("/")[2]], defs)


def _objects(schema: dict[str, Any], defs: str) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: _field(name, one, defs) for name, one in schema.get("properties", {}).items()}
    needed = set(schema.get("required", ()))
    known = st.fixed_dictionaries(
        {name: one for name, one in fields.items() if name in needed},
        optional={name: one for name, one in fields.items() if name not in needed},
    )
    extra = schema.get("additionalProperties")
    if not extra:
        return known
    names = _strings(schema.get("propertyNames", {"minLength": 1, "maxLength": 20}))
    inner = ANYTHING if extra is True else _values(extra, defs)
    return st.builds(lambda given, more: {**more, **given}, known, st.dictionaries(names, inner, max_size=3))


def _field(name: str, schema: dict[str, Any], defs: str) -> st.SearchStrategy[Any]:
    if name == "batch_id" and "const" not in schema:
        return st.just(BATCH_ID)
    if name == "job_id":
        return st.sampled_from(["j1", "j2", "Ⅷ-j 10"]) if schema.get("type") != "null" else st.none()
    if name == "version":
        return st.just(1)  # the schema takes every future one
    return _values(schema, defs)


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), schema.get("maxLength", 40)
    match schema.get("format"):
        case "uuid":
            return st.uuids().map(str)
        case "date-time":
            moments = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))
            return moments.map(datetime.isoformat)
    if "pattern" in schema:
        return st.text(string.ascii_letters + string.digits, min_size=max(low, 1), max_size=16)
    return st.text(min_size=low, max_size=min(high, 20)) | st.sampled_from(["x" * min(high, 300), "x" * high])


def _spoil(event: dict[str, Any], chance: Any, value: Any, name: str) -> dict[str, Any]:
    """`event` with one value changed, one field taken away, or one added; at any depth."""
    whole: dict[str, Any] = json.loads(json.dumps(event))
    place: Any = whole
    while True:
        inner = [
            one
            for one in (place.values() if isinstance(place, dict) else place)
            if isinstance(one, dict | list) and one
        ]
        if not inner or chance.random() < 0.4:
            break
        place = chance.choice(inner)
    if isinstance(place, list):
        place[chance.randrange(len(place))] = value
    elif (how := chance.random()) < 0.2:
        place[name] = value
    elif how < 0.3:
        place.pop(chance.choice(list(place)))
    else:
        place[chance.choice(list(place))] = value
    return whole
