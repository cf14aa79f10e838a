"""Folds metric points and resource snapshots into packed curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from hashlib import blake2b
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np
from psycopg import AsyncConnection

from argus_query.read_model import Record, purged_batches
from argus_query.series.blocks import NO_TIERS, SQL, block_rows
from argus_query.series.gather import Gathered, SeriesKey, gather
from argus_query.series.maintenance import SeriesMerging
from argus_query.series.points import BLOCK_POINTS
from argus_query.sql import columns_of, load_text
from argus_query.upkeep import Upkeep

_CACHED_IDS = 200_000


class SeriesReadModel:
    """A curve per (run, job, metric) in packed blocks, and what it comes to in one row. A `ReadModel`."""

    name = "series"
    version = 2
    tables = ("series", "series_blocks")
    compared_tables = ("series",)
    """Those whose rows do not depend on the order and grouping of folds."""

    def __init__(self) -> None:
        self._ids: dict[SeriesKey, UUID] = {}
        self._upkeep = Upkeep(SeriesMerging())

    def schema(self) -> str:
        return load_text("argus_query.series", "schema.sql")

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        """Nothing: its rows follow from the records alone."""

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        gathered = gather(records)
        if gathered.starts:
            await self._write(connection, gathered)
        for batch_id in purged_batches(records):
            await connection.execute(SQL["delete_blocks_of_run"], [batch_id])
            await connection.execute(SQL["delete_series_of_run"], [batch_id])

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return await self._upkeep.work(connection)

    def forget(self) -> None:
        self._upkeep.forget()

    async def _write(self, connection: AsyncConnection[Any], gathered: Gathered) -> None:
        points, starts = gathered.points, gathered.starts
        ends = [*starts[1:], len(points)]
        ids = [self._series_id(key) for key, _ in gathered.owners]
        await connection.execute(SQL["upsert_series"], _summaries(gathered, ids))
        first_steps, last_steps = points["step"][starts].tolist(), points["step"][np.array(ends) - 1].tolist()
        first_times = np.minimum.reduceat(points["time_us"], starts).tolist()
        last_times = np.maximum.reduceat(points["time_us"], starts).tolist()
        packed = memoryview(points.tobytes())
        size = points.dtype.itemsize
        rows: list[tuple[Any, ...]] = []
        for index, (_, attempt) in enumerate(gathered.owners):
            start, end = starts[index], ends[index]
            if end - start >= _SMALL:
                new = block_rows(ids[index], attempt, points[start:end], settled=False)
                loose = sum(not row[7] for row in new)
                rows += new
            else:  # hundreds of curves get a few points each: no arrays are made for them
                rows.append((
                    ids[index], attempt, first_steps[index], last_steps[index], first_times[index], last_times[index],
                    end - start, False, b"\0" + packed[start * size : end * size], *NO_TIERS,
                ))  # fmt: skip
                loose = 1
            self._upkeep.note((ids[index],), loose, min(end - start, BLOCK_POINTS))
        await connection.execute(SQL["insert_blocks"], columns_of(rows))

    def _series_id(self, key: SeriesKey) -> UUID:
        """The same for the same key for ever, so that no row must be read to write one. Curves of a run lie together."""
        series_id = self._ids.get(key)
        if series_id is None:
            if len(self._ids) >= _CACHED_IDS:
                self._ids.clear()
            run = blake2b(key[0].encode(), digest_size=6).digest()
            rest = blake2b("\0".join(key).encode(), digest_size=10).digest()
            series_id = self._ids[key] = UUID(bytes=run + rest)
        return series_id


_SMALL = 64


def _summaries(gathered: Gathered, ids: list[UUID]) -> list[Any]:
    """The columns of `upsert_series`: one row per curve, so attempts are put together first."""
    points, starts = gathered.points, gathered.starts
    values = points["value"]
    finite = np.isfinite(values)
    lows = np.minimum.reduceat(np.where(finite, values, np.inf), starts).tolist()
    highs = np.maximum.reduceat(np.where(finite, values, -np.inf), starts).tolist()
    ends = [*starts[1:], len(points)]
    lasts = points[np.array(ends) - 1].tolist()
    entries = [
        (key, attempt, ids[index], ends[index] - starts[index], lows[index], highs[index], lasts[index])
        for index, (key, attempt) in enumerate(gathered.owners)
    ]
    entries.sort(key=lambda entry: entry[:2])  # one order of row locks for every writer
    rows: list[tuple[Any, ...]] = []
    for key, group in groupby(entries, key=lambda entry: entry[0]):
        of_series = list(group)
        *_, series_id, _, _, _, last = newest = of_series[-1]
        low, high = min(entry[4] for entry in of_series), max(entry[5] for entry in of_series)
        rows.append((
            *key, series_id, sum(entry[3] for entry in of_series),
            low if math.isfinite(low) else None, high if math.isfinite(high) else None, newest[1], *last,
        ))  # fmt: skip
    return columns_of(rows)
