"""Append to the log: many messages in one transaction, under one short lock, every event at most once."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import zstandard
from psycopg import AsyncConnection

from argus_contracts.envelope import Stored
from argus_contracts.errors import NotTheOwner, Refused, TooManyGaps, UnknownBatch
from argus_ingest import ranges
from argus_ingest.accept import Buried, Incoming
from argus_ingest.json_bytes import event_slices
from argus_ingest.ranges import Range
from argus_ingest.sql import statements

SQL = statements("log")
DAYS_AHEAD = 3
"""Partitions are made this early, so that midnight finds them."""

MAX_RANGES = 100
"""A watermark names at most so many ranges above the first hole."""

MAX_GAPS = 10_000
"""In the numbers of one producer and class, which are read and written at each of its appends. The SDK leaves one where it
drops a piece of 4 MiB of its spool: so many are 40 GB of dropped lines of one run."""

_RECORD_TYPES = (
    "int8", "int8", "int4", "text", "date", "timestamptz", "text", "text", "text", "text", "bytea",
)  # fmt: skip
ProducerKey = tuple[str, str, str, str]
"""workspace, user, producer_id, retention class"""


@dataclass(slots=True)
class Appended:
    """What one commit did."""

    n_events: int
    n_repeats: int
    n_buried: int
    last_position: int
    stored: dict[tuple[str, str], list[Stored]]
    """Watermarks to publish one by one, by (workspace, user)."""
    stored_in_bundles: dict[tuple[str, str], list[Stored]]
    """The same of producers that were heard in bundles only: these understand lists."""


class LogAppender:
    """Appends through one connection at a time; knows which days have partitions."""

    def __init__(self) -> None:
        self._days: set[date] = set()
        self._compressor = zstandard.ZstdCompressor(level=1)

    async def append(self, connection: AsyncConnection[Any], arrived: Sequence[Incoming | Buried]) -> Appended:
        """All of `arrived` is dealt with: new events stand in the log, repeats changed nothing, the rest is buried.

        One transaction. Any error of the database leaves everything as it was, and the same call may be repeated, also
        where it is unknown whether the commit happened.
        """
        incoming = [message for message in arrived if isinstance(message, Incoming)]
        buried = [message for message in arrived if isinstance(message, Buried)]
        for message in incoming:
            buried += message.buried
        async with connection.transaction():
            position, received_at = await self._lock_head(connection)
            await self._make_days(connection, received_at)
            buried += await self._refuse_foreigners(connection, incoming)
            received = await self._received(connection, incoming)
            buried += _refuse_further_gaps(incoming, received)
            fresh = await self._fresh(connection, incoming, received)
            rows: list[tuple[Any, ...]] = []
            first = position
            for message, n_events, payload in fresh:
                last = position + n_events - 1
                rows.append((
                    position, last, n_events, message.retention_class, received_at.date(), received_at,
                    message.source.workspace, message.source.user, message.batch_id, message.producer_id,
                    self._compressor.compress(payload),
                ))  # fmt: skip
                position = last + 1
            async with connection.cursor() as cursor:
                if rows:
                    async with cursor.copy(SQL["append_record_batches"]) as copy:
                        copy.set_types(_RECORD_TYPES)
                        for row in rows:
                            await copy.write_row(row)
                    await cursor.execute(SQL["move_head"], {"next_position": position, "received_at": received_at})
                    await cursor.execute(SQL["notify"], {"position": position - 1})
                await self._remember_received(connection, received)
                if buried:
                    await cursor.executemany(SQL["bury"], [_grave(letter) for letter in buried])
        n_new = position - first
        n_offered = sum(message.n_events for message in incoming)
        alone = {_producer_key(message) for message in incoming if not message.bundled}
        return Appended(
            n_new, n_offered - n_new, len(buried), position - 1,
            stored=_watermarks({key: known for key, known in received.items() if key in alone}),
            stored_in_bundles=_watermarks({key: known for key, known in received.items() if key not in alone}),
        )  # fmt: skip

    def forget(self) -> None:
        """Nothing that was learned about the tables is trusted any more (after an error, or a restored database)."""
        self._days.clear()

    async def _lock_head(self, connection: AsyncConnection[Any]) -> tuple[int, datetime]:
        row = await (await connection.execute(SQL["lock_head"])).fetchone()
        if row is None:
            raise RuntimeError("log.head has no row: the schema was made by nobody, or by half")
        return row[0], row[1].astimezone(UTC)

    async def _make_days(self, connection: AsyncConnection[Any], now: datetime) -> None:
        if now.date() in self._days:
            return
        days = [now.date() + timedelta(days=n) for n in range(DAYS_AHEAD + 1)]
        for day in days:
            await connection.execute(SQL["make_day"], {"day": day})
        # Only the present day: tomorrow this runs again and stays days ahead.
        self._days = {now.date()}

    async def _refuse_foreigners(self, connection: AsyncConnection[Any], incoming: list[Incoming]) -> list[Buried]:
        """Takes the events of everybody but a batch's owner out of `incoming`; the first to speak is the owner.

        A decision of Argus is kept with the batch it is about, as if its owner had said it; about nobody's batch it is refused.
        What is about a workspace is kept there, and is nobody's.
        """
        said = [message for message in incoming if message.n_events and not message.of_workspace]
        if not said:
            return []
        speaking = {message.batch_id: message for message in reversed(said) if message.source.service is None}
        # One order for everybody, or two appends could wait for each other.
        ids = sorted(speaking)
        await connection.execute(
            SQL["claim_batches"],
            {
                "batch_ids": ids,
                "workspaces": [speaking[i].source.workspace for i in ids],
                "users": [speaking[i].source.user for i in ids],
            },
        )
        about = sorted({message.batch_id for message in said})
        rows = await (await connection.execute(SQL["owners_of_batches"], {"batch_ids": about})).fetchall()
        owners = {batch_id: (workspace, user) for batch_id, workspace, user in rows}
        foreigners: list[Buried] = []
        for message in said:
            owner = owners.get(message.batch_id)
            if message.source.service is not None and owner is not None:
                message.source = dataclasses.replace(message.source, workspace=owner[0], user=owner[1])
            elif owner != (message.source.workspace, message.source.user):
                refused: Refused = NotTheOwner(f"batch {message.batch_id} belongs to somebody else")
                if owner is None:
                    refused = UnknownBatch(f"nobody has said anything of batch {message.batch_id}")
                slices = event_slices(message.raw)
                foreigners += [
                    Buried(refused, message.subject, slices[index], message.source) for index in message.indexes
                ]
                message.n_events = 0
        return foreigners

    async def _received(
        self, connection: AsyncConnection[Any], incoming: list[Incoming]
    ) -> dict[ProducerKey, tuple[str, list[Range]]]:
        """For each numbering producer in `incoming`: its batch, and the seq that were dealt with before.

        The batch is '' where no event could be accepted: a run's gaps are those of its owner's producers.
        """
        known: dict[ProducerKey, tuple[str, list[Range]]] = {}
        for message in incoming:
            if (key := _producer_key(message)) is not None:
                batch_id = message.batch_id if message.n_events else known.get(key, ("", []))[0]
                known[key] = (batch_id, [])
        if known:
            keys = list(known)
            columns = {
                name: [key[i] for key in keys]
                for i, name in enumerate(("workspaces", "users", "producer_ids", "classes"))
            }
            for w, u, p, c, low, high in await (
                await connection.execute(SQL["received_of_producers"], columns)
            ).fetchall():
                known[w, u, p, c][1].append((low, high))
        return known

    async def _fresh(
        self,
        connection: AsyncConnection[Any],
        incoming: list[Incoming],
        received: dict[ProducerKey, tuple[str, list[Range]]],
    ) -> list[tuple[Incoming, int, bytes]]:
        """Each message with how many of its events were never dealt with, and these as JSON. Moves `received` on."""
        unnumbered = {id(m): m.events() for m in incoming if m.first_seq is None and m.n_events}
        new_ids = await self._new_event_ids(
            connection, {_id_of(event) for events in unnumbered.values() for event in events}
        )
        fresh: list[tuple[Incoming, int, bytes]] = []
        for message in incoming:
            key = _producer_key(message)
            some: list[dict[str, Any]] | None = None  # all of them
            if key is None:
                some = []
                for event in unnumbered.get(id(message), []):
                    if (event_id := _id_of(event)) in new_ids:
                        new_ids.discard(event_id)
                        some.append(event)
            else:
                batch_id, before = received[key]
                assert message.first_seq is not None and message.last_seq is not None
                span = (message.first_seq, message.last_seq + 1)
                if ranges.overlaps(before, span):
                    numbered = zip(message.events(), message.seqs, strict=True)
                    some = [event for event, seq in numbered if not ranges.contains(before, seq)]
                if message.whole:
                    [letter] = message.buried
                    letter.numbers = (key[2], message.retention_class, ranges.subtract([span], before))
                received[key] = (batch_id, ranges.add(before, span))
            n_events = message.n_events if some is None else len(some)
            if n_events:
                whole = n_events == message.n_events
                fresh.append((message, n_events, message.payload if whole else orjson.dumps({"events": some})))
        return fresh

    async def _new_event_ids(
        self, connection: AsyncConnection[Any], wanted: set[tuple[UUID, str]]
    ) -> set[tuple[UUID, str]]:
        if not wanted:
            return set()
        in_order = sorted(wanted)
        parameters = {"event_ids": [w[0] for w in in_order], "batch_ids": [w[1] for w in in_order]}
        return {
            (row[0], row[1])
            for row in await (await connection.execute(SQL["remember_event_ids"], parameters)).fetchall()
        }

    async def _remember_received(
        self, connection: AsyncConnection[Any], received: dict[ProducerKey, tuple[str, list[Range]]]
    ) -> None:
        if not received:
            return
        rows = [
            (*key, batch_id, _multirange(known), ranges.missing(known))
            for key, (batch_id, known) in sorted(received.items())
        ]
        await connection.execute(SQL["remember_received"], [list(column) for column in zip(*rows, strict=True)])


def _id_of(event: dict[str, Any]) -> tuple[UUID, str]:
    return UUID(event["event_id"]), event["batch_id"]


def _producer_key(message: Incoming) -> ProducerKey | None:
    if message.producer_id is None or message.first_seq is None:
        return None
    return message.source.workspace, message.source.user, message.producer_id, message.retention_class


def _refuse_further_gaps(
    incoming: list[Incoming], received: dict[ProducerKey, tuple[str, list[Range]]]
) -> list[Buried]:
    """Takes out of `incoming` what would leave a gap too many. Their senders do not hear that they are dealt with."""
    if all(len(numbers) + len(incoming) <= MAX_GAPS for _, numbers in received.values()):
        return []
    refused: list[Buried] = []
    kept: list[Incoming] = []
    known = {key: numbers for key, (_, numbers) in received.items()}
    for message in incoming:
        if (key := _producer_key(message)) is not None:
            assert message.first_seq is not None and message.last_seq is not None
            after = ranges.add(known[key], (message.first_seq, message.last_seq + 1))
            if len(after) > max(MAX_GAPS, len(known[key])):  # what fills a gap is welcome at any time
                reason = TooManyGaps(f"its producer has left {MAX_GAPS} gaps in its numbers already")
                refused.append(Buried(reason, message.subject, message.raw, message.source))
                message.n_events = 0
                continue
            known[key] = after
        kept.append(message)
    incoming[:] = kept
    return refused


def _multirange(numbers: Sequence[Range]) -> str:
    return "{" + ",".join(f"[{low},{high})" for low, high in numbers) + "}"


def _grave(letter: Buried) -> dict[str, Any]:
    """The row of a buried event. The same bytes on the same subject are one row, however often they are delivered."""
    producer_id, retention_class, seqs = letter.numbers or (None, None, None)
    return {
        "fingerprint": hashlib.sha256(letter.subject.encode() + b"\0" + letter.raw).digest(),
        "code": letter.refused.code,
        "reason": letter.refused.reason.replace("\x00", "\ufffd"),
        "subject": letter.subject,
        "workspace": (letter.source.workspace or None) if letter.source else None,
        "user": (letter.source.user or None) if letter.source else None,
        "raw": letter.raw,
        "producer_id": producer_id,
        "class": retention_class,
        "seqs": None if seqs is None else _multirange(seqs),
    }


def _watermarks(received: dict[ProducerKey, tuple[str, list[Range]]]) -> dict[tuple[str, str], list[Stored]]:
    marks: dict[tuple[str, str], list[Stored]] = {}
    for (workspace, user, producer_id, retention_class), (_, known) in received.items():
        next_seq = known[0][1] if known and known[0][0] == 0 else 0
        further = known[1:] if next_seq else known
        marks.setdefault((workspace, user), []).append(
            Stored.model_validate(
                {
                    "producer_id": producer_id,
                    "class": retention_class,
                    "next_seq": next_seq,
                    "ranges": [(low, high - 1) for low, high in further[:MAX_RANGES]],
                }
            )
        )
    return marks
