"""Deletions of outputs on a real Postgres: what the strip shows, receipts, and who may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import pytest

from argus_query.answers import Answers, new_pool
from argus_query.deletions.state import MAX_PROGRESS
from argus_query.models import models_named
from argus_query.rebuild import differences
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
ADA = {"user": "ada", "workspaces": ["lab"]}
BOB = {"user": "bob", "workspaces": ["lab"]}
EVE = {"user": "eve", "workspaces": ["office"]}
ROOT = {"user": "root", "all_workspaces": True}
BEGAN = datetime(2026, 11, 21, 3, tzinfo=UTC)
SINCE_THEN = (datetime.now(UTC) - BEGAN).total_seconds()
"""What is said to happen at `SINCE_THEN` happens now, or minutes ago."""


@asynccontextmanager
async def asking(database: Database) -> AsyncIterator[Callable[..., Any]]:
    pool = new_pool(database.query_url, 2)
    await pool.open(wait=True, timeout=60)
    answers = Answers(pool, timedelta(minutes=15))

    async def ask(name: str, viewer: dict[str, Any] = ADA, **fields: Any) -> Any:
        said = orjson.loads(await answers.answer(name, orjson.dumps({"viewer": viewer, **fields})))
        return said["answer"] or said["problem"]["code"]

    try:
        yield ask
    finally:
        await pool.close()


@pytest.fixture
async def live(database: Database, log: Any, open_live: Any) -> AsyncIterator[Any]:
    async with open_live(database) as tables:
        yield tables


@pytest.fixture
async def ask(database: Database, live: Any) -> AsyncIterator[Callable[..., Any]]:
    async with asking(database) as asked:
        yield asked


def deletion(event: Event, kind: str, at: float, batch: str = "b1", **data: Any) -> dict[str, Any]:
    said = {"deletion_id": "del-1", "requested_by": "ada", **data}
    return event(f"outputs_deletion_{kind}", batch, at=SINCE_THEN + at, **said)


def whole_story(event: Event) -> list[dict[str, Any]]:
    due = (BEGAN + timedelta(seconds=SINCE_THEN + 86_400)).isoformat()
    return [
        deletion(event, "requested", -9, due_at=due, location="s3://b/x/", as_user="eve"),
        deletion(event, "planned", -8, objects=3, bytes=30, manifest_sha256="f" * 64),
        deletion(event, "started", -7),
        *[deletion(event, "progressed", -7 + n / 1000, objects_deleted=n % 3, bytes_freed=n) for n in range(MAX_PROGRESS + 20)],
        deletion(event, "failed", -1, outcome="partial", objects_deleted=2, bytes_freed=20, remaining_objects=1,
                 remaining_bytes=10, reason="one is locked", errors=[{"key": "k", "code": "AccessDenied"}]),
    ]  # fmt: skip


def start(event: Event, batch: str = "b1", **data: Any) -> list[dict[str, Any]]:
    return [event("batch_start", batch, name=f"run {batch}", **data), event("batch_done", batch, at=9)]


async def test_a_deletion_goes_forward_only_in_whatever_order_its_facts_come(
    database: Database, live: Any, log: Any, ask: Any, event: Event
) -> None:
    log.append(start(event))
    told = whole_story(event)
    for n, state in ((1, "requested"), (2, "planned"), (3, "running"), (9, "running"), (len(told), "partial")):
        for said in told[(0, 1, 2, 3, 9)[(1, 2, 3, 9, len(told)).index(n)] : n]:
            log.append([said])
        await live.project()
        (row,) = (await ask("list_deletions"))["items"]
        assert (row["state"], row["may_cancel"]) == (state, state in ("requested", "planned"))
    expected = (await ask("get_deletion", deletion_id="del-1"))["deletion"]
    assert (expected["objects"], expected["bytes"], expected["objects_deleted"], expected["bytes_freed"]) == (
        3,
        30,
        2,
        20,
    )
    assert (expected["n_errors"], expected["remaining_bytes"], expected["reason"]) == (1, 10, "one is locked")
    assert (expected["run_name"], expected["as_user"], expected["owner"]) == ("run b1", "eve", "ada")
    assert [fact["kind"].rpartition("_")[2] for fact in expected["history"]] == [
        "requested", "planned", "started", *["progressed"] * MAX_PROGRESS, "failed",
    ]  # fmt: skip
    random = Random(4)
    for n in range(3):
        story = [{**said, "batch_id": f"s{n}"} for said in whole_story(event)]
        random.shuffle(story)
        for said in story:
            said["data"] = {**said["data"], "deletion_id": f"shuffled-{n}"}
        log.append(start(event, f"s{n}"))
        for first in range(0, len(story), 17):
            log.append(story[first : first + 17])
            await live.project(max_events=random.choice([1, 30]))
            live.folder.forget()
        await live.project()
        found = (await ask("get_deletion", deletion_id=f"shuffled-{n}"))["deletion"]
        same = (
            "state",
            "requested_at",
            "started_at",
            "ended_at",
            "objects",
            "bytes_freed",
            "errors",
            "location",
            "due_at",
        )
        assert {name: found[name] for name in same} == {name: expected[name] for name in same}
        assert len(found["history"]) == len(expected["history"])
    assert await differences(database.query_url, models_named("deletions")) == []


async def test_the_strip_has_what_is_on_its_way_and_what_is_young(live: Any, log: Any, ask: Any, event: Event) -> None:
    day = 86_400
    for n, (at, *kinds) in enumerate([
        (-5, "requested"), (-9 * day, "requested", "started"), (-9 * day, "requested", "finished"),
        (-3_600, "requested", "finished"), (-60, "requested", "failed"), (-30, "requested", "cancelled"),
    ]):  # fmt: skip
        log.append(start(event, f"b{n}"))
        log.append([deletion(event, kind, at + k, f"b{n}", deletion_id=f"d{n}") for k, kind in enumerate(kinds)])
    log.append([deletion(event, "requested", -1, "b0", deletion_id="bobs", requested_by="bob")])
    await live.project()
    strip = await ask("list_deletions")
    # What somebody else has asked for is the owner's to know, too: he may call it off.
    assert [row["deletion_id"] for row in strip["items"]] == ["bobs", "d0", "d5", "d4", "d3", "d1"]
    assert (strip["items"][0]["requested_by"], strip["items"][0]["may_cancel"]) == ("bob", True)
    assert (strip["in_flight"], strip["deleted"], strip["failed"]) == (3, 1, 1)
    assert [row["deletion_id"] for row in (await ask("list_deletions", BOB))["items"]] == ["bobs"]
    assert (await ask("list_deletions", {"user": "ada", "workspaces": ["office"]}))["items"] == []
    assert (await ask("list_deletions", EVE))["in_flight"] == 0


async def test_of_very_many_those_on_their_way_are_shown_and_all_are_counted(
    live: Any, log: Any, ask: Any, event: Event
) -> None:
    log.append(start(event))
    log.append([deletion(event, "requested", -9_999, deletion_id="old")])
    log.append([deletion(event, "finished", -n, deletion_id=f"d{n}") for n in range(300)])
    await live.project()
    strip = await ask("list_deletions")
    assert (len(strip["items"]), strip["in_flight"], strip["deleted"]) == (200, 1, 300)
    assert strip["items"][-1]["deletion_id"] == "old"


async def test_a_receipt_is_for_who_asked_the_owner_and_who_leads(live: Any, log: Any, ask: Any, event: Event) -> None:
    log.append(start(event, cluster="alps"), user="eve")
    log.append([deletion(event, "requested", 0, requested_by="ada")], user="eve")
    await live.project()

    async def may(viewer: dict[str, Any], **authority: Any) -> bool:
        answer = await ask("get_deletion", viewer, deletion_id="del-1", authority=authority)
        assert answer == "not_found" or answer["deletion"]["owner"] == "eve"
        return answer != "not_found"

    assert await may(ADA)
    assert await may({"user": "eve", "workspaces": ["lab"]})
    assert not await may(EVE)  # hers, but in a workspace that she may not see any more
    assert not await may(BOB)
    assert not await may(BOB, workspaces=["office"], clusters=["rhine"])
    assert await may(BOB, workspaces=["lab"])
    assert await may(BOB, clusters=["alps"])
    assert await may(BOB, everything=True)
    assert not await may({"user": "bob", "workspaces": ["office"]}, everything=True, clusters=["alps"])
    assert await may(ROOT, everything=True)
    assert await ask("get_deletion", ROOT, deletion_id="del-2", authority={"everything": True}) == "not_found"
    assert await ask("get_deletion", ROOT, deletion_id="\0", authority={"everything": True}) == "not_found"


async def test_a_run_shows_what_became_of_its_outputs(live: Any, log: Any, ask: Any, event: Event) -> None:
    async def run() -> list[Any]:
        await live.project()
        found = (await ask("get_run", batch_id="b1"))["run"]
        names = ("output_bytes", "output_objects", "output_bytes_by_class", "deletion_state")
        return [*(found[name] for name in names), found["outputs_deleted_at"] is not None]

    log.append([event("batch_start", output_dir="s3://b/x"), event("batch_done", at=9)])
    assert await run() == [None, None, {}, None, False]
    log.append([event("outputs_measured", at=20, bytes=5, objects=2, by_storage_class={"STANDARD": 5})])
    assert await run() == [5, 2, {"STANDARD": 5}, None, False]
    said = {"deletion_id": "d1", "requested_by": "ada"}
    log.append([event("outputs_deletion_requested", at=30, **said)])
    assert await run() == [5, 2, {"STANDARD": 5}, "requested", False]
    log.append([event("outputs_deletion_finished", at=40, **said)])
    assert await run() == [0, 0, {}, "deleted", True]
    log.append([event("outputs_measured", at=50, bytes=0, objects=0)])
    assert await run() == [0, 0, {}, "deleted", True]
    log.append([event("batch_start", at=60, attempt=2), event("batch_done", at=70, attempt=2)])
    assert await run() == [0, 0, {}, "deleted", False]
    log.append([event("outputs_measured", at=80, bytes=6, objects=1)])
    assert await run() == [6, 1, {}, "deleted", False]
    log.append([event("outputs_deletion_finished", at=90, deletion_id="d2")])
    assert await run() == [0, 0, {}, "deleted", True]
    log.append([event("outputs_measured", at=100, bytes=1, objects=1)])
    assert await run() == [1, 1, {}, "deleted", False]
