"""Curves in a real PostgreSQL: whatever the order and grouping of folds and whenever maintenance came, one answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.series import GetSeries, Series, SeriesAnswer
from argus_contracts.upcasters import upcast_reporter_event
from argus_query.packing import envelope_of
from argus_query.read_model import Record
from argus_query.series import SeriesReadModel, read_metric_summaries, read_series
from argus_query.series.maintenance import MANY_BLOCKS, MANY_LAYERS, tidy
from argus_query.series.reads import SHARED_POINTS
from argus_query.series.thinning import thin
from argus_query.upkeep import Upkeep
from argus_testkit.databases import Database

pytestmark = pytest.mark.service

ODD = ["NaN", "Infinity", "-Infinity"]


def ask(**more: Any) -> GetSeries:
    return GetSeries(viewer=Viewer(user="u"), batch_id="b", job_id="j", **more)


async def fold(connection: AsyncConnection[Any], model: SeriesReadModel, *records: Record) -> None:
    async with connection.transaction():
        await model.fold(connection, records)


async def maintain(connection: AsyncConnection[Any], model: SeriesReadModel, most: int = 10_000) -> None:
    for _ in range(most):
        async with connection.transaction():
            if not await model.maintain(connection):
                return
    assert most < 10_000, "maintenance does not come to an end"


async def drawn(connection: Any, question: GetSeries) -> list[Series]:
    """What `read_series` answers, by the contract: as JSON every answer of these tests is a valid one, and nothing besides."""
    about = {"position": 1, "batch_id": question.batch_id, "job_id": question.job_id}
    said = answer_of(envelope_of({**about, "series": await read_series(connection, question)}))
    answer = SeriesAnswer.model_validate(said)
    assert answer.model_dump(mode="json", exclude_unset=True) == said
    return answer.series


def answer_of(envelope: bytes) -> Any:
    whole = orjson.loads(envelope)
    assert whole.keys() == {"answer", "problem"} and whole["problem"] is None
    return whole["answer"]


def random_events(chance: random.Random, epoch_event: Callable[..., Any]) -> list[dict[str, Any]]:
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
        events.append(epoch_event(chance.getrandbits(128), step, metrics, attempt=attempt, time_us=time_us))
    return events


def groups_of(chance: random.Random, events: list[Any], record: Callable[..., Record]) -> list[Record]:
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
        groups.append(record(events[at : at + size]))
        at += size
    return groups


async def everything(connection: AsyncConnection[Any]) -> list[Any]:
    """Answers that between them see all of the job."""
    questions = [
        ask(keys=["loss", "accuracy"], max_points=5000),
        ask(keys=["loss", "accuracy"], max_points=100),
        ask(max_points=2),
        ask(max_points=50, first=10, last=1_000),
        ask(max_points=50, x="time", first=1767225600000 + 900, last=1767225600000 + 600_000),
    ]
    answers: list[Any] = [await drawn(connection, question) for question in questions]
    return [*answers, await read_metric_summaries(connection, "b", "j")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_folding_and_maintenance_gives_the_same_answers(
    seed: int, in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    chance = random.Random(seed)
    events = random_events(chance, epoch_event)

    async def rebuilt(connection: AsyncConnection[Any]) -> list[Any]:
        model = SeriesReadModel()
        await fold(connection, model, record(events))
        return await everything(connection)

    async def live(connection: AsyncConnection[Any]) -> list[Any]:
        model = SeriesReadModel()
        model._upkeep._merging.much = chance.choice([50, 8192])  # so that maintenance has much to do with few points
        model._upkeep._merging.many_rows = chance.choice([3, MANY_BLOCKS])
        for group in groups_of(chance, events, record):
            await fold(connection, model, group)
            if chance.random() < 0.2:
                await maintain(connection, model, most=2)
            if chance.random() < 0.05:
                model.forget()
        if chance.random() < 0.5:
            await maintain(connection, model)
            ids = await (await connection.execute("SELECT series_id FROM series")).fetchall()
            for (series_id,) in ids:
                async with connection.transaction():
                    await tidy(connection, [(series_id,)], {(series_id,)})
        return await everything(connection)

    assert in_fresh_tables(live) == in_fresh_tables(rebuilt)


def test_answers_are_those_of_the_points(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """3,000 points by hand: x is the step, or else the epoch; ranges include their ends; words stand for what is no number."""
    events = [epoch_event(n, n, {"loss": n / 2}, time_us=n * 1_000_000) for n in range(3_000)]
    events[1_500] = epoch_event(1_500, 1_500, {"loss": "NaN"}, time_us=1_500_000_000)
    events += [epoch_event(4_000 + n, None, {"val_loss": float(n)}, data={"epoch": n}) for n in range(3)]

    async def inside(connection: AsyncConnection[Any]) -> None:
        await fold(connection, SeriesReadModel(), record(events))
        (val, loss) = await drawn(connection, ask(max_points=1000))
        assert (val.key, val.step, val.value, val.bucketed) == ("val_loss", [0, 1, 2], [0.0, 1.0, 2.0], False)
        assert loss.bucketed and loss.n_points == 3_000 and len(loss.step) == 750  # 4 steps in each
        assert (loss.step[1], loss.value[1], loss.min[1], loss.max[1], loss.last[1]) == (7, 2.75, 2.0, 3.5, 3.5)
        assert [(odd.step, odd.value) for odd in loss.not_finite] == [(1_500, "NaN")]
        assert loss.value[375] == (750.5 + 751 + 751.5) / 3 and loss.time_ms[0] == 1767225600000 + 3_000
        (by_step,) = await drawn(connection, ask(keys=["loss"], first=1_499.5, last=1_502))
        assert (by_step.step, by_step.value) == ([1_500, 1_501, 1_502], [None, 750.5, 751.0])
        (by_time,) = await drawn(
            connection, ask(keys=["loss"], x="time", first=1767225600000 + 1_000, last=1767225600000 + 2_000)
        )
        assert by_time.step == [1, 2]
        assert await drawn(connection, ask(keys=["unheard of"])) == []

    in_fresh_tables(inside)


def test_few_points_of_a_long_curve_come_at_the_first_look(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A whole history is read exactly, in pieces or at once: blocks with few enough points are not asked for their tiers first."""
    n_looks = 0

    def counted(*arguments: Any) -> Any:
        nonlocal n_looks
        n_looks += 1
        return thin(*arguments)

    async def inside(connection: AsyncConnection[Any]) -> None:
        nonlocal n_looks
        model = SeriesReadModel()
        for first in range(0, 20_000, 2_500):
            await fold(
                connection, model, record([epoch_event(n, n, {"loss": n / 3}) for n in range(first, first + 2_500)])
            )
        await maintain(connection, model)
        monkeypatch.setattr("argus_query.series.reads.thin", counted)
        for first in range(0, 20_000, 5_000):
            (curve,) = await drawn(connection, ask(first=first, last=first + 4_999, max_points=5_000))
            assert curve.value == [n / 3 for n in range(first, first + 5_000)]
        assert n_looks == 4
        (half,) = await drawn(connection, ask(first=5_000, last=14_999, max_points=10_000))
        assert n_looks == 5
        assert half.value == [n / 3 for n in range(5_000, 15_000)]
        assert len(half.model_dump_json()) < 50 * 10_000
        (whole,) = await drawn(connection, ask(max_points=10_000))
        assert (whole.bucketed, whole.n_points, len(whole.step)) == (True, 20_000, 5_000)

    in_fresh_tables(inside)


