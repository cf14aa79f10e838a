"""Folding that survives an event which a read model cannot take: a bug of ours, never a reason to stop or to skip it
silently."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.database import is_passing
from argus_query.read_model import ReadModel, Record

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """An event that a read model could not take, or (`slice` = `log`) a record that nobody can read."""

    slice: str
    position: int
    batch_id: str
    event_id: str | None
    kind: str | None
    traceback: str

    def row(self) -> list[Any]:
        return [self.slice, self.position, self.batch_id, self.event_id, self.kind, self.traceback.replace("\0", "�")]


async def fold_all_but_failures(
    connection: AsyncConnection[Any], model: ReadModel, records: Sequence[Record]
) -> list[Failure]:
    """The tables of `model` tell of `records` too, but for the events that are answered. Call in a transaction.

    What fails is halved until the event is found. Passing trouble of the database is raised.
    """
    if not records:
        return []
    try:
        async with connection.transaction():
            await model.fold(connection, records)
    except Exception as error:
        model.forget()
        if is_passing(error):
            raise
        halves = _halves(records)
        if halves is None:
            return [_failure(model, records[0])]
        _log.warning("read model %s: looking for the event that it cannot take", model.name)
        first, second = halves
        return [
            *await fold_all_but_failures(connection, model, first),
            *await fold_all_but_failures(connection, model, second),
        ]
    return []


def _halves(records: Sequence[Record]) -> tuple[Sequence[Record], Sequence[Record]] | None:
    """Two parts of `records`; of a single record, of its events. None: it is one event."""
    if len(records) > 1:
        middle = len(records) // 2
        return records[:middle], records[middle:]
    record = records[0]
    middle = len(record.events) // 2
    if middle == 0:
        return None
    first = dataclasses.replace(record, events=record.events[:middle], times=record.times[:middle])
    second = dataclasses.replace(
        record,
        first_position=record.first_position + middle,
        events=record.events[middle:],
        times=record.times[middle:],
    )
    return [first], [second]


def _failure(model: ReadModel, record: Record) -> Failure:
    event = record.events[0]
    _log.error("read model %s cannot take the event at position %d", model.name, record.first_position)
    return Failure(
        slice=model.name,
        position=record.first_position,
        batch_id=record.batch_id,
        event_id=event.get("event_id"),
        kind=event.get("kind"),
        traceback=traceback.format_exc()[-20_000:],
    )
