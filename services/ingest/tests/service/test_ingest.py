"""The real ingest with a real NATS and a real Postgres: accepted, repeated, hopeless, and servers that go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import zstandard
from nats.aio.client import Client
from nats.js.errors import APIError

from argus_contracts.subjects import event_subject, stored_subject
from argus_local.servers import NatsServer, PostgresServer
from argus_testkit import Database, ServiceProcess, eventually
from argus_testkit.nats import drained, nats_client

Start = Callable[..., ServiceProcess]


@pytest.fixture
def ingest(start_service: Start, nats_server: NatsServer, database: Database) -> ServiceProcess:
    return start_service("argus-ingest", env(nats_server, database))


@pytest.fixture
async def nats(nats_server: NatsServer) -> AsyncIterator[Client]:
    async with nats_client(nats_server) as client:
        yield client


def env(nats_server: NatsServer, database: Database) -> dict[str, str]:
    return nats_server.settings.env_for("ingest") | {
        "ARGUS_DATABASE_URL": database.ingest_url,
        "ARGUS_INGEST_ACK_WAIT_SECONDS": "2",
    }


def points(batch_id: str, n: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "event_id": str(uuid4()),
            "kind": "job_epoch",
            "batch_id": batch_id,
            "job_id": "j1",
            "occurred_at": "2026-11-21T03:00:00.123456Z",
            "data": {"step": first + i, "metrics": {"loss": 0.5}},
        }
        for i in range(n)
    ]


def message(events: list[Any], first_seq: int | None = 0, producer_id: str | None = "p1") -> bytes:
    return orjson.dumps(
        {"v": 2, "producer_id": producer_id, "class": "metrics", "first_seq": first_seq, "events": events}
    )


async def say(nats: Client, batch_id: str, raw: bytes, user: str = "ada") -> None:
    await nats.jetstream().publish(event_subject("lab", user, batch_id), raw)


def log_of(database: Database) -> list[dict[str, Any]]:
    """Every event of the log in the order of positions, each with its position."""
    with database.connect("query") as connection:
        rows = connection.execute(
            "SELECT first_position, last_position, n_events, payload FROM log.record_batches ORDER BY 1"
        )
        events = []
        for first, last, n_events, payload in rows:
            stored = orjson.loads(zstandard.decompress(payload))["events"]
            assert len(stored) == n_events == last - first + 1
            events += [{**event, "position": first + i} for i, event in enumerate(stored)]
    return events


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["event_id"] for event in events]


def letters(database: Database) -> list[tuple[str, str, str, bytes]]:
    with database.connect() as connection:
        return connection.execute("SELECT code, reason, user_name, raw FROM log.dead_letters ORDER BY 1, 2").fetchall()


def held_by(database: Database, n: int) -> Callable[[], bool]:
    return lambda: len(log_of(database)) == n


async def test_accepted_events_stand_in_the_log_once_and_in_order(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    sent = [points("b1", 3, first) for first in (0, 3, 6)]
    heard = await nats.subscribe(stored_subject("lab", "ada"))
    for n, events in enumerate(sent):
        await say(nats, "b1", message(events, n * 3))
    eventually(held_by(database, 9))
    stored = log_of(database)
    assert ids(stored) == ids([event for events in sent for event in events])
    assert [event["position"] for event in stored] == list(range(1, 10))
    mark = {"next_seq": 0}
    while mark["next_seq"] < 9:
        mark = orjson.loads((await heard.next_msg(timeout=60)).data)
    assert mark == {"producer_id": "p1", "class": "metrics", "next_seq": 9, "ranges": []}
    await drained(nats)


async def test_a_repeat_changes_nothing_and_is_acknowledged(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    numbered, foreign = points("b1", 5), points("b1", 2)
    for _ in range(3):
        await say(nats, "b1", message(numbered))
        await say(nats, "b1", message([*foreign, foreign[0]], None, None))
        await say(nats, "b1", message(foreign[:1], None, None))
    await say(nats, "b1", message(numbered[2:] + points("b1", 2, 5), 2))
    eventually(held_by(database, 9))
    assert len(set(ids(log_of(database)))) == 9
    await drained(nats)
    assert len(log_of(database)) == 9
    assert letters(database) == []


async def test_a_gap_is_known_until_it_is_filled(ingest: ServiceProcess, nats: Client, database: Database) -> None:
    await say(nats, "b1", message(points("b1", 2), 0))
    await say(nats, "b1", message(points("b1", 2), 7))
    eventually(held_by(database, 4))
    assert _received(database) == ("{[0,2),[7,9)}", 5)
    await say(nats, "b1", message(points("b1", 5), 2))
    eventually(held_by(database, 9))
    assert _received(database) == ("{[0,9)}", 0)


def _received(database: Database) -> tuple[str, int]:
    with database.connect() as connection:
        row = connection.execute("SELECT received::text, missing FROM log.producers").fetchone()
    assert row is not None
    return row[0], row[1]


async def test_hopeless_events_are_buried_once_with_reason_and_bytes(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    good = points("b1", 2)
    bad = {**points("b1", 1)[0], "kind": "nobody_knows"}
    for _ in range(2):
        await say(nats, "b1", b"no json")
        await say(nats, "b1", message([good[0], bad, good[1]]))
    eventually(lambda: len(letters(database)) == 2)
    eventually(held_by(database, 2))
    await drained(nats)
    assert [(code, raw) for code, _, _, raw in letters(database)] == [
        ("malformed", b"no json"),
        ("unknown_kind", orjson.dumps(bad)),
    ]
    assert _received(database) == ("{[0,3)}", 0)


async def test_another_users_events_for_my_run_are_refused(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    mine, forged = points("b1", 1), points("b1", 2)
    await say(nats, "b1", message(mine))
    eventually(held_by(database, 1))
    await say(nats, "b1", message(forged, 0, "p-eve"), user="eve")
    eventually(lambda: len(letters(database)) == 2)
    assert {(code, user) for code, _, user, _ in letters(database)} == {("not_the_owner", "eve")}
    assert {raw for *_, raw in letters(database)} == {orjson.dumps(event) for event in forged}
    assert ids(log_of(database)) == ids(mine)


async def test_refused_events_leave_no_gap_in_somebody_elses_run(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    await say(nats, "b1", message(points("b1", 1)))
    eventually(held_by(database, 1))
    await say(nats, "b1", message(points("b1", 2), 7, "p-eve"), user="eve")
    eventually(lambda: len(letters(database)) == 2)
    assert _producers(database) == [("p-eve", "", 7), ("p1", "b1", 0)]
    await say(nats, "b1", message([{"kind": "nobody_knows"}], 3))  # nor does a bad one make us forget whose gap it is
    eventually(lambda: len(letters(database)) == 3)
    assert _producers(database) == [("p-eve", "", 7), ("p1", "b1", 2)]


def _producers(database: Database) -> list[tuple[str, str, int]]:
    with database.connect() as connection:
        return connection.execute("SELECT producer_id, batch_id, missing FROM log.producers ORDER BY 1").fetchall()


async def test_nobody_can_use_up_somebody_elses_numbers_or_ids(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    mine = points("b1", 2)
    stolen = [{**event, "batch_id": "b-eve"} for event in mine]
    await say(nats, "b-eve", message(stolen), user="eve")
    await say(nats, "b-eve", message(stolen, None, None), user="eve")
    eventually(held_by(database, 4))
    await say(nats, "b1", message(mine))
    eventually(held_by(database, 6))


async def test_a_database_that_goes_away_loses_nothing(
    start_service: Start, nats_server: NatsServer, nats: Client, postgres_server: PostgresServer, own_database: Database
) -> None:
    ingest = start_service("argus-ingest", env(nats_server, own_database))
    await say(nats, "b1", message(points("b1", 10)))
    eventually(held_by(own_database, 10))
    postgres_server.kill()
    for n in range(1, 6):
        await say(nats, "b1", message(points("b1", 10, n * 10), n * 10))
    eventually(lambda: httpx.get(f"{ingest.url}/healthz", timeout=60).status_code == 200)
    eventually(lambda: httpx.get(f"{ingest.url}/readyz", timeout=60).status_code == 503)
    postgres_server.start()
    eventually(held_by(own_database, 60))
    assert letters(own_database) == []
    assert len(set(ids(log_of(own_database)))) == 60
    assert ingest.is_running


async def test_a_broker_that_restarts_loses_nothing(
    ingest: ServiceProcess, nats_server: NatsServer, database: Database
) -> None:
    async with nats_client(nats_server) as client:
        await say(client, "b1", message(points("b1", 10)))
    eventually(held_by(database, 10))
    nats_server.kill()
    nats_server.start()
    async with nats_client(nats_server) as client:
        await say(client, "b1", message(points("b1", 10, 10), 10))
    eventually(held_by(database, 20))


async def test_killed_in_the_middle_it_neither_loses_nor_doubles(
    start_service: Start, nats_server: NatsServer, nats: Client, database: Database
) -> None:
    ingest = start_service("argus-ingest", env(nats_server, database))
    sent: list[str] = []
    for n in range(120):
        events = points(f"b{n % 7}", 20, n * 20)
        sent += ids(events)
        await say(nats, f"b{n % 7}", message(events, (n // 7) * 20, f"p{n % 7}"))
        if n % 30 == 20:
            ingest.kill()
            ingest.launch()
        await asyncio.sleep(0.005)  # so that the kills find it at work
    eventually(held_by(database, len(sent)))
    stored = log_of(database)
    assert sorted(ids(stored)) == sorted(sent)
    assert [event["position"] for event in stored] == list(range(1, len(sent) + 1))


async def test_what_it_holds_and_has_not_committed_is_delivered_again(
    start_service: Start, nats_server: NatsServer, nats: Client, database: Database
) -> None:
    """Of a sender that keeps nothing: the broker forgets a message when it is acknowledged, and so not before the commit."""
    ingest = start_service("argus-ingest", env(nats_server, database))
    await say(nats, "b1", message(points("b1", 3), None, None))
    eventually(held_by(database, 3))
    with database.connect("ingest") as somebody, somebody.transaction():
        somebody.execute("SELECT next_position FROM log.head FOR UPDATE")
        await say(nats, "b1", message(points("b1", 4, 3), None, None))
        eventually(lambda: waits_for_the_log(database), what="ingest has the message, and waits")
        ingest.kill()
    ingest.launch()
    eventually(held_by(database, 7))
    await drained(nats)


def waits_for_the_log(database: Database) -> bool:
    with database.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'argus-ingest' AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0


async def test_two_copies_share_the_work_without_doubling(
    start_service: Start, nats_server: NatsServer, nats: Client, database: Database
) -> None:
    start_service("argus-ingest", env(nats_server, database))
    start_service("argus-ingest", env(nats_server, database))
    sent: list[str] = []
    for n in range(60):
        events = points("b1", 10, n * 10)
        sent += ids(events)
        for _ in range(2):
            await say(nats, "b1", message(events, n * 10))
    eventually(held_by(database, len(sent)))
    await drained(nats)
    stored = log_of(database)
    assert sorted(ids(stored)) == sorted(sent)
    assert [event["position"] for event in stored] == list(range(1, len(sent) + 1))


async def test_a_stream_that_somebody_deletes_is_made_again(
    start_service: Start, ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    await nats.jetstream().delete_stream("ARGUS_EVENTS")
    eventually(lambda: ingest.logs().count("made the stream ARGUS_EVENTS") >= 2)
    eventually(lambda: ingest.logs().count("made the durable ingest-log") >= 2)
    await say(nats, "b1", message(points("b1", 1)))
    eventually(held_by(database, 1))
    assert ingest.is_running


async def test_nobody_can_purge_what_was_promised(
    start_service: Start, nats_server: NatsServer, nats: Client, database: Database
) -> None:
    await nats.jetstream().add_stream(name="ARGUS_EVENTS", subjects=["argus.events.*.*.*"], retention="workqueue")
    await say(nats, "b1", message(points("b1", 3)))  # before ingest has ever run, in a stream of an earlier build
    start_service("argus-ingest", env(nats_server, database))
    eventually(held_by(database, 3))
    with pytest.raises(APIError):
        await nats.jetstream().purge_stream("ARGUS_EVENTS")


async def test_an_idle_ingest_does_not_pile_up_tasks(ingest: ServiceProcess, nats: Client, database: Database) -> None:
    await asyncio.sleep(3)  # thirty empty fetches
    assert ingest.logs().count("is being executed") <= 1  # FastStream says so whenever it replaces a dead task
    await say(nats, "b1", message(points("b1", 1)))
    eventually(held_by(database, 1))


def test_a_wrong_setting_stops_the_start_with_one_line(start_service: Start, database: Database) -> None:
    ingest = start_service("argus-ingest", {"ARGUS_DATABASE_URL": database.ingest_url}, ready=False)
    eventually(lambda: not ingest.is_running)
    assert "ARGUS_NATS_URL" in ingest.logs()
    assert "Traceback" not in ingest.logs()
