"""Decisions as facts for the log: documents of the wire, with ids that a repeat keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID, uuid5

import orjson

from argus_contracts.quantities import MAX_EVENTS_PER_MESSAGE
from argus_deleter.output_deletion import OutputDeletion

PRODUCER = "deleter"
_FACTS = UUID("5b0b9a54-5a0c-5a0f-8f21-2f5f7f0c3f5e")
MAX_ERRORS, MAX_ERRORS_BYTES = 100, 32 * 1024
"""Of a fact. All of them stay in the deleter's own tables."""
DOCUMENT_BYTES = 200 * 1024


def fact_of(decision: Any, batch_id: str) -> dict[str, Any] | None:
    """The event of the contract that states `decision`; None where nobody outside need know it."""
    if isinstance(decision, OutputDeletion.Created):
        return None
    return {
        "event_id": str(event_id_of(decision.originator_id, decision.originator_version)),
        "kind": decision.TOPIC,
        "version": 1,
        "batch_id": batch_id,
        "job_id": None,
        "occurred_at": decision.timestamp.isoformat(),
        "data": decision.data,
    }


def event_id_of(originator_id: UUID, version: int) -> UUID:
    return uuid5(_FACTS, f"{originator_id}:{version}")


def documents(facts: Iterable[dict[str, Any]]) -> list[bytes]:
    """Facts about one run as documents of the wire, each within its limits; the order stays."""
    found: list[bytes] = []
    some: list[bytes] = []
    size = 0
    for fact in facts:
        raw = encoded(fact)
        if some and (size + len(raw) > DOCUMENT_BYTES or len(some) == MAX_EVENTS_PER_MESSAGE):
            found.append(_document(some))
            some, size = [], 0
        some.append(raw)
        size += len(raw) + 1
    return [*found, _document(some)] if some else found


def encoded(said: dict[str, Any]) -> bytes:
    """As JSON. What JSON or the log cannot hold is replaced: one odd fact shall not keep all those behind it from being said."""
    try:
        return orjson.dumps(said)
    except orjson.JSONEncodeError:
        return orjson.dumps(_sound(said), default=str)


def _sound(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_sound(str(name)): _sound(one) for name, one in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_sound(one) for one in cast("list[Any]", value)]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)
    return value


def _document(events: list[bytes]) -> bytes:
    return b'{"v":2,"producer_id":"%s","class":"lifecycle","events":[%s]}' % (PRODUCER.encode(), b",".join(events))


def capped(errors: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of them, as many as a fact has room for."""
    found: list[dict[str, Any]] = []
    size = 0
    for one in errors:
        size += len(encoded(one)) + 1
        if len(found) == MAX_ERRORS or size > MAX_ERRORS_BYTES:
            break
        found.append(one)
    return found
