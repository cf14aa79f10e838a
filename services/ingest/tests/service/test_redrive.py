"""Dead letters: their senders hear of them, and after an upgrade they go into the log, once."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import orjson
import psycopg
import pytest
from nats.aio.client import Client

from argus_contracts.subjects import bundle_subject, event_subject, stored_subject
from argus_local.servers import NatsServer
from argus_testkit import Database, ServiceProcess, eventually
from argus_testkit.nats import drained, nats_client
from argus_testkit.services import program_of_this_environment


def an_event(batch_id: str, step: int = 0) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()), "kind": "job_epoch", "batch_id": batch_id, "job_id": "j1",
        "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": step, "metrics": {"loss": 0.5}},
    }  # fmt: skip


def a_message(events: list[Any], v: int = 2, first_seq: int | None = 0) -> bytes:
    producer_id = None if first_seq is None else "p1"
    return orjson.dumps(
        {"v": v, "producer_id": producer_id, "class": "metrics", "first_seq": first_seq, "events": events}
    )


@pytest.fixture
def ingest(start_service: Callable[..., ServiceProcess], nats_server: NatsServer, database: Database) -> ServiceProcess:
    env = nats_server.settings.env_for("ingest") | {"ARGUS_DATABASE_URL": database.ingest_url}
    return start_service("argus-ingest", env)


@pytest.fixture
async def nats(nats_server: NatsServer) -> AsyncIterator[Client]:
    async with nats_client(nats_server) as client:
        yield client


async def say(nats: Client, raw: bytes, batch_id: str = "b1", user: str = "ada") -> None:
    await nats.jetstream().publish(event_subject("lab", user, batch_id), raw)


@pytest.fixture
def sql(database: Database) -> Callable[..., list[Any]]:
    def run(query: Any, *values: Any) -> list[Any]:
        with database.connect() as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    return run


def n_logged(sql: Callable[..., list[Any]]) -> int:
    return sql("SELECT coalesce(sum(n_events), 0)::int FROM log.record_batches")[0][0]


def n_letters(sql: Callable[..., list[Any]]) -> int:
    return sql("SELECT count(*) FROM log.dead_letters WHERE redriven_at IS NULL")[0][0]


def redrive(database: Database, *arguments: str) -> str:
    done = subprocess.run(
        [str(program_of_this_environment("argus-ingest")), "redrive", *arguments],
        env={"ARGUS_DATABASE_URL": database.ingest_url}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def upgrade(sql: Callable[..., list[Any]]) -> None:
    """As if this build were one that reads what the letters hold: their bytes become what it can read."""
    sql(
        """UPDATE log.dead_letters SET raw = convert_to(replace(replace(convert_from(raw, 'UTF8'),
           '"v":3', '"v":2'), 'not_known_yet', 'job_epoch'), 'UTF8') WHERE redriven_at IS NULL"""
    )
    sql("UPDATE log.dead_letters SET fingerprint = sha256(convert_to(subject, 'UTF8') || decode('00', 'hex') || raw)")


async def test_a_sender_hears_that_a_newer_message_is_dealt_with(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    """Its spool is trimmed, and it does not say it again every five minutes."""
    heard = await nats.subscribe(stored_subject("lab", "ada"))
    await say(nats, a_message([an_event("b1"), an_event("b1")], v=3))
    mark = orjson.loads((await heard.next_msg(timeout=60)).data)
    assert mark == {"producer_id": "p1", "class": "metrics", "next_seq": 2, "ranges": []}
    assert sql("SELECT code, producer_id, class, seqs::text FROM log.dead_letters") == [
        ("newer_version", "p1", "metrics", "{[0,2)}")
    ]


async def test_after_an_upgrade_letters_go_into_the_log_once(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    newer = a_message([an_event("b1", 0), an_event("b1", 1)], v=3)
    alone = [an_event("b1", 2), {**an_event("b1", 3), "kind": "not_known_yet"}, an_event("b1", 4)]
    foreign = {**an_event("b1", 5), "kind": "not_known_yet"}
    for _ in range(2):
        await say(nats, newer)
        await say(nats, a_message(alone, first_seq=2))
        await say(nats, a_message([foreign], first_seq=None))
        await say(nats, b"no json")
    await drained(nats)  # the repeats, too: behind the upgrade they would be letters of their own
    assert (n_logged(sql), n_letters(sql)) == (2, 4)
    assert redrive(database).startswith("0 dead letters went into the log")

    upgrade(sql)
    assert redrive(database, "--dry-run").startswith("3 dead letters would go into the log: 4 events")
    assert (n_logged(sql), n_letters(sql)) == (2, 4)
    said = redrive(database)
    assert said.splitlines() == [
        "3 dead letters went into the log: 4 events, 0 more that it had already",
        "1 dead letters are refused as before (malformed)",
    ]
    assert redrive(database, "--code", "newer_version").startswith("0 dead letters")
    assert (n_logged(sql), n_letters(sql)) == (6, 1)

    # Whoever sends the same again changes nothing: neither the numbers nor the ids are new.
    await say(nats, a_message([an_event("b1", 0), an_event("b1", 1)]))
    await say(nats, a_message([{**foreign, "kind": "job_epoch"}], first_seq=None))
    await say(nats, a_message([an_event("b1", 6)], first_seq=None))
    await drained(nats)
    assert n_logged(sql) == 7


async def test_lines_of_a_bundle_are_letters_of_their_own(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    newer = [orjson.loads(a_message([an_event(f"b{n}")], v=3)) | {"producer_id": f"q{n}"} for n in range(3)]
    lines = [
        orjson.dumps(newer[0]),
        a_message([an_event("b9")]),
        b"bad words",
        orjson.dumps(newer[1]),
        orjson.dumps(newer[2]),
    ]
    await nats.jetstream().publish(bundle_subject("lab", "ada"), b"\n".join(lines))
    await drained(nats)
    assert (n_logged(sql), n_letters(sql)) == (1, 4)
    upgrade(sql)
    assert redrive(database).startswith("3 dead letters went into the log: 3 events")
    assert redrive(database).startswith("0 dead letters went into the log")
    assert sql("SELECT raw FROM log.dead_letters WHERE redriven_at IS NULL") == [(b"bad words",)]
    assert n_logged(sql) == 4


async def test_what_its_sender_said_again_in_time_is_not_doubled(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    """Letters of a build that did not count the numbers of a message that it buried whole."""
    events = [an_event("b1", step) for step in range(3)]
    await say(nats, a_message(events, v=3))
    await drained(nats)
    assert n_letters(sql) == 1
    sql("UPDATE log.dead_letters SET producer_id = NULL, class = NULL, seqs = NULL")
    sql("DELETE FROM log.producers")
    await say(nats, a_message(events))
    await drained(nats)
    assert n_logged(sql) == 3
    upgrade(sql)
    assert redrive(database).startswith("1 dead letters went into the log: 0 events, 3 more")
    assert n_logged(sql) == 3


async def test_a_bad_event_of_a_message_buried_whole_has_a_letter_of_its_own(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    await say(nats, a_message([an_event("b1"), {"kind": "nonsense"}, an_event("b1")], v=3))
    await drained(nats)
    assert n_letters(sql) == 1
    upgrade(sql)
    assert redrive(database).startswith("1 dead letters went into the log: 2 events")
    assert sql("SELECT code, raw FROM log.dead_letters WHERE redriven_at IS NULL") == [
        ("unknown_kind", b'{"kind":"nonsense"}')
    ]


async def test_a_strangers_letters_stay_refused(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    await say(nats, a_message([an_event("b1")]))
    await drained(nats)
    assert n_logged(sql) == 1
    await say(nats, a_message([{**an_event("b1"), "kind": "not_known_yet"}], first_seq=None), user="eve")
    await say(nats, a_message([an_event("b1")], first_seq=None), user="eve")
    await drained(nats)
    assert n_letters(sql) == 2
    upgrade(sql)
    before = sql("SELECT code FROM log.dead_letters ORDER BY 1")
    assert redrive(database).startswith("0 dead letters went into the log")
    assert n_logged(sql) == 1
    assert sql("SELECT code FROM log.dead_letters ORDER BY 1") == before


async def test_a_redrive_killed_in_the_middle_neither_loses_nor_doubles(
    ingest: ServiceProcess, nats: Client, database: Database, sql: Any
) -> None:
    for n in range(6):
        events = [{**an_event("b1", n * 100 + i), "kind": "not_known_yet"} for i in range(100)]
        await say(nats, a_message(events, first_seq=None))
    await drained(nats)
    assert n_letters(sql) == 600
    upgrade(sql)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        running = subprocess.Popen(  # noqa: ASYNC220  nothing else runs in this loop
            [str(program_of_this_environment("argus-ingest")), "redrive"],
            env={"ARGUS_DATABASE_URL": database.ingest_url}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            eventually(
                lambda: admin.execute("SELECT count(*) FROM log.dead_letters WHERE redriven_at IS NOT NULL").fetchone() > (0,)
            )  # fmt: skip
        finally:
            running.kill()
            running.wait()
    redrive(database)
    assert (n_logged(sql), n_letters(sql)) == (600, 0)
