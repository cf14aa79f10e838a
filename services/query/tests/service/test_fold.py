"""Folds on a real Postgres: any grouping gives the same tables, a rebuild gives the same tables, nothing is skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg import AsyncConnection

from argus_contracts import freeze
from argus_query.models import all_models, models_named
from argus_query.read_model import Record
from argus_query.rebuild import differences, rebuild
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)


def a_busy_day(event: Event, seed: int, n_runs: int = 6) -> list[dict[str, Any]]:
    """Runs with ends, resumes, jobs that never end, late and contradictory events, in a random order."""
    random = Random(seed)
    told: list[dict[str, Any]] = []
    for run in range(n_runs):
        batch = f"run-{run}"
        attempts = random.choice([1, 1, 2])
        for attempt in range(1, attempts + 1):
            base = 1000 * attempt
            told.append(event("batch_start", batch, at=base, attempt=attempt, name=f"n{random.randrange(3)}",
                              labels=random.sample(["a", "b", "c"], 2), project=f"p{random.randrange(3)}"))  # fmt: skip
            told.append(event("env_snapshot", batch, at=base, attempt=attempt, host=f"h{random.randrange(2)}"))
            for job in range(random.randrange(1, 4)):
                told.append(event("job_start", batch, f"j{job}", at=base + 1, attempt=attempt, n_epochs_expected=50))
                for epoch in range(random.randrange(1, 120)):
                    told.append(event("job_epoch", batch, f"j{job}", at=base + 2 + epoch, attempt=attempt, epoch=epoch,
                                      metrics={"train_loss": random.random(), "acc": random.random()}))  # fmt: skip
                told.append(event("resource_snapshot", batch, random.choice([None, f"j{job}"]), at=base + 60,
                                  attempt=attempt, gpus=[{"index": 0, "memory_used_bytes": random.randrange(99)}]))  # fmt: skip
                told.append(event("log_line", batch, f"j{job}", at=base + 61, attempt=attempt, line="x\0y", line_no=0))
                end = random.choice(["job_done", "job_failed", None])
                if end:
                    told.append(event(end, batch, f"j{job}", at=base + 200, attempt=attempt, elapsed_s=199.0))
            told.append(event("batch_heartbeat", batch, at=base + 300, attempt=attempt, dropped={"log_lines": 3}))
            end = random.choice(["batch_done", "batch_failed", "batch_aborted", None])
            if end:
                told.append(event(end, batch, at=base + 400, attempt=attempt, reason="because"))
    random.shuffle(told)
    return told


def append_all(log: Any, told: list[dict[str, Any]], day: int = 0) -> None:
    """In pieces, all received on one day."""
    for start in range(0, len(told), 97):
        log.append(told[start : start + 97], received_at=NOW + timedelta(days=day))


@pytest.mark.parametrize("seed", range(3))
async def test_live_tables_in_any_grouping_are_as_rebuilt_ones(
    database: Database, log: Any, open_live: Any, event: Event, seed: int
) -> None:
    told = a_busy_day(event, seed)
    random = Random(seed)
    async with open_live(database) as live:
        for start in range(0, len(told), 50):
            log.append(told[start : start + 50], received_at=NOW + timedelta(days=start // 400))
            if random.random() < 0.3:
                live.folder.forget()
            await live.project(max_events=random.choice([1, 7, 50]))
        statuses = dict(await live.rows("SELECT status, count(*) FROM read.jobs GROUP BY status"))
        counts = await live.rows(
            "SELECT sum(queued), sum(running), sum(succeeded), sum(failed), sum(aborted) FROM read.job_batches"
        )
    names = ("queued", "running", "succeeded", "failed", "aborted")
    assert [int(n) for n in counts[0]] == [statuses.get(name, 0) for name in names]
    assert await differences(database.query_url, models_named("runs")) == []
    assert await differences(database.query_url, models_named("jobs")) == []
    assert await differences(database.query_url, models_named("hosts")) == []
    assert await differences(database.query_url, all_models()) == []


async def test_the_check_finds_a_row_that_differs(database: Database, log: Any, open_live: Any, event: Event) -> None:
    log.append([event("batch_start", name="x")])
    async with open_live(database) as live:
        await live.project()
        await live.writer.execute("UPDATE read.runs SET project = 'forged'")
    assert await differences(database.query_url, all_models()) == ["runs"]
    await rebuild(database.query_url, models_named("runs"))
    assert await differences(database.query_url, all_models()) == []


@pytest.mark.parametrize("name", freeze.golden_samples())
async def test_every_golden_sample_folds(database: Database, log: Any, open_live: Any, name: str) -> None:
    log.append([freeze.golden_samples()[name]])
    async with open_live(database) as live:
        await live.project()
        assert await live.rows("SELECT * FROM read.projection_failures") == []
        assert live.cursor.position == 1


class TakesNoThirteen:
    """A read model with a bug: it cannot take an epoch 13, and PostgreSQL says so when more has been sent."""

    name, version, tables = "buggy", 1, ("buggy",)

    def schema(self) -> str:
        return "CREATE TABLE buggy (epoch bigint)"

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        pass

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        for record in records:
            for event in record.events:
                epoch = event["data"].get("epoch")
                await connection.execute(
                    "INSERT INTO buggy SELECT 1 / (%s - 13) + %s FROM pg_sleep(0.01)", [epoch, epoch]
                )

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return False

    def forget(self) -> None:
        pass


async def test_an_event_that_a_fold_cannot_take_is_kept_apart_and_the_rest_goes_on(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([event("job_epoch", "b1", "j", at=i, epoch=i, metrics={"loss": 1.0}) for i in range(40)])
    models = [TakesNoThirteen(), *all_models()]
    async with open_live(database, models) as live:
        await live.writer.execute("CREATE TABLE read.buggy (epoch bigint)")
        await live.project()
        assert live.cursor.position == 40
        failures = await live.rows("SELECT slice, position, kind, traceback FROM read.projection_failures")
        assert [row[:3] for row in failures] == [("buggy", 14, "job_epoch")]
        assert "division by zero" in failures[0][3]
        assert (await live.rows("SELECT count(*) FROM read.buggy"))[0][0] == 39
        summary = (await live.rows("SELECT summary FROM read.jobs"))[0][0]
        assert summary["epoch"] == 39


async def test_a_record_that_nobody_can_read_is_noted_and_the_next_one_is_folded(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([event("batch_start", "bad")], payload=b"no zstd at all")
    log.append([event("batch_start", "good")])
    async with open_live(database) as live:
        await live.project()
        assert await live.rows("SELECT slice, position, batch_id FROM read.projection_failures") == [("log", 1, "bad")]
        assert await live.rows("SELECT batch_id FROM read.runs") == [("good",)]


async def test_a_swap_while_folding_is_noticed_and_nothing_is_folded_twice(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    told = a_busy_day(event, seed=9)
    async with open_live(database) as live:
        append_all(log, told[:200])
        await live.project()
        await rebuild(database.query_url, all_models())
        append_all(log, told[200:], day=1)
        with pytest.raises(Exception, match="generation 2"):
            await live.project()
        live.cursor = await live.folder.start(live.writer)
        await live.project()
    assert await differences(database.query_url, all_models()) == []


async def test_what_a_killed_rebuild_left_is_cleared_by_the_next_one(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([event("batch_start", "b1")])
    async with open_live(database) as live:
        await live.project()
        await live.writer.execute("CREATE SCHEMA read_shadow")
        await live.writer.execute("CREATE TABLE read_shadow.runs (half text)")
        await rebuild(database.query_url, models_named("runs"))
        assert await live.rows("SELECT batch_id FROM read.runs") == [("b1",)]
        assert await live.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'read_shadow'") == []
