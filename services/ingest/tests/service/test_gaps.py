"""Gaps in the numbers of a sender are remembered for ever, and so they are bounded: whoever leaves more is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
from psycopg import AsyncConnection

from argus_contracts.subjects import event_subject
from argus_ingest import log
from argus_ingest.accept import Buried, Incoming, accept
from argus_ingest.database import connect
from argus_ingest.log import Appended, LogAppender
from argus_ingest.migrate import migrate
from argus_testkit import Database


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect(database.ingest_url) as connection:
        await migrate(connection)
        yield connection


def numbered(*seqs: int, producer: str = "p1") -> list[Incoming | Buried]:
    """A message of one event for each number."""
    return [
        document
        for seq in seqs
        for document in accept(
            event_subject("lab", "ada", "b1"),
            orjson.dumps({"v": 2, "producer_id": producer, "class": "metrics", "first_seq": seq, "events": [{
                "event_id": str(uuid4()), "kind": "job_epoch", "batch_id": "b1", "job_id": "j",
                "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": seq, "metrics": {"loss": 0.5}},
            }]}),
        )
    ]  # fmt: skip


async def test_a_sender_that_leaves_a_gap_at_every_message_is_refused_in_the_end(
    connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MAX_GAPS", 3)

    async def append(*messages: Incoming | Buried) -> Appended:
        return await LogAppender().append(connection, messages)

    async def received() -> list[Any]:
        rows = await connection.execute("SELECT producer_id, received::text, missing FROM log.producers ORDER BY 1")
        return await rows.fetchall()

    done = await append(*numbered(0, 2, 4, 6, 8), *numbered(0, 1, 2, producer="p2"))
    assert (done.n_events, done.n_buried) == (3 + 3, 2)
    ranges = "{[0,1),[2,3),[4,5)}"
    assert await received() == [("p1", ranges, 2), ("p2", "{[0,3)}", 0)]
    (mark,) = [mark for marks in done.stored.values() for mark in marks if mark.producer_id == "p1"]
    assert (mark.next_seq, mark.ranges) == (1, [(2, 2), (4, 4)]), "who is refused does not hear that he may forget"

    again = await append(*numbered(6))
    assert (again.n_events, again.n_buried) == (0, 1)
    letters = await (await connection.execute("SELECT DISTINCT code FROM log.dead_letters")).fetchall()
    assert letters == [("too_many_gaps",)]

    filled = await append(*numbered(1, 3, 5, 6, 8))
    assert (filled.n_events, filled.n_buried) == (5, 0), "what fills gaps is welcome, and makes room"
    assert await received() == [("p1", "{[0,7),[8,9)}", 1), ("p2", "{[0,3)}", 0)]
