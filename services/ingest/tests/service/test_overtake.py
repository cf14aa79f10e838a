"""O2: one user floods the stream; what another one says meanwhile is in the log while the flood still waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import orjson
import pytest

from argus_contracts.subjects import event_subject, stored_subject
from argus_local.servers import NatsServer
from argus_testkit import Database, ServiceProcess, eventually
from argus_testkit.nats import drained, nats_client, settled

FLOOD = 1_500


def a_message(batch_id: str, first_seq: int, n: int = 20) -> bytes:
    events = [
        {"event_id": str(uuid4()), "kind": "job_epoch", "batch_id": batch_id, "job_id": "j", "version": 1,
         "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": first_seq + i, "metrics": {"loss": 0.5}}}
        for i in range(n)
    ]  # fmt: skip
    head = {"v": 2, "producer_id": f"p-{batch_id}", "class": "metrics", "first_seq": first_seq}
    return orjson.dumps({**head, "events": events})


def n_logged(database: Database, user: str) -> int:
    with database.connect() as connection:
        query = "SELECT coalesce(sum(n_events), 0)::int FROM log.record_batches WHERE user_name = %s"
        row = connection.execute(query, (user,)).fetchone()
    assert row is not None
    return row[0]


def n_ahead_of(database: Database, user: str) -> int:
    """How many events of others stand in the log in front of the last one of `user`: so many did not wait for the rest."""
    with database.connect() as connection:
        query = """SELECT coalesce(sum(n_events), 0)::int FROM log.record_batches WHERE user_name <> %(user)s
            AND first_position < (SELECT max(last_position) FROM log.record_batches WHERE user_name = %(user)s)"""
        row = connection.execute(query, {"user": user}).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("copies", [1, 2])
async def test_a_quiet_user_does_not_wait_for_a_flood(
    start_service: Callable[..., ServiceProcess], nats_server: NatsServer, database: Database, copies: int
) -> None:
    env = nats_server.settings.env_for("ingest") | {
        "ARGUS_DATABASE_URL": database.ingest_url,
        "ARGUS_INGEST_FETCH_MESSAGES": "5",  # so slow that a few thousand messages are a flood
    }
    started = [start_service("argus-ingest", env) for _ in range(copies)]
    async with nats_client(nats_server) as client:
        heard = await client.subscribe(stored_subject("lab", "quiet"))
        for ingest in started:
            ingest.pause()
        for n in range(FLOOD):
            subject = event_subject("lab", "noisy", f"noisy-{n % 40}")
            await client.publish(subject, a_message(f"noisy-{n % 40}", n // 40 * 20))
        await settled(client)
        for n in range(3):
            await client.jetstream().publish(event_subject("lab", "quiet", "mine"), a_message("mine", n * 20))
        await client.jetstream().publish(event_subject("lab", "quiet", "mine"), b"bad words")
        for ingest in started:
            ingest.resume()
        eventually(lambda: n_logged(database, "quiet") == 60)
        ahead = n_ahead_of(database, "quiet")
        print(f"accepted behind {ahead} of {FLOOD * 20} noisy events")
        assert ahead < FLOOD * 20 / 2
        mark: dict[str, Any] = {"next_seq": 0}
        while mark["next_seq"] < 60:  # its sender may forget them, too
            mark = orjson.loads((await heard.next_msg(timeout=60)).data)
        eventually(lambda: n_logged(database, "noisy") == FLOOD * 20, within=120)
        await drained(client)
    assert n_logged(database, "quiet") == 60
    assert all(ingest.is_running for ingest in started)
    with database.connect() as connection:
        assert connection.execute("SELECT user_name, raw FROM log.dead_letters").fetchall() == [("quiet", b"bad words")]
