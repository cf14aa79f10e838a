"""The log itself: many writers and a reader that follows, and a database that does not keep what it promised."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any
from zlib import crc32

import httpx
import psycopg
import pytest
from psycopg import AsyncConnection

from argus_contracts.subjects import event_subject
from argus_ingest.accept import Incoming, accept
from argus_ingest.log import LogAppender
from argus_ingest.migrate import migrate
from argus_local.servers import NatsServer, PostgresServer
from argus_query.log_reader import BEGINNING, Cursor, read_chunk
from argus_testkit import Database, eventually
from argus_testkit.faults import pick, seeded
from argus_testkit.plugin import StartService

N_WRITERS = 8
N_APPENDS = pick(25, 400)
"""Of each writer."""
SLOWEST_COMMIT_S = pick(0.02, 0.2)


class RolledBack(Exception):
    """The writer changed its mind after it had written."""


def message(batch_id: str, first_seq: int, count: int) -> Incoming:
    events = ",".join(
        f'{{"event_id":"01900000-0000-7000-8000-{crc32(batch_id.encode()) % 2**24:06x}{first_seq + n:06x}","kind":"job_epoch",'
        f'"version":1,"batch_id":"{batch_id}","job_id":"job-0","attempt":1,"occurred_at":"2026-11-21T03:00:00Z",'
        f'"data":{{"step":{first_seq + n},"metrics":{{"value":0.5}}}}}}'
        for n in range(count)
    )
    body = f'{{"v":2,"producer_id":"p-{batch_id}","class":"metrics","first_seq":{first_seq},"events":[{events}]}}'
    [taken] = accept(event_subject("lab", "ada", batch_id), body.encode())
    assert isinstance(taken, Incoming), taken
    assert taken.n_events == count, "nothing is proved with refused events"
    return taken


async def write(url: str, batch_id: str, dice: random.Random) -> int:
    """Appends as ingest does, each commit a while after the rows were written, one in twenty rolled back and repeated.
    Answers how many events it has committed."""
    appender, said = LogAppender(), 0
    async with await AsyncConnection.connect(url) as connection:
        while said < N_APPENDS * 3:
            with contextlib.suppress(RolledBack):
                async with connection.transaction():
                    await appender.append(connection, [message(batch_id, said, 3)])
                    await asyncio.sleep(dice.uniform(0, SLOWEST_COMMIT_S))
                    if dice.random() < 0.05:
                        raise RolledBack
                said += 3
    return said


async def follow(url: str, ended: asyncio.Event, seen: list[int]) -> None:
    """Reads on from where it stands, as the projector does, until the end and once more; notes every position it is given."""
    cursor = Cursor(0, BEGINNING, None)
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            last = ended.is_set()
            chunk = await read_chunk(connection, cursor, 50, 2**20)
            for record in chunk.records:
                seen += range(record.first_position, record.first_position + len(record.events))
            if chunk.end.position == cursor.position:
                if last:
                    return
                await asyncio.sleep(0.001)
            cursor = chunk.end


async def test_d3_a_reader_that_follows_eight_writers_misses_nothing(database: Database) -> None:
    """D3: eight appenders with random pauses before their commits, some rolled back, and somebody with an open transaction: a
    reader that follows by position is given every position once, in order."""
    dice = seeded("D3")
    async with await AsyncConnection.connect(database.ingest_url) as connection:
        await migrate(connection)
    ended, seen = asyncio.Event(), list[int]()
    with psycopg.connect(database.ingest_url) as somebody:
        somebody.execute("INSERT INTO log.batches VALUES ('other', 'lab', 'bob')")  # open all the while
        following = asyncio.create_task(follow(database.query_url, ended, seen))
        began = time.monotonic()
        writers = [write(database.ingest_url, f"b{n}", random.Random(dice.getrandbits(32))) for n in range(N_WRITERS)]
        committed = sum(await asyncio.gather(*writers))
        print(f"{committed} events in {time.monotonic() - began:.1f} s")
        ended.set()
        await following
    assert committed == N_WRITERS * N_APPENDS * 3
    assert seen == list(range(1, committed + 1))


async def test_d3_nobody_writes_without_the_lock(database: Database) -> None:
    """D3: other services may not write into the log at all, and who may cannot do it past the lock: a row that does not take the
    next positions is refused, and one that does waits for whoever appends."""
    async with await AsyncConnection.connect(database.ingest_url) as connection:
        await migrate(connection)
        await LogAppender().append(connection, [message("b1", 0, 3)])
    row = (
        "INSERT INTO log.record_batches SELECT %s, %s, n_events, class, day, received_at, workspace, user_name, batch_id,"
        " producer_id, payload FROM log.record_batches LIMIT 1"
    )
    two_rows = (
        "INSERT INTO log.record_batches SELECT n.first, n.last, n_events, class, day, received_at, workspace, user_name,"
        " batch_id, producer_id, payload FROM log.record_batches, (VALUES (%s, %s), (%s, %s)) AS n (first, last)"
    )
    refused = (psycopg.errors.ObjectNotInPrerequisiteState, psycopg.errors.UniqueViolation)
    for role in ("query", "gateway"):
        with database.connect(role) as other, pytest.raises(psycopg.errors.InsufficientPrivilege):
            other.execute(row, [4, 6])
    with database.connect("ingest") as writer, database.connect("ingest") as second:
        for first in (1, 3, 5, 1000):
            with pytest.raises(refused):
                second.execute(row, [first, first + 2])
        for places in ([4, 6, 8, 9], [4, 6, 6, 8], [4, 6, 5, 6], [4, 3, 5, 6], [7, 9, 5, 6], [4, 6, 1, 3]):
            with pytest.raises(refused):
                second.execute(two_rows, places)
        partitions = second.execute(
            "SELECT relid::regclass::text FROM pg_partition_tree('log.record_batches') WHERE level > 0"
        )
        for (partition,) in partitions.fetchall():
            with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
                second.execute(row.replace("log.record_batches", partition, 1), [4, 6])
        second.execute("SET lock_timeout = '300ms'")
        with writer.transaction():
            writer.execute("SELECT next_position FROM log.head FOR UPDATE")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                second.execute(row, [4, 6])
        second.execute(row, [4, 6])
        assert second.execute("SELECT next_position FROM log.head").fetchone() == (7,)
        second.execute("DELETE FROM log.record_batches WHERE first_position = 1")
        second.execute(two_rows, [10, 11, 7, 9])
        assert second.execute("SELECT next_position FROM log.head").fetchone() == (12,)


@pytest.mark.parametrize("setting", ["fsync", "synchronous_commit", "full_page_writes"])
def test_d6_a_database_that_may_forget_is_not_good_enough(
    start_service: StartService,
    nats_server: NatsServer,
    postgres_server: PostgresServer,
    own_database: Database,
    setting: str,
) -> None:
    """D6: with `fsync`, `synchronous_commit` or `full_page_writes` off ingest is not ready and says why; with it on again it is."""
    environment = {**nats_server.settings.env_for("ingest"), "ARGUS_DATABASE_URL": own_database.ingest_url}
    with psycopg.connect(postgres_server.admin_url, autocommit=True) as admin:
        set_to(admin, setting, "off")
        ingest = start_service("argus-ingest", environment, ready=False)
        words = f"Postgres runs with {setting} = off"
        eventually(lambda: words in str(readiness(ingest.url)), 60, "ingest says why it is not ready")
        assert httpx.get(f"{ingest.url}/readyz", timeout=10).status_code == 503
        set_to(admin, setting, "on")
        eventually(lambda: readiness(ingest.url).get("ready"), 60, "ingest is ready")


def set_to(admin: psycopg.Connection, setting: str, value: str) -> None:
    change: Any = f"ALTER SYSTEM SET {setting} = {value}"
    admin.execute(change)
    admin.execute("SELECT pg_reload_conf()")


def readiness(url: str) -> dict[str, Any]:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).json()
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error
