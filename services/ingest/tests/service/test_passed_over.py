"""A durable that has passed over what is in the stream: after a rollback of the broker's disk nobody would ever get it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import orjson

from argus_contracts.subjects import EVENTS_STREAM, event_subject
from argus_local.servers import NatsServer
from argus_testkit import Database, ServiceProcess, eventually
from argus_testkit.nats import drained, nats_client


def a_message() -> bytes:
    event = {
        "event_id": str(uuid4()), "kind": "job_epoch", "batch_id": "b", "job_id": "j",
        "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": 1, "metrics": {"loss": 0.5}},
    }  # fmt: skip
    return orjson.dumps({"v": 2, "class": "metrics", "events": [event]})


async def test_messages_that_the_durable_has_passed_over_are_delivered(
    start_service: Callable[..., ServiceProcess], nats_server: NatsServer, database: Database, tmp_path: Path
) -> None:
    env = nats_server.settings.env_for("ingest") | {"ARGUS_DATABASE_URL": database.ingest_url}
    start_service("argus-ingest", env).stop()  # it has made stream and durable
    async with nats_client(nats_server) as client:
        for _ in range(3):
            await client.jetstream().publish(event_subject("lab", "ada", "b"), a_message())
    nats_server.stop()
    [messages] = nats_server.settings.folder.rglob("msgs")
    shutil.copytree(messages, tmp_path / "kept")
    nats_server.start()
    ingest = start_service("argus-ingest", env)
    async with nats_client(nats_server) as client:
        await drained(client)
        ingest.stop()
    nats_server.stop()
    shutil.rmtree(messages)
    shutil.copytree(tmp_path / "kept", messages)
    nats_server.start()
    async with nats_client(nats_server) as client:
        assert (await client.jetstream().stream_info(EVENTS_STREAM)).state.messages == 3
        ingest = start_service("argus-ingest", env)
        eventually(lambda: "the broker lost data" in ingest.logs())  # two looks, 5 s apart
        await drained(client)
    with database.connect() as connection:
        assert connection.execute("SELECT sum(n_events)::int FROM log.record_batches").fetchone() == (3,)
