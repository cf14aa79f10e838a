"""Links to Postgres that somebody in the middle has forgotten: both ends are there, and neither hears the other."""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from argus_ingest import database as connections
from argus_ingest.log import SQL
from argus_ingest.migrate import _LOCK, migrate
from argus_testkit import Database
from argus_testkit.proxy import FaultProxy


@pytest.fixture
async def migrated(database: Database) -> Database:
    pool = connections.make_pool(database.ingest_url)
    await pool.open()
    async with pool.connection() as connection:
        await migrate(connection)
    await pool.close()
    return database


@pytest.mark.parametrize("whose", ["ingest", "redrive"])
async def test_a_session_that_is_left_in_the_middle_of_a_pipeline_does_not_keep_the_log_locked(
    migrated: Database, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """To Postgres it is neither idle nor in a statement: the timeouts of these two never run."""
    monkeypatch.setattr(connections, "LONGEST_TRANSACTION_S", 2)
    pool = connections.make_pool(migrated.ingest_url)
    await pool.open()
    try:
        forgotten = await pool.getconn() if whose == "ingest" else await connections.connect(migrated.ingest_url)
        async with await psycopg.AsyncConnection.connect(migrated.ingest_url) as other:
            await other.execute("SET LOCAL lock_timeout = '20s'")
            heads = None
            with contextlib.suppress(psycopg.OperationalError):  # when it hears how it has ended
                async with forgotten.transaction(), forgotten.pipeline():
                    cursor = await forgotten.execute(SQL["lock_head"])
                    await cursor.fetchone()  # it has the lock, and the pipeline stays open
                    heads = await (await other.execute(SQL["lock_head"])).fetchall()
            assert heads
            assert forgotten.closed
        if whose == "ingest":
            await pool.putconn(forgotten)
    finally:
        await pool.close()


async def test_whoever_waits_on_a_silent_link_hears_so_in_time(
    migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection in use is given up after its time, an idle one is not lent any more, a new one works."""
    monkeypatch.setattr(connections, "CHECK_S", 0.5)
    port = psycopg.conninfo.conninfo_to_dict(migrated.ingest_url)["port"]
    with FaultProxy(int(str(port))) as proxy:
        url = migrated.ingest_url.replace(f":{port}/", f":{proxy.port}/")
        pool = connections.make_pool(f"{url}?sslmode=disable")
        await pool.open()
        try:
            async with asyncio.timeout(60):
                with pytest.raises(psycopg.OperationalError):
                    async with connections.lent(pool, 0.5) as connection:
                        await connection.execute("SELECT 1")
                        assert proxy.forget(b"argus-ingest") >= 1
                        await connection.execute("SELECT 1")
                assert connection.closed
            while True:  # until the pool has seen that the others are silent, too
                try:
                    async with connections.lent(pool, 5) as connection:
                        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)
                    break
                except PoolTimeout:
                    continue
        finally:
            await pool.close()


async def test_a_migration_may_take_longer_than_an_append(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for another process that migrates, here for twice the time that an append has."""
    monkeypatch.setattr(connections, "LONGEST_TRANSACTION_S", 1)
    pool = connections.make_pool(database.ingest_url)
    await pool.open()
    try:
        async with (
            await psycopg.AsyncConnection.connect(database.ingest_url) as other,
            pool.connection() as connection,
        ):
            await other.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            migrating = asyncio.create_task(migrate(connection))
            await asyncio.sleep(2)  # the time that must not matter
            assert not migrating.done()
            await other.commit()
            await migrating
    finally:
        await pool.close()
