"""Bundles through the real ingest: a real NATS, a real Postgres, several batches in one message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import orjson
import pytest
import zstandard
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from argus_contracts.envelope import BETWEEN_DOCUMENTS
from argus_contracts.quantities import MAX_DOCUMENTS_PER_BUNDLE
from argus_contracts.subjects import bundle_subject, event_subject, stored_subject
from argus_ingest.receive import DOCUMENTS_PER_COMMIT
from argus_local.servers import NatsServer
from argus_testkit import Database, ServiceProcess, eventually
from argus_testkit.faults.trial import metric
from argus_testkit.nats import drained, nats_client

ANY = bundle_subject("lab", "ada")


@pytest.fixture
def ingest(start_service: Callable[..., ServiceProcess], nats_server: NatsServer, database: Database) -> ServiceProcess:
    env = nats_server.settings.env_for("ingest") | {
        "ARGUS_DATABASE_URL": database.ingest_url,
        "ARGUS_INGEST_ACK_WAIT_SECONDS": "2",
    }
    return start_service("argus-ingest", env)


@pytest.fixture
async def nats(nats_server: NatsServer) -> AsyncIterator[Client]:
    async with nats_client(nats_server) as client:
        yield client


def a_document(batch_id: str, first_seq: int | None = 0, n: int = 2, **changes: Any) -> bytes:
    events = [
        {"event_id": str(uuid4()), "kind": "job_epoch", "batch_id": batch_id, "job_id": "j", "version": 1,
         "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": (first_seq or 0) + i, "metrics": {"loss": 0.5}}}
        for i in range(n)
    ]  # fmt: skip
    producer_id = None if first_seq is None else f"p-{batch_id}"
    head = {"v": 2, "producer_id": producer_id, "class": "metrics", "first_seq": first_seq}
    return orjson.dumps({**head, "events": events, **changes})


def bundle(*documents: bytes) -> bytes:
    return BETWEEN_DOCUMENTS.join(documents)


async def say(nats: Client, raw: bytes, subject: str = ANY) -> None:
    await nats.jetstream().publish(subject, raw)


def logged(database: Database) -> list[tuple[str, list[str]]]:
    """Batch and event ids of each record, in the order of the log."""
    with database.connect() as connection:
        rows = connection.execute("SELECT batch_id, payload FROM log.record_batches ORDER BY first_position").fetchall()
    return [
        (batch_id, [event["event_id"] for event in orjson.loads(zstandard.decompress(payload))["events"]])
        for batch_id, payload in rows
    ]


def ids_of(document: bytes) -> list[str]:
    return [event["event_id"] for event in orjson.loads(document)["events"]]


def letters(database: Database) -> list[tuple[str, bytes]]:
    with database.connect() as connection:
        return connection.execute("SELECT code, raw FROM log.dead_letters ORDER BY dead_letter_id").fetchall()


async def marks_of(heard: Subscription, n: int) -> list[Any]:
    """What was said on the subject of watermarks until `n` producers were heard of."""
    said: list[Any] = []
    while len({mark["producer_id"] for one in said for mark in (one if isinstance(one, list) else [one])}) < n:
        said.append(orjson.loads((await heard.next_msg(timeout=60)).data))
    return said


async def test_every_document_of_a_bundle_is_in_the_log_in_its_order(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    documents = [a_document(f"b{n}") for n in range(50)] + [a_document("b0", 2), a_document("b51", None)]
    heard = await nats.subscribe(stored_subject("lab", "ada"))
    await say(nats, bundle(*documents))
    await drained(nats)
    assert logged(database) == [(orjson.loads(one)["events"][0]["batch_id"], ids_of(one)) for one in documents]
    [marks] = await marks_of(heard, 50)  # one message, and none of the foreign sender
    assert {mark["producer_id"]: mark["next_seq"] for mark in marks} == {f"p-b{n}": 2 for n in range(50)} | {"p-b0": 4}
    assert letters(database) == []


async def test_who_sends_no_bundles_hears_no_lists(ingest: ServiceProcess, nats: Client, database: Database) -> None:
    """An SDK of before bundles does not understand them, and would say everything again, for ever."""
    heard = await nats.subscribe(stored_subject("lab", "ada"))
    ingest.pause()
    for n in range(5):
        await say(nats, a_document(f"alone-{n}"), event_subject("lab", "ada", f"alone-{n}"))
        await say(nats, bundle(a_document(f"beside-{n}"), a_document(f"both-{n}"), a_document(f"more-{n}")))
        await say(nats, a_document(f"both-{n}", 2))
    ingest.resume()
    await drained(nats)
    marks = await marks_of(heard, 20)
    told_alone = {mark["producer_id"] for mark in marks if isinstance(mark, dict)}
    assert told_alone >= {f"p-{name}-{n}" for name in ("alone", "both") for n in range(5)}
    in_lists = {mark["producer_id"] for one in marks if isinstance(one, list) for mark in one}
    assert not in_lists & {f"p-alone-{n}" for n in range(5)}
    assert in_lists


async def test_what_is_said_again_in_other_bundles_is_in_the_log_once(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    documents = [a_document(f"b{n}") for n in range(9)] + [a_document("f", None)]
    await say(nats, bundle(*documents, documents[0]))
    await say(nats, bundle(*documents))
    await say(nats, bundle(*reversed(documents)))
    for n in range(9):
        await say(nats, documents[n], event_subject("lab", "ada", f"b{n}"))
    await drained(nats)
    assert logged(database) == [(orjson.loads(one)["events"][0]["batch_id"], ids_of(one)) for one in documents]
    assert metric(ingest.url, "argus_events_repeated_total") == 2 * (1 + 10 + 10 + 9)


async def test_a_bundle_that_is_delivered_again_is_in_the_log_once(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    documents = [a_document(f"b{n}") for n in range(20)]
    with database.connect() as connection:
        connection.execute("ALTER TABLE log.head RENAME TO away")
        await say(nats, bundle(*documents))
        eventually(lambda: "cannot append" in ingest.logs())
        ingest.kill()
        connection.execute("ALTER TABLE log.away RENAME TO head")
    ingest.start()
    await drained(nats)
    assert logged(database) == [(f"b{n}", ids_of(one)) for n, one in enumerate(documents)]


async def test_bad_lines_are_buried_alone_and_count_for_their_senders(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    bad = [b"{}", b"bad words", a_document("b1", v=3), b'{"v":2,"class":"metrics","events":[']
    good = [a_document(f"g{n}") for n in range(5)]
    mixed = [good[0], bad[0], good[1], bad[1], good[2], bad[2], good[3], bad[3], good[4]]
    for _ in range(2):
        await say(nats, bundle(*mixed))
    await drained(nats)
    assert logged(database) == [(f"g{n}", ids_of(one)) for n, one in enumerate(good)]
    assert sorted(raw for _, raw in letters(database)) == sorted(bad)
    heard = await nats.subscribe(stored_subject("lab", "ada"))
    await say(nats, bundle(a_document("b1", 2)))
    [mark] = await marks_of(heard, 1)  # an object, not a list; the numbers of the line that was buried whole count
    assert mark["next_seq"] == 4


async def test_nobody_adds_to_anothers_batch_by_a_bundle(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    await say(nats, a_document("hers"), event_subject("lab", "eve", "hers"))
    await drained(nats)
    await say(nats, bundle(a_document("mine"), a_document("hers", 7), a_document("mine", 2)))
    await drained(nats)
    assert [batch_id for batch_id, _ in logged(database)] == ["hers", "mine", "mine"]
    assert [code for code, _ in letters(database)] == ["not_the_owner"] * 2


async def test_many_bundles_at_once_are_several_commits(
    ingest: ServiceProcess, nats: Client, database: Database
) -> None:
    ingest.pause()
    n_bundles = 2 * DOCUMENTS_PER_COMMIT // MAX_DOCUMENTS_PER_BUNDLE + 1
    for n in range(n_bundles):
        documents = [a_document(f"b{n}-{i}", n=1) for i in range(MAX_DOCUMENTS_PER_BUNDLE)]
        await say(nats, bundle(*documents))
    ingest.resume()
    await drained(nats)
    with database.connect() as connection:
        sizes = [
            n
            for (n,) in connection.execute(
                "SELECT count(*)::int FROM log.record_batches GROUP BY received_at"
            ).fetchall()
        ]
    assert sum(sizes) == n_bundles * MAX_DOCUMENTS_PER_BUNDLE
    assert max(sizes) < DOCUMENTS_PER_COMMIT + MAX_DOCUMENTS_PER_BUNDLE
    assert metric(ingest.url, "argus_events_ingested_total") == sum(sizes)
