"""Events that the contract takes and nobody expects: names of the greatest length, unknown fields of any type."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import orjson
import pytest
from psycopg import errors

from argus_contracts.registry import parse_event
from argus_query.answers import Answers, new_pool
from argus_query.database import is_passing
from argus_testkit import Database


def name(characters: str, length: int, seed: str) -> str:
    return "".join(random.Random(seed).choices(characters, k=length))


ASTRAL = "".join(map(chr, range(0x20000, 0x2A000)))
GROWING = "ΐΰὒὖὗ1a"  # three times as long when their case is folded, or when numbers are made sortable
DIGITS = "".join(f"{number:02d}-" for number in range(100))


@pytest.mark.parametrize("characters", [ASTRAL, GROWING, DIGITS], ids=["astral", "growing", "digits"])
async def test_the_longest_names_are_folded(
    database: Database,
    log: Any,
    open_live: Callable[..., AbstractAsyncContextManager[Any]],
    event: Any,
    characters: str,
) -> None:
    batch = name("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-", 128, "batch")

    def long(seed: str, length: int = 1024) -> str:
        return name(characters, length, seed)

    job = long("job", 256)
    events = [
        event(
            "batch_start", batch, name=long("name"), type="training", project=long("project"), runner=long("runner"),
            labels=[long(f"label{n}") for n in range(3)], tags={long("tag"): long("value")}, cluster=long("cluster"),
            output_dir=long("output"), work_dir=long("work"), session_id=long("session"), params={long("p"): long("v")},
        ),
        event("env_snapshot", batch, host=long("host"), user=long("user"), cwd=long("cwd"), git={"branch": long("branch")}),
        event("job_submitted", batch, job, name=long("job name"), process=long("process"), tag=long("tag")),
        event("job_start", batch, job, name=long("job name"), host=long("host"), model=long("model"), dataset=long("data")),
        event("job_epoch", batch, job, epoch=1, metrics={long(f"metric{n}", 256): 0.5 for n in range(3)}),
        event("resource_snapshot", batch, job, gpus=[{"index": 0, "uuid": long("uuid")}], cpu_pct=1.0),
        event("log_line", batch, job, line_no=0, stream="log", level=long("level", 64), line="x"),
        event("job_failed", batch, job, reason=long("reason"), metrics={long("final", 256): 1.0}),
        event("batch_failed", batch, reason=long("reason")),
    ]  # fmt: skip
    for said in events:
        parse_event(said)
    end = log.append(events, workspace="w" * 64, user="u" * 64)
    async with open_live(database) as live:
        await live.project()
        assert live.cursor.position == end
        assert await live.rows("SELECT slice, kind, traceback FROM read.projection_failures") == []
        await live.folder.maintain(live.writer, live.cursor)


def test_what_is_too_large_for_ever_is_no_passing_trouble() -> None:
    """Else one such event would keep the projector from all that comes after it."""
    assert not is_passing(errors.ProgramLimitExceeded())
    assert is_passing(errors.DiskFull())


ODD: list[Any] = [[1], "x", 5, {"host": 5}, {"host": {}}, {"host": ["h"], "user": 5, "command": {}, "commit": 1.5}]


@pytest.mark.parametrize("odd", ODD, ids=repr)
async def test_fields_that_no_contract_knows_may_hold_anything(
    database: Database, log: Any, open_live: Callable[..., AbstractAsyncContextManager[Any]], event: Any, odd: Any
) -> None:
    events = [
        event("batch_start", type="training", environment=odd),
        event("resource_snapshot", host=odd),
        event("job_start", job_id="j", environment=odd, order=odd),
        event("log_line", job_id="j", line="x", stream="log", order=odd),
        event("batch_done", requested_by=odd, host=odd),
    ]
    for said in events:
        parse_event(said)
    log.append(events)
    viewer = {"user": "ada", "workspaces": ["lab"]}
    async with open_live(database) as live:
        await live.project()
        assert await live.rows("SELECT slice, kind, traceback FROM read.projection_failures") == []
        pool = new_pool(database.query_url, 1)
        async with pool:
            await pool.wait(60)
            answers = Answers(pool, timedelta(minutes=15))
            for name, about in (("list_runs", {}), ("get_run", {"batch_id": "b1"}), ("list_hosts", {}),
                                ("get_job", {"batch_id": "b1", "job_id": "j"})):  # fmt: skip
                said = orjson.loads(await answers.answer(name, orjson.dumps({"viewer": viewer, **about})))
                assert said["problem"] is None, name
