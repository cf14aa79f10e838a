"""Reads records from the log in the order of their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

import orjson
import zstandard
from psycopg import AsyncConnection

from argus_contracts.quantities import RetentionClass
from argus_query.facts import storable
from argus_query.isolate import Failure
from argus_query.read_model import Record
from argus_query.sql import load

_SQL = load(__package__ or "", "positions.sql")
_DECOMPRESSOR = zstandard.ZstdDecompressor()
_MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
_FIRST_ROWS, _MOST_ROWS = 32, 1_000
BEGINNING = date.min


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the log at the end of a record. `day`: of that record; nothing behind it has an earlier one."""

    position: int
    day: date
    received_at: datetime | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records in log order, and where the log goes on behind them. `broken`: rows whose payload nobody can read."""

    records: list[Record]
    end: Cursor
    first_days: dict[date, int]
    """The days in it with the first position seen of each."""
    broken: list[Failure]
    more: bool

    @property
    def n_events(self) -> int:
        return sum(len(record.events) for record in self.records)


class UnreadablePayload(Exception):
    """The payload of a record is not what ingest writes."""


def decode_events(payload: bytes) -> list[dict[str, Any]]:
    """The events of a record's payload. `UnreadablePayload` where it is damaged."""
    try:
        raw = _DECOMPRESSOR.decompress(payload, max_output_size=_MAX_PAYLOAD_BYTES)
        events = orjson.loads(raw)["events"]
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise UnreadablePayload(str(error)) from None
    # Only a payload with this escape can hold a NUL character; looking costs nothing beside the parsing.
    return storable(events) if b"\\u0000" in raw else events


async def read_chunk(
    connection: AsyncConnection[Any], after: Cursor, max_events: int, max_bytes: int, up_to: int | None = None
) -> Chunk:
    """Records behind `after`, until they have `max_events` events or `max_bytes` compressed bytes, none behind `up_to`.

    At least one record where there is one.
    """
    records: list[Record] = []
    broken: list[Failure] = []
    days: dict[date, int] = {}
    end, n_events, n_bytes, limit = after, 0, 0, _FIRST_ROWS
    while n_events < max_events and n_bytes < max_bytes:
        cursor = connection.cursor(binary=True)
        await cursor.execute(_SQL["read_records"], [end.position, end.day, limit])
        rows = await cursor.fetchall()
        for row in rows:
            day, first_position, last_position, received_at = row[1:5]
            if up_to is not None and last_position > up_to:
                return Chunk(records, end, days, broken, more=False)
            if n_events >= max_events or n_bytes >= max_bytes:
                return Chunk(records, end, days, broken, more=True)
            days.setdefault(day, first_position)
            n_bytes += len(row[9])
            n_events += last_position - first_position + 1
            try:
                records.append(record_of(row))
            except (UnreadablePayload, KeyError, TypeError, ValueError) as error:
                broken.append(Failure("log", first_position, row[7], None, None, repr(error)))
            end = Cursor(last_position, day, received_at)
        if len(rows) < limit:
            return Chunk(records, end, days, broken, more=False)
        limit = min(_MOST_ROWS, limit * 2)
    return Chunk(records, end, days, broken, more=True)


def record_of(row: Sequence[Any]) -> Record:
    """row: as `read_records` selects it. `UnreadablePayload`, `KeyError`, `TypeError` or `ValueError` where it is damaged."""
    retention_class, _, first_position, _, received_at, workspace, user, batch_id, producer_id, payload = row
    events = decode_events(payload)
    return Record(
        first_position=first_position,
        workspace=workspace,
        user=user,
        batch_id=batch_id,
        retention_class=cast("RetentionClass", retention_class),
        producer_id=producer_id,
        received_at=received_at.astimezone(UTC),
        events=events,
    )
