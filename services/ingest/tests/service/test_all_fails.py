"""O3: every append fails for a while: few attempts, little work, nothing given up, and it goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from uuid import uuid4

import orjson
import psutil

from argus_contracts.subjects import EVENTS_STREAM, event_subject
from argus_ingest.stream import DURABLE
from argus_local.servers import NatsServer
from argus_testkit import Database, ServiceProcess, eventually
from argus_testkit.faults.scale import pick
from argus_testkit.nats import nats_client

MESSAGES = 200
FAILING_S = pick(8, 60)


def a_message(n: int) -> bytes:
    event = {
        "event_id": str(uuid4()), "kind": "job_epoch", "batch_id": f"b{n % 9}", "job_id": "j",
        "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": n, "metrics": {"loss": 0.5}},
    }  # fmt: skip
    return orjson.dumps({"v": 2, "class": "metrics", "events": [event]})


async def test_a_storm_of_redeliveries_is_none(
    start_service: Callable[..., ServiceProcess], nats_server: NatsServer, database: Database
) -> None:
    env = nats_server.settings.env_for("ingest") | {"ARGUS_DATABASE_URL": database.ingest_url}
    ingest = start_service("argus-ingest", env)

    def n_logged() -> int:
        with database.connect() as connection:
            row = connection.execute("SELECT coalesce(sum(n_events), 0)::int FROM log.record_batches").fetchone()
        assert row is not None
        return row[0]

    with database.connect() as connection:
        connection.execute("ALTER TABLE log.head RENAME TO away")
        async with nats_client(nats_server) as client:
            for n in range(MESSAGES):
                await client.jetstream().publish(event_subject("lab", "ada", f"b{n % 9}"), a_message(n))
        eventually(lambda: tries(ingest) > 0)
        process = psutil.Process(ingest.pid)
        working = [process, *process.children(recursive=True)]
        used, attempts, begun = seconds_of(working), tries(ingest), time.monotonic()
        time.sleep(FAILING_S)  # noqa: ASYNC251
        took = time.monotonic() - begun
        rate, load = (tries(ingest) - attempts) / took, (seconds_of(working) - used) / took
        async with nats_client(nats_server) as client:
            redelivered = (await client.jetstream().consumer_info(EVENTS_STREAM, DURABLE)).num_redelivered or 0
        connection.execute("ALTER TABLE log.away RENAME TO head")
    begun = time.monotonic()
    eventually(lambda: n_logged() == MESSAGES)
    print(
        f"{rate:.1f} attempts/s, {redelivered} redeliveries of {MESSAGES} messages in {took:.0f} s, {load:.0%} of a core; "
        f"back after {time.monotonic() - begun:.1f} s"
    )
    assert rate <= 5
    assert redelivered == 0
    assert load < 0.5
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM log.dead_letters").fetchone() == (0,)
    assert ingest.is_running


def seconds_of(processes: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


def tries(ingest: ServiceProcess) -> int:
    return ingest.logs().count("cannot append")
