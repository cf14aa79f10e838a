"""A job of a million steps and 20 metrics: how fast it is folded, and how fast and small the first answer and a zoom are.

Goals: fold >= 400,000 points/s on one core; first answer in <= 100 ms and <= 200,000 bytes, zoom in <= 100 ms, for the two
curves that a page shows first and for all 20.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.series import GetSeries
from argus_query.facts import micros_of
from argus_query.packing import envelope_of
from argus_query.read_model import Record
from argus_query.series import SeriesReadModel, read_series
from argus_testkit import shared_servers
from argus_testkit.databases import cloned_database
from benchmarks.figures import Figure, as_table

N_STEPS = 1_000_000
KEYS = ("train_loss", "val_loss", *(f"metric-{n}" for n in range(18)))
FIRST_KEYS = KEYS[:2]
"""Those that a page asks for first."""
MANY_KEYS = ("train_loss", "val_loss", "lr", "accuracy")
EVENTS_PER_RECORD = 500
EVENTS_PER_FOLD = 10_000
IDS = random.Random(7)
START = datetime(2026, 1, 1, tzinfo=UTC)


def _records(first_step: int, n_steps: int, n_jobs: int, keys: tuple[str, ...]) -> list[Record]:
    """`n_steps` events of each of `n_jobs` jobs, as a projector hands them over."""
    records: list[Record] = []
    for job in range(n_jobs):
        for first in range(first_step, first_step + n_steps, EVENTS_PER_RECORD):
            events: list[dict[str, Any]] = []
            times: list[int] = []
            for step in range(first, min(first + EVENTS_PER_RECORD, first_step + n_steps)):
                moment = START + timedelta(microseconds=step * 20_000)
                value = math.exp(-step / 300_000) + (step * 2654435761 % 1000) / 10_000
                times.append(micros_of(moment))
                events.append({
                    "event_id": str(UUID(int=IDS.getrandbits(128))),
                    "kind": "job_epoch", "version": 1, "batch_id": "b", "job_id": f"j{job}", "attempt": 1, "seq": step,
                    "occurred_at": moment.isoformat().replace("+00:00", "Z"),
                    "data": {"step": step, "metrics": {key: value + index for index, key in enumerate(keys)}},
                })  # fmt: skip
            records.append(Record(1, "w", "u", "b", "metrics", "p", START, events, times))
    return records


@dataclass
class _Spent:
    """Seconds of folds: by the clock (PostgreSQL's part included), and of the processor in this process."""

    wall: float = 0.0
    processor: float = 0.0

    async def fold(self, connection: AsyncConnection[Any], model: SeriesReadModel, records: list[Record]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        async with connection.transaction():
            await model.fold(connection, records)
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor

    def rate(self, name: str, n_points: int) -> dict[str, float]:
        return {f"{name}_points_per_s": n_points / self.processor}


async def _one_long_job(connection: AsyncConnection[Any], model: SeriesReadModel) -> dict[str, float]:
    spent = _Spent()
    for first in range(0, N_STEPS, EVENTS_PER_FOLD // 4):
        await spent.fold(connection, model, _records(first, EVENTS_PER_FOLD // 4, 1, KEYS))
    return spent.rate("fold", N_STEPS * len(KEYS))


async def _many_jobs(connection: AsyncConnection[Any], model: SeriesReadModel) -> dict[str, float]:
    """1,000 jobs at once, each with 10 steps of 4 metrics per fold."""
    spent, n_points = _Spent(), 0
    for fold in range(5):
        await spent.fold(connection, model, _records(fold * 10, 10, 1000, MANY_KEYS))
        n_points += 10 * 1000 * len(MANY_KEYS)
    return spent.rate("fold_many_jobs", n_points)


async def _trickle(connection: AsyncConnection[Any], model: SeriesReadModel) -> dict[str, float]:
    """Live: 200 folds of one step of 50 jobs with 4 metrics each, maintenance after each of them."""
    spent, maintaining = _Spent(), 0.0
    for fold in range(200):
        await spent.fold(connection, model, _records(fold, 1, 50, MANY_KEYS))
        maintaining += await _maintain(connection, model)
    return {"trickle_fold_ms": spent.wall * 5, "trickle_maintain_ms": maintaining * 5}


async def _maintain(connection: AsyncConnection[Any], model: SeriesReadModel) -> float:
    began, more = time.perf_counter(), True
    while more:
        async with connection.transaction():
            more = await model.maintain(connection)
    return time.perf_counter() - began


async def _read(
    connection: AsyncConnection[Any], name: str, keys: tuple[str, ...] = FIRST_KEYS, **more: Any
) -> dict[str, float]:
    question = GetSeries(viewer=Viewer(user="u"), batch_id="b", job_id="j0", keys=list(keys), max_points=1000, **more)
    seconds: list[float] = []
    size = 0
    for _ in range(7):
        began = time.perf_counter()
        about = {"position": 1, "batch_id": question.batch_id, "job_id": question.job_id}
        answer = envelope_of({**about, "series": await read_series(connection, question)})
        seconds.append(time.perf_counter() - began)
        size = len(answer)
    return {f"{name}_ms": sorted(seconds)[len(seconds) // 2] * 1000, f"{name}_bytes": size}


async def _measure(url: str) -> dict[str, float]:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SET search_path = read")
        model = SeriesReadModel()
        await connection.execute(model.schema())
        figures = await _many_jobs(connection, model)
        await connection.execute("TRUNCATE series, series_blocks")
        model.forget()
        figures |= await _trickle(connection, model)
        await connection.execute("TRUNCATE series, series_blocks")
        model.forget()
        figures |= await _one_long_job(connection, model)
        figures |= await _read(connection, "read_fresh")
        figures["maintain_s"] = await _maintain(connection, model)
        figures |= await _read(connection, "read")
        figures |= await _read(connection, "read_zoomed", first=250_123, last=750_321)
        figures |= await _read(connection, "read_zoomed_far", first=500_000, last=500_900)
        figures |= await _read(connection, "read_all", KEYS)
        figures |= await _read(connection, "read_all_zoomed", KEYS, first=250_123, last=750_321)
        figures |= await _read(connection, "read_all_zoomed_far", KEYS, first=500_000, last=500_900)
        figures |= await _read(
            connection, "read_hour", x="time", first=1767225600000 + 3.6e6, last=1767225600000 + 7.2e6
        )
        cursor = await connection.execute(
            "SELECT pg_total_relation_size('series_blocks'), (SELECT count(*) FROM series_blocks)"
        )
        size, n_blocks = await cursor.fetchone() or (0, 0)
        return figures | {"bytes_per_point": size / N_STEPS / len(KEYS), "blocks": n_blocks}


GOALS = {
    "fold_points_per_s": 400_000, "fold_many_jobs_points_per_s": 400_000,
    "read_ms": 100, "read_bytes": 200_000, "read_fresh_ms": 100, "read_zoomed_ms": 100, "read_zoomed_far_ms": 100,
    "read_hour_ms": 100, "read_all_ms": 100, "read_all_bytes": 200_000, "read_all_zoomed_ms": 100,
    "read_all_zoomed_bytes": 200_000, "read_all_zoomed_far_ms": 100, "read_all_zoomed_far_bytes": 200_000,
}  # fmt: skip
NAMES = {
    "fold_points_per_s": "folding one long job, 20 metrics",
    "fold_many_jobs_points_per_s": "folding 1,000 jobs, 4 metrics",
    "trickle_fold_ms": "a fold of one step of 50 jobs",
    "trickle_maintain_ms": "maintenance after such a fold",
    "read_fresh_ms": "curve of 1,000,000 steps, 2 keys, before maintenance",
    "read_ms": "curve of 1,000,000 steps, 2 keys, first answer",
    "read_bytes": "the same",
    "read_zoomed_ms": "a half of it",
    "read_zoomed_far_ms": "900 steps of it",
    "read_hour_ms": "an hour of it",
    "read_all_ms": "all 20 keys, first answer",
    "read_all_bytes": "the same",
    "read_all_zoomed_ms": "all 20 keys, a half of it",
    "read_all_zoomed_bytes": "the same",
    "read_all_zoomed_far_ms": "all 20 keys, 900 steps of it",
    "read_all_zoomed_far_bytes": "the same",
    "bytes_per_point": "stored per point",
}


PROFILE = """
A curve is drawn from its tiers: at most 64 buckets, and 4 coarse ones, for each block of 4,096 points. Before there were
coarse ones, 20 curves took 5 times as long: sorting 15,000 buckets a curve and writing 900 kB of JSON. Now several curves
share 3,000 points, so that an answer does not grow with their number; what is left is two short statements a curve.
"""


def measure() -> list[Figure]:
    """Folds in points per second of this process's processor time; answers with their JSON, median of 7."""
    servers = shared_servers.join()
    try:
        with cloned_database(servers.admin_url, servers.passwords) as database:
            found = asyncio.run(_measure(database.query_url))
    finally:
        shared_servers.leave()
    return [
        Figure(f"series: {text}", found[name], GOALS.get(name), unit_of(name), better_of(name))
        for name, text in NAMES.items()
    ]


def unit_of(name: str) -> str:
    return "points/s" if name.endswith("_per_s") else ("ms" if name.endswith("_ms") else "bytes")


def better_of(name: str) -> Literal["lower", "higher"]:
    return "higher" if name.endswith("_per_s") else "lower"


if __name__ == "__main__":
    print(as_table(measure()))
