"""Ended runs' outputs are listed once, and again when somebody asks; what cannot be listed is not tried all the time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from argus_contracts.queries.outputs import Unmeasured
from argus_local.servers import S3Server
from argus_testkit import eventually, eventually_async
from argus_testkit.s3_stores import FaultyS3


def wanting(rig: Any, batch_id: str, output_dir: str) -> Any:
    run = rig.query.add(batch_id, output_dir)
    rig.query.unmeasured.append(
        Unmeasured(
            cursor=batch_id,
            batch_id=batch_id,
            workspace="lab",
            output_dir=output_dir,
            ended_at=datetime.now(UTC),
            lifecycle_position=100,
        )
    )
    return run


async def measured(rig: Any, batch_id: str) -> list[dict[str, Any]]:
    return [fact["data"] for fact in await rig.facts(batch_id) if fact["kind"] == "outputs_measured"]


async def test_once_for_each_end_and_whenever_somebody_asks(around: Any, s3_server: S3Server) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = wanting(rig, "run-1", "s3://outputs/lab/run-1")
        strange = wanting(rig, "strange", "s3://secrets/run-1")
        rig.put(*(f"lab/run-1/c{i % 3}/o{i}" for i in range(30)), "lab/run-10/x")
        rig.start()
        first = await eventually_async(lambda: measured(rig, "run-1"))
        assert first == [
            {"bytes": 300, "objects": 30, "by_storage_class": {"STANDARD": 300}, "lifecycle_position": 100}
        ]
        rig.put("lab/run-1/more")
        n_calls = len(proxy.calls)
        for _ in range(3):  # hints make it ask anew at once
            await rig.nats.publish("argus.live.x", b"{}")
            asked = len(rig.query.asked)
            await eventually_async(lambda since=asked: len(rig.query.asked) > since)
        assert len(proxy.calls) - n_calls <= 1  # a look of /readyz
        decision = await rig.measure(run, strange)
        assert [one.skipped for one in decision.results] == [None, "refused"]
        await eventually_async(lambda: _has(rig, "run-1", 2))
        assert (await measured(rig, "run-1"))[1]["bytes"] == 310
        assert await measured(rig, "strange") == []
        with rig.database.connect("deleter") as connection:
            problem = connection.execute(
                "SELECT problem FROM deleter.measurements WHERE batch_id = 'strange'"
            ).fetchone()
        assert "outside of the roots" in str(problem)


async def test_runs_that_can_never_be_measured_do_not_hide_others(rig: Any) -> None:
    for number in range(1_001):
        wanting(rig, f"strange-{number}", f"s3://secrets/{number}")
    wanting(rig, "run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rig.start()
    assert (await eventually_async(lambda: measured(rig, "run-1")))[0]["bytes"] == 10


async def test_what_still_counts_as_unmeasured_a_day_later_is_measured_again(rig: Any) -> None:
    """As where a run's own clock was ahead when it ended."""
    wanting(rig, "run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rig.start()
    await eventually_async(lambda: _has(rig, "run-1", 1))
    with rig.database.connect("deleter") as connection:
        connection.execute("UPDATE deleter.measurements SET look_at = look_at - interval '25 hours'")

    async def is_measured_again() -> bool:
        await rig.nats.publish("argus.live.x", b"{}")
        return await _has(rig, "run-1", 2)

    await eventually_async(is_measured_again)


async def _has(rig: Any, batch_id: str, n: int) -> bool:
    return len(await measured(rig, batch_id)) == n


async def test_not_while_a_deletion_is_on_its_way(rig: Any) -> None:
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rig.start(ARGUS_DELETION_GRACE_S="600")
    decision = await rig.delete(run)
    assert (await rig.measure(run)).results[0].skipped == "in_flight"
    wanting(rig, "run-1", "s3://outputs/lab/run-1")
    await rig.nats.publish("argus.live.x", b"{}")

    async def is_remembered() -> bool:
        with rig.database.connect("deleter") as connection:
            row = connection.execute("SELECT problem FROM deleter.measurements WHERE batch_id = 'run-1'").fetchone()
        return row is not None and row[0] is not None

    await eventually_async(is_remembered)
    assert await rig.kinds("run-1") == ["requested"]
    assert (await rig.cancel(decision.results[0].deletion_id, run)).outcome == "accepted"


async def test_health_names_what_is_wrong(rig: Any, s3_server: S3Server, nats_server: Any) -> None:
    service = rig.start(ARGUS_OUTPUT_ROOTS="s3://outputs/lab/")
    metrics = (await asyncio.to_thread(httpx.get, f"{service.url}/metrics")).text
    assert 'argus_deleter_deletions{state="running"} 0.0' in metrics
    assert "argus_deleter_outbox_lag 0.0" in metrics
    assert (await asyncio.to_thread(httpx.get, f"{service.url}/healthz")).status_code == 200
    other = rig.start_service("argus-deleter", {**rig.env, "ARGUS_OUTPUT_ROOTS": "s3://nowhere/"}, ready=False)
    answer = await asyncio.to_thread(eventually, lambda: httpx.get(f"{other.url}/readyz", timeout=20))
    await asyncio.to_thread(
        eventually,
        lambda: (
            ["nowhere" in str(one) for one in httpx.get(f"{other.url}/readyz", timeout=20).json()["problems"]] == [True]
        ),
    )
    assert answer.status_code == 503
    os.kill(other.pid, signal.SIGTERM)
    await asyncio.to_thread(eventually, lambda: not other.is_running)
    assert other.process is not None
    assert other.process.returncode == 0


def test_a_wrong_setting_is_one_clear_line() -> None:
    program = Path(sys.executable).with_name("argus-deleter")
    env = {
        "PATH": os.environ["PATH"],
        "ARGUS_DATABASE_URL": "x",
        "ARGUS_NATS_URL": "x",
        "ARGUS_OUTPUT_ROOTS": "s3://a/../b",
    }
    ended = subprocess.run([program], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("argus-deleter: ARGUS_OUTPUT_ROOTS: ")
    assert ended.stderr.count("\n") == 1
