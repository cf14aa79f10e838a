"""Folding into curves, in a real PostgreSQL: whatever the order and grouping of folds and whenever maintenance came, one answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.series import GetSeries
from argus_contracts.upcasters import upcast_reporter_event
from argus_query.read_model import Record
from argus_query.series import SeriesReadModel, read_metric_summaries
from argus_query.series.maintenance import MANY_BLOCKS, tidy

pytestmark = pytest.mark.service

ODD = ["NaN", "Infinity", "-Infinity"]


def random_events(chance: random.Random, kit: Any) -> list[dict[str, Any]]:
    """Up to some thousand points of one job: attempts, gaps, far steps, many points of one step, values of all kinds."""
    n_events = chance.choice([1, 7, 40, 700, 3_000])
    spread = chance.choice([1, 50, n_events, 10 * n_events, 2**53])
    same_time = chance.choice([0.0, 0.1, 1.0])
    events = []
    for number in range(n_events):
        step = chance.randrange(spread) if chance.random() < 0.3 else min(number, spread - 1)
        value: Any = chance.choice([0.1, 1e-9, -1e15, 1e308, 3, 0.0, chance.gauss(0, 1), chance.gauss(0, 1)])
        value = chance.choice(ODD) if chance.random() < 0.02 else value
        metrics = {"loss": value} | ({"accuracy": chance.random()} if chance.random() < 0.5 else {})
        attempt = 1 if chance.random() < 0.7 else chance.randrange(1, 4)
        time_us = chance.randrange(2) if chance.random() < same_time else number * 500_000
        events.append(kit.event(chance.getrandbits(128), step, metrics, attempt=attempt, time_us=time_us))
    return events


def groups_of(chance: random.Random, events: list[Any], kit: Any) -> list[Record]:
    """The events in some order, in records of some sizes."""
    events = list(events)
    match chance.randrange(3):
        case 0:
            chance.shuffle(events)
        case 1:
            events.reverse()
    groups, at = [], 0
    while at < len(events):
        size = chance.choice([1, 3, 20, 600, 3_000])
        groups.append(kit.record(events[at : at + size]))
        at += size
    return groups


async def everything(connection: AsyncConnection[Any], kit: Any) -> list[Any]:
    """Answers that between them see all of the job."""
    questions = [
        kit.ask(keys=["loss", "accuracy"], max_points=5000),
        kit.ask(keys=["loss", "accuracy"], max_points=100),
        kit.ask(max_points=2),
        kit.ask(max_points=50, first=10, last=1_000),
        kit.ask(max_points=50, x="time", first=1767225600000 + 900, last=1767225600000 + 600_000),
    ]
    answers: list[Any] = [await kit.drawn(connection, question) for question in questions]
    return [*answers, await read_metric_summaries(connection, "b", "j")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_folding_and_maintenance_gives_the_same_answers(
    seed: int, in_fresh_tables: Callable[..., Any], kit: Any
) -> None:
    chance = random.Random(seed)
    events = random_events(chance, kit)

    async def rebuilt(connection: AsyncConnection[Any]) -> list[Any]:
        model = SeriesReadModel()
        await kit.fold(connection, model, kit.record(events))
        return await everything(connection, kit)

    async def live(connection: AsyncConnection[Any]) -> list[Any]:
        model = SeriesReadModel()
        model._upkeep._merging.much = chance.choice([50, 8192])  # so that maintenance has much to do with few points
        model._upkeep._merging.many_rows = chance.choice([3, MANY_BLOCKS])
        for group in groups_of(chance, events, kit):
            await kit.fold(connection, model, group)
            if chance.random() < 0.2:
                await kit.maintain(connection, model, most=2)
            if chance.random() < 0.05:
                model.forget()
        if chance.random() < 0.5:
            await kit.maintain(connection, model)
            ids = await (await connection.execute("SELECT series_id FROM series")).fetchall()
            for (series_id,) in ids:
                async with connection.transaction():
                    await tidy(connection, [(series_id,)], {(series_id,)})
        return await everything(connection, kit)

    assert in_fresh_tables(live) == in_fresh_tables(rebuilt)


def test_snapshots_become_curves_of_the_machine(in_fresh_tables: Callable[..., Any], kit: Any) -> None:
    snapshot = {
        "event_id": str(UUID(int=5)), "kind": "resource_snapshot", "version": 1, "batch_id": "b", "job_id": None,
        "occurred_at": "2026-01-01T00:00:07.9+00:00",
        "data": {"cpu_pct": 150.0, "rss_bytes": 2**40, "gpus": [
            {"index": 0, "util_pct": 10.0, "memory_used_bytes": 7}, {"index": 3, "util_pct": 30, "power_w": 200.5}, {"index": 4},
        ]},
    }  # fmt: skip

    async def inside(connection: AsyncConnection[Any]) -> None:
        await kit.fold(connection, SeriesReadModel(), kit.record([snapshot], "snapshots"))
        summaries = {s.key: s for s in await read_metric_summaries(connection, "b", "")}
        assert {key: s.last for key, s in summaries.items()} == {
            "cpu_pct": 150.0, "rss_bytes": 2.0**40, "gpu.0.util_pct": 10.0, "gpu.0.memory_used_bytes": 7.0,
            "gpu.3.util_pct": 30.0, "gpu.3.power_w": 200.5, "gpu.util_pct": 20.0,
        }  # fmt: skip
        assert {s.family for s in summaries.values()} == {"system"}
        assert summaries["cpu_pct"].last_step == 1767225607
        question = GetSeries(viewer=Viewer(user="u"), batch_id="b", job_id="", keys=["gpu.util_pct"])
        assert [series.value for series in await kit.drawn(connection, question)] == [[20.0]]

    in_fresh_tables(inside)


def test_events_of_the_older_reporter_become_points(in_fresh_tables: Callable[..., Any], kit: Any) -> None:
    """The older form has `epoch` and bare numbers; NaN comes as a float of Python's json."""
    raw = {
        "schema_version": "1.1", "event_type": "job_epoch", "batch_id": "b", "job_id": "j", "timestamp": "2026-01-01T00:00:09Z",
        "source": {}, "data": {"epoch": 3, "val_loss": 0.25, "train_loss": float("nan"), "note": "text"},
    }  # fmt: skip
    events = [upcast_reporter_event(raw | {"event_id": str(UUID(int=n))}, n) for n in (1, 2)]

    async def inside(connection: AsyncConnection[Any]) -> None:
        await kit.fold(connection, SeriesReadModel(), kit.record(events))
        val, train = await kit.drawn(connection, kit.ask())
        assert (val.key, val.step, val.value) == ("val_loss", [3, 3], [0.25, 0.25])
        assert (train.value, [odd.value for odd in train.not_finite]) == ([None, None], ["NaN", "NaN"])
        summaries = await read_metric_summaries(connection, "b", "j")
        assert [(s.key, s.n_points, s.last, s.min) for s in summaries] == [
            ("train_loss", 2, "NaN", None), ("val_loss", 2, 0.25, 0.25),
        ]  # fmt: skip

    in_fresh_tables(inside)


def test_a_purged_run_leaves_nothing(in_fresh_tables: Callable[..., Any], kit: Any) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        other = kit.event(2, 1, {"loss": 1}, batch_id="other")
        await kit.fold(connection, model, kit.record([kit.event(1, 1, {"loss": 1})]), kit.record([other]))
        await kit.fold(
            connection,
            model,
            kit.record([{"kind": "run_purged", "batch_id": "b", "occurred_at": "2026-01-01T00:00:00Z"}], "lifecycle"),
        )
        await kit.maintain(connection, model)
        cursor = await connection.execute("SELECT batch_id FROM series")
        assert await cursor.fetchall() == [("other",)]
        cursor = await connection.execute("SELECT count(*) FROM series_blocks")
        assert await cursor.fetchone() == (1,)

    in_fresh_tables(inside)
