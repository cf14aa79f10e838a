"""Decisions of Argus in the log: each with the run that it is about, once, and about nobody's run none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import zstandard
from psycopg import AsyncConnection

from argus_contracts.quantities import PRICES
from argus_contracts.registry import retention_class
from argus_contracts.subjects import decision_subject, event_subject
from argus_ingest.accept import accept
from argus_ingest.database import connect
from argus_ingest.log import Appended, LogAppender
from argus_ingest.migrate import migrate
from argus_testkit import Database

Event = dict[str, Any]


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect(database.ingest_url) as connection:
        await migrate(connection)
        yield connection


def event(kind: str, batch_id: str, **data: Any) -> Event:
    return {
        "event_id": str(uuid4()), "kind": kind, "batch_id": batch_id, "job_id": None,
        "occurred_at": "2026-11-21T03:00:00Z", "data": data,
    }  # fmt: skip


def measured(batch_id: str) -> Event:
    return event("outputs_measured", batch_id, bytes=3, objects=1)


async def say(connection: AsyncConnection[Any], subject: str, said: Event) -> Appended:
    raw = orjson.dumps({"v": 2, "class": retention_class(said["kind"]), "events": [said]})
    return await LogAppender().append(connection, accept(subject, raw))


async def decide(connection: AsyncConnection[Any], said: Event) -> Appended:
    return await say(connection, decision_subject("deleter", said["batch_id"]), said)


async def log_of(connection: AsyncConnection[Any]) -> list[tuple[str, str, str]]:
    """Workspace, user and id of each event."""
    cursor = await connection.execute(
        "SELECT workspace, user_name, payload FROM log.record_batches ORDER BY first_position"
    )
    return [
        (workspace, user, said["event_id"])
        for workspace, user, payload in await cursor.fetchall()
        for said in orjson.loads(zstandard.decompress(payload))["events"]
    ]


async def letters(connection: AsyncConnection[Any]) -> list[tuple[str, str | None]]:
    cursor = await connection.execute("SELECT code, user_name FROM log.dead_letters ORDER BY dead_letter_id")
    return await cursor.fetchall()


async def test_it_is_kept_once_as_if_the_owner_had_said_it(connection: AsyncConnection[Any]) -> None:
    start, decision = event("batch_start", "b1"), measured("b1")
    await say(connection, event_subject("lab", "ada", "b1"), start)
    for _ in range(2):
        await decide(connection, decision)
    assert await log_of(connection) == [("lab", "ada", start["event_id"]), ("lab", "ada", decision["event_id"])]
    assert await letters(connection) == []


async def test_about_nobodys_run_it_is_buried_and_makes_nobody_its_owner(connection: AsyncConnection[Any]) -> None:
    await decide(connection, measured("b1"))
    assert (await log_of(connection), await letters(connection)) == ([], [("unknown_batch", None)])
    start = event("batch_start", "b1")
    await say(connection, event_subject("lab", "eve", "b1"), start)
    assert await log_of(connection) == [("lab", "eve", start["event_id"])]


async def test_beside_its_runs_first_words_it_counts_already(connection: AsyncConnection[Any]) -> None:
    """In one commit, whichever of the two is read first."""
    start, decision = event("batch_start", "b1"), measured("b1")
    arrived = [
        one
        for subject, said in ((decision_subject("deleter", "b1"), decision), (event_subject("lab", "ada", "b1"), start))
        for one in accept(subject, orjson.dumps({"v": 2, "class": "lifecycle", "events": [said]}))
    ]
    await LogAppender().append(connection, arrived)
    assert {user for _, user, _ in await log_of(connection)} == {"ada"}
    assert len(await log_of(connection)) == 2


async def test_what_only_a_run_can_say_is_no_decision(connection: AsyncConnection[Any]) -> None:
    await say(connection, event_subject("lab", "ada", "b1"), event("batch_start", "b1"))
    await decide(connection, event("batch_done", "b1"))
    assert (len(await log_of(connection)), await letters(connection)) == (1, [("not_yours_to_say", None)])


def price(workspace: str = "lab", **more: Any) -> Event:
    said = {"instance_type": "p4d", "capacity": "spot", "usd_per_hour": 9.5, "effective_from": "2026-11-01T00:00:00Z"}
    return event("price_recorded", PRICES, **{**said, "workspace": workspace, "recorded_by": "ada", **more})


async def test_a_price_is_kept_once_with_its_workspace(connection: AsyncConnection[Any]) -> None:
    said, elsewhere = price(), price("elsewhere")
    for _ in range(2):
        await decide(connection, said)
        await decide(connection, elsewhere)
    assert await log_of(connection) == [("lab", "", said["event_id"]), ("elsewhere", "", elsewhere["event_id"])]
    assert await letters(connection) == []


async def test_one_message_tells_of_one_workspace(connection: AsyncConnection[Any]) -> None:
    said = [price(), price("elsewhere"), price()]
    raw = orjson.dumps({"v": 2, "class": "lifecycle", "events": said})
    await LogAppender().append(connection, accept(decision_subject("gateway", PRICES), raw))
    assert [entry[2] for entry in await log_of(connection)] == [said[0]["event_id"], said[2]["event_id"]]
    assert await letters(connection) == [("malformed", None)]


async def test_nobody_but_argus_says_a_price_or_has_a_run_of_that_name(connection: AsyncConnection[Any]) -> None:
    subject = event_subject("lab", "eve", PRICES)
    await say(connection, subject, price())
    await say(connection, subject, event("batch_start", PRICES))
    await say(connection, event_subject("lab", "eve", "argus:x"), event("batch_start", "argus:x"))
    await decide(connection, event("run_purged", PRICES, purged_by="eve"))
    assert await log_of(connection) == []
    assert [code for code, _ in await letters(connection)] == ["not_yours_to_say"] * 3 + ["unknown_batch"]
