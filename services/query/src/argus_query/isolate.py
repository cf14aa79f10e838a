"""Folding that survives an event which a read model cannot take: a bug of ours, never a reason to stop or to skip it
silently."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.errors import PipelineAborted

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
    connection: AsyncConnection[Any],
    models: Sequence[ReadModel],
    records: Sequence[Record],
    when_sent: Callable[[], None] | None = None,
) -> list[Failure]:
    """The tables of `models` tell of `records` too, but for the events that are answered. Call in a transaction.

    Statements are sent without waiting for the answer to the one before, so PostgreSQL works on the rows of one read
    model while those of the next are made; when_sent: called when only PostgreSQL still has something to do. Where
    anything fails, all is taken back, and done one after the other. Passing trouble of the database is raised.
    """
    if not records:
        return []
    try:
        async with connection.transaction(), connection.pipeline():
            for model in models:  # first of all, because whoever reads waits for all that was sent before
                await model.load(connection, records)
            for model in models:
                await fold_into(connection, model, records)
            if when_sent is not None:
                when_sent()
    except Exception as error:
        for model in models:
            model.forget()
        # Which statement failed, and why, is then better asked one by one.
        if is_passing(error) and not isinstance(error, PipelineAborted):
            raise
        _log.warning("looking for the read model that cannot take something: %r", error)
    else:
        return []
    failures: list[Failure] = []
    for model in models:
        failures += await _fold_alone(connection, model, records)
    return failures


async def fold_into(connection: AsyncConnection[Any], model: ReadModel, records: Sequence[Record]) -> None:
    """`model` was told of `records`, and its statements are on their way."""
    await model.fold(connection, records)


async def _fold_alone(connection: AsyncConnection[Any], model: ReadModel, records: Sequence[Record]) -> list[Failure]:
    """As `fold_all_but_failures`. What fails is halved until the event is found."""
    try:
        async with connection.transaction():
            await model.load(connection, records)
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
        return [*await _fold_alone(connection, model, first), *await _fold_alone(connection, model, second)]
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