def test_snapshots_become_curves_of_the_machine(
    in_fresh_tables: Callable[..., Any], record: Callable[..., Record]
) -> None:
    snapshot = {
        "event_id": str(UUID(int=5)), "kind": "resource_snapshot", "version": 1, "batch_id": "b", "job_id": None,
        "occurred_at": "2026-01-01T00:00:07.9+00:00",
        "data": {"cpu_pct": 150.0, "rss_bytes": 2**40, "gpus": [
            {"index": 0, "util_pct": 10.0, "memory_used_bytes": 7}, {"index": 3, "util_pct": 30, "power_w": 200.5}, {"index": 4},
        ]},
    }  # fmt: skip

    async def inside(connection: AsyncConnection[Any]) -> None:
        await fold(connection, SeriesReadModel(), record([snapshot], "snapshots"))
        summaries = {s.key: s for s in await read_metric_summaries(connection, "b", "")}
        assert {key: s.last for key, s in summaries.items()} == {
            "cpu_pct": 150.0, "rss_bytes": 2.0**40, "gpu.0.util_pct": 10.0, "gpu.0.memory_used_bytes": 7.0,
            "gpu.3.util_pct": 30.0, "gpu.3.power_w": 200.5, "gpu.util_pct": 20.0,
        }  # fmt: skip
        assert {s.family for s in summaries.values()} == {"system"}
        assert summaries["cpu_pct"].last_step == 1767225607
        question = GetSeries(viewer=Viewer(user="u"), batch_id="b", job_id="", keys=["gpu.util_pct"])
        assert [series.value for series in await drawn(connection, question)] == [[20.0]]

    in_fresh_tables(inside)


