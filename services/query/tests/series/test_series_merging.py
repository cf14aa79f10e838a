"""Merging of small blocks, in a real PostgreSQL: curves end in few blocks, and nobody who reads meanwhile notices."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from argus_query.series import SeriesReadModel
from argus_query.series.maintenance import MANY_BLOCKS, MANY_LAYERS
from argus_query.upkeep import Upkeep
from argus_testkit.databases import Database

pytestmark = pytest.mark.service


def test_a_curve_that_trickles_in_shuffled_ends_in_few_blocks_apart(
    in_fresh_tables: Callable[..., Any], kit: Any
) -> None:
    """60,000 steps in random order, 500 to a fold: at the end no step is covered by more than a few blocks."""
    chance = random.Random(3)
    steps = list(range(60_000))
    chance.shuffle(steps)

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        for at in range(0, len(steps), 500):
            await kit.fold(connection, model, kit.record([kit.event(s, s, {"loss": s}) for s in steps[at : at + 500]]))
            if at % 5_000 == 0:
                await kit.maintain(connection, model)
        await kit.maintain(connection, model)
        cursor = await connection.execute("SELECT first_step, last_step FROM series_blocks WHERE n >= 2048")
        blocks = await cursor.fetchall()
        assert max(sum(a <= step <= b for a, b in blocks) for step in range(0, 60_000, 1_000)) <= MANY_LAYERS + 1
        cursor = await connection.execute("SELECT count(*), sum(n) FROM series_blocks")
        n_blocks, n_points = await cursor.fetchone() or (0, 0)
        assert n_points == 60_000
        assert n_blocks <= 60_000 / 2048 + MANY_BLOCKS

    in_fresh_tables(inside)


def test_curves_that_nothing_is_added_to_are_merged_in_the_end(in_fresh_tables: Callable[..., Any], kit: Any) -> None:
    """Ten minutes without a point: five small blocks become one, a lonely one is left as it is (here the clock of the
    upkeep is set back)."""

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        await kit.maintain(connection, model)
        for n in range(5):
            await kit.fold(
                connection, model, kit.record([kit.event(n, n, {"loss": n} | ({"lonely": 1.0} if n == 3 else {}))])
            )
        await kit.maintain(connection, model)
        counts = "SELECT key, count(*), sum(b.n), bool_and(settled) FROM series_blocks b JOIN series USING (series_id) GROUP BY key ORDER BY key"
        assert await (await connection.execute(counts)).fetchall() == [("lonely", 1, 1, False), ("loss", 5, 5, False)]
        upkeep: Upkeep[Any] = model._upkeep
        assert upkeep._loose
        for loose in upkeep._loose.values():
            loose.since -= timedelta(minutes=11).total_seconds()
        upkeep._next_aging = 0.0
        await kit.maintain(connection, model)
        assert await (await connection.execute(counts)).fetchall() == [("lonely", 1, 1, True), ("loss", 1, 5, True)]
        assert not upkeep._loose

    in_fresh_tables(inside)


@pytest.mark.parametrize("step_of", [lambda n: 5, lambda n: n * 10**9, lambda n: n // 5_000], ids=["one", "far", "few"])
def test_odd_steps_stay_right_and_packed(
    step_of: Callable[[int], int], in_fresh_tables: Callable[..., Any], kit: Any
) -> None:
    """40,000 points on one step, on steps far apart, on few steps: small blocks, and the same curve as by hand."""
    n_points = 40_000

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        for at in range(0, n_points, 1_000):
            await kit.fold(
                connection, model, kit.record([kit.event(n, step_of(n), {"x": n}) for n in range(at, at + 1_000)])
            )
            await kit.maintain(connection, model)
        (curve,) = await kit.drawn(connection, kit.ask(max_points=16))
        steps = [step_of(n) for n in range(n_points)]
        width = next(2**k for k in range(60) if len({step // 2**k for step in steps}) <= 16)
        buckets: dict[int, list[int]] = {}
        for n, step in enumerate(steps):
            buckets.setdefault(step // width, []).append(n)
        assert curve.n_points == n_points
        assert curve.step == [step_of(of_bucket[-1]) for of_bucket in buckets.values()]
        assert curve.value == [float(f"{sum(b) / len(b):.7g}") for b in buckets.values()]
        assert curve.last == [b[-1] for b in buckets.values()]
        cursor = await connection.execute("SELECT max(n), max(octet_length(points)), count(*) FROM series_blocks")
        most, largest, n_blocks = await cursor.fetchone() or (0, 0, 0)
        assert most <= 4096 and largest <= 4096 * 32 and n_blocks <= n_points / 2048 + 2

    in_fresh_tables(inside)


def test_a_reader_meanwhile_sees_every_point_once(database: Database, kit: Any) -> None:
    """Every answer during folds and merges is the curve up to some point: none missing, none twice."""

    n_answers = 0

    async def read(reader: AsyncConnection[Any], done: asyncio.Event) -> None:
        nonlocal n_answers
        while not done.is_set():
            for curve in await kit.drawn(reader, kit.ask(max_points=100)):
                assert curve.n_points == ((curve.last[-1] or 0) + 1 if curve.bucketed else len(curve.step))
            for curve in await kit.drawn(reader, kit.ask(max_points=5_000, first=500, last=4_000)):
                assert curve.step == list(range(500, min(4_001, max(curve.step, default=0) + 1)))
            n_answers += 1

    async def inside() -> None:
        done = asyncio.Event()
        async with (
            await AsyncConnection.connect(database.query_url, autocommit=True) as writer,
            await AsyncConnection.connect(database.query_url, autocommit=True) as reader,
        ):
            for connection in (writer, reader):
                await connection.execute("SET search_path = read")
            model = SeriesReadModel()
            model._upkeep._merging.many_rows = 3
            await writer.execute(model.schema())
            reading = asyncio.create_task(read(reader, done))
            at = 0
            while (at < 6_000 or n_answers <= 20) and not reading.done():
                await kit.fold(writer, model, kit.record([kit.event(n, n, {"x": n}) for n in range(at, at + 40)]))
                await kit.maintain(writer, model)
                at += 40
            done.set()
            await reading

    asyncio.run(inside())
