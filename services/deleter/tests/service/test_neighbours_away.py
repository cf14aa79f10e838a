"""The broker and the database go away and come back: what was asked for happens all the same, with exact counts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from argus_local.servers import NatsServer
from argus_testkit import eventually_async
from argus_testkit.failpoints import Clock
from argus_testkit.s3_stores import Call, FaultyS3


async def test_a_broker_that_was_away(rig: Any, nats_server: NatsServer) -> None:
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a", "lab/run-2/a")
    service = rig.start(ARGUS_DELETION_GRACE_S="1")
    decision = await rig.delete(run)
    nats_server.kill()
    await asyncio.to_thread(nats_server.start)
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"]) == ("deleted", 1)
    assert service.is_running
    other = rig.query.add("run-2", "s3://outputs/lab/run-2")
    again = await rig.delete(other)
    assert (await rig.end_of(again.results[0].deletion_id, "run-2"))["outcome"] == "deleted"


async def test_a_database_that_cuts_every_connection(around: Any, s3_server: Any) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/c{i % 8}/o{i:04d}" for i in range(2400)))
        service = rig.start()

        def cut(call: Call) -> None:
            if call.is_delete and len(proxy.deletes) in (1, 3, 6):
                with rig.database.connect() as admin:
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE usename = 'argus_deleter' AND datname = current_database()"
                    )

        proxy.before = cut
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects"], end["objects_deleted"], end["bytes_freed"]) == (
            "deleted", 2400, 2400, 24_000,
        ), end  # fmt: skip
        assert service.is_running


async def test_a_lock_that_is_gone_lets_nothing_further_begin(around: Any, s3_server: Any) -> None:
    """Its connection is cut while the others live."""
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/c{i}/o{j:03d}" for i in range(8) for j in range(600)))
        service = rig.start(ARGUS_S3_CALLS_AT_ONCE="1", ARGUS_MEASURE_EVERY_S="3600")

        def cut(call: Call) -> None:
            if call.is_delete and len(proxy.deletes) == 1:
                with rig.database.connect() as admin:
                    admin.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid) "
                        "WHERE locktype = 'advisory' AND usename = 'argus_deleter'"
                    )
            if call.is_delete:
                time.sleep(0.8)

        proxy.before = cut
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects_deleted"], end["bytes_freed"]) == ("deleted", 4800, 48_000), end
        assert service.logs().count("the lock on it is gone") == 1


async def test_a_clock_that_the_store_does_not_believe(rig: Any, tmp_path: Path) -> None:
    """The deleter says what is wrong, touches nothing, and goes on by itself when the clock is right again. (An hour ahead: rclone
    believes every signature of the past.)"""
    clock = Clock(tmp_path / "clock", 3_600.0)
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rest = rig.canary()
    service = rig.start_service("argus-deleter", {**rig.env, **clock.environment}, ready=False)

    async def problems() -> list[str]:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{service.url}/readyz")).json()["problems"]

    async def says_only_this() -> bool:
        found = await problems()
        return len(found) == 1 and found[0].endswith("s ahead of the store's")

    await eventually_async(says_only_this)
    decision = await rig.delete(run)

    assert rig.canary() == rest
    clock.set(0.0)
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"]) == ("deleted", 1)
    assert await problems() == []