def test_without_a_loss_the_first_metric_is_shown_and_losses_come_first(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        await fold(connection, model, record([epoch_event(1, 1, {"recall": 1, "accuracy": 1})]))
        assert [s.key for s in await drawn(connection, ask())] == ["accuracy"]
        keys = dict.fromkeys(["loss", "val_loss", "train_loss", "aux_Loss", "z_loss"], 1.0)
        await fold(connection, model, record([epoch_event(2, 1, keys)]))
        assert [s.key for s in await drawn(connection, ask())] == ["val_loss", "train_loss", "loss", "aux_Loss"]

    in_fresh_tables(inside)


def test_a_curve_that_trickles_in_shuffled_ends_in_few_blocks_apart(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """60,000 steps in random order, 500 to a fold: at the end no step is covered by more than a few blocks."""
    chance = random.Random(3)
    steps = list(range(60_000))
    chance.shuffle(steps)

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        for at in range(0, len(steps), 500):
            await fold(connection, model, record([epoch_event(s, s, {"loss": s}) for s in steps[at : at + 500]]))
            if at % 5_000 == 0:
                await maintain(connection, model)
        await maintain(connection, model)
        cursor = await connection.execute("SELECT first_step, last_step FROM series_blocks WHERE n >= 2048")
        blocks = await cursor.fetchall()
        assert max(sum(a <= step <= b for a, b in blocks) for step in range(0, 60_000, 1_000)) <= MANY_LAYERS + 1
        cursor = await connection.execute("SELECT count(*), sum(n) FROM series_blocks")
        n_blocks, n_points = await cursor.fetchone() or (0, 0)
        assert n_points == 60_000
        assert n_blocks <= 60_000 / 2048 + MANY_BLOCKS

    in_fresh_tables(inside)


def test_a_purged_run_leaves_nothing(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        other = epoch_event(2, 1, {"loss": 1}, batch_id="other")
        await fold(connection, model, record([epoch_event(1, 1, {"loss": 1})]), record([other]))
        await fold(
            connection,
            model,
            record([{"kind": "run_purged", "batch_id": "b", "occurred_at": "2026-01-01T00:00:00Z"}], "lifecycle"),
        )
        await maintain(connection, model)
        cursor = await connection.execute("SELECT batch_id FROM series")
        assert await cursor.fetchall() == [("other",)]
        cursor = await connection.execute("SELECT count(*) FROM series_blocks")
        assert await cursor.fetchone() == (1,)

    in_fresh_tables(inside)


def test_curves_that_nothing_is_added_to_are_merged_in_the_end(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """Ten minutes without a point: five small blocks become one, a lonely one is left as it is (here the clock of the
    upkeep is set back)."""

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        await maintain(connection, model)
        for n in range(5):
            await fold(
                connection, model, record([epoch_event(n, n, {"loss": n} | ({"lonely": 1.0} if n == 3 else {}))])
            )
        await maintain(connection, model)
        counts = "SELECT key, count(*), sum(b.n), bool_and(settled) FROM series_blocks b JOIN series USING (series_id) GROUP BY key ORDER BY key"
        assert await (await connection.execute(counts)).fetchall() == [("lonely", 1, 1, False), ("loss", 5, 5, False)]
        upkeep: Upkeep[Any] = model._upkeep
        assert upkeep._loose
        for loose in upkeep._loose.values():
            loose.since -= timedelta(minutes=11).total_seconds()
        upkeep._next_aging = 0.0
        await maintain(connection, model)
        assert await (await connection.execute(counts)).fetchall() == [("lonely", 1, 1, True), ("loss", 1, 5, True)]
        assert not upkeep._loose

    in_fresh_tables(inside)


def test_events_of_the_older_reporter_become_points(
    in_fresh_tables: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """The older form has `epoch` and bare numbers; NaN comes as a float of Python's json."""
    raw = {
        "schema_version": "1.1", "event_type": "job_epoch", "batch_id": "b", "job_id": "j", "timestamp": "2026-01-01T00:00:09Z",
        "source": {}, "data": {"epoch": 3, "val_loss": 0.25, "train_loss": float("nan"), "note": "text"},
    }  # fmt: skip
    events = [upcast_reporter_event(raw | {"event_id": str(UUID(int=n))}, n) for n in (1, 2)]

    async def inside(connection: AsyncConnection[Any]) -> None:
        await fold(connection, SeriesReadModel(), record(events))
        val, train = await drawn(connection, ask())
        assert (val.key, val.step, val.value) == ("val_loss", [3, 3], [0.25, 0.25])
        assert (train.value, [odd.value for odd in train.not_finite]) == ([None, None], ["NaN", "NaN"])
        summaries = await read_metric_summaries(connection, "b", "j")
        assert [(s.key, s.n_points, s.last, s.min) for s in summaries] == [
            ("train_loss", 2, "NaN", None), ("val_loss", 2, 0.25, 0.25),
        ]  # fmt: skip

    in_fresh_tables(inside)


@pytest.mark.parametrize("step_of", [lambda n: 5, lambda n: n * 10**9, lambda n: n // 5_000], ids=["one", "far", "few"])
def test_odd_steps_stay_right_and_packed(
    step_of: Callable[[int], int],
    in_fresh_tables: Callable[..., Any],
    epoch_event: Callable[..., Any],
    record: Callable[..., Record],
) -> None:
    """40,000 points on one step, on steps far apart, on few steps: small blocks, and the same curve as by hand."""
    n_points = 40_000

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        for at in range(0, n_points, 1_000):
            await fold(connection, model, record([epoch_event(n, step_of(n), {"x": n}) for n in range(at, at + 1_000)]))
            await maintain(connection, model)
        (curve,) = await drawn(connection, ask(max_points=16))
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


def test_a_reader_meanwhile_sees_every_point_once(
    database: Database, epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """Every answer during folds and merges is the curve up to some point: none missing, none twice."""

    n_answers = 0

    async def read(reader: AsyncConnection[Any], done: asyncio.Event) -> None:
        nonlocal n_answers
        while not done.is_set():
            for curve in await drawn(reader, ask(max_points=100)):
                assert curve.n_points == ((curve.last[-1] or 0) + 1 if curve.bucketed else len(curve.step))
            for curve in await drawn(reader, ask(max_points=5_000, first=500, last=4_000)):
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
                await fold(writer, model, record([epoch_event(n, n, {"x": n}) for n in range(at, at + 40)]))
                await maintain(writer, model)
                at += 40
            done.set()
            await reading

    asyncio.run(inside())


def test_an_answer_of_many_curves_stays_small(
    in_fresh_tables: Callable[..., Any], epoch_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """20 metrics of 12,000 steps: they share what an answer holds, read from few buckets, with two statements each at most."""
    keys = [f"metric-{n}" for n in range(20)]
    events = [epoch_event(n, n, dict.fromkeys(keys, n / 7), time_us=n * 1_000) for n in range(12_000)]

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = SeriesReadModel()
        await fold(connection, model, record(events))
        await maintain(connection, model)
        counted = Counted(connection)
        for bounds in ({}, {"first": 3_000, "last": 9_000}, {"first": 500, "last": 1_400}):
            counted.statements = 0
            curves = await drawn(counted, ask(keys=keys, max_points=1000, **bounds))  # type: ignore[arg-type]
            assert [curve.key for curve in curves] == keys
            assert sum(len(curve.step) for curve in curves) <= SHARED_POINTS
            assert sum(len(curve.model_dump_json()) for curve in curves) <= 200_000
            assert counted.statements <= 1 + 3 * len(keys)
        (alone,) = await drawn(connection, ask(keys=keys[:1], max_points=5_000, first=1_000, last=5_999))
        assert alone.step == list(range(1_000, 6_000))

    in_fresh_tables(inside)


class Counted:
    """A connection that counts what is asked through it."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("execute", "cursor"):
            self.statements += 1
        return getattr(self._connection, name)
