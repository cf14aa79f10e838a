"""Rows of `series_blocks`, ready for COPY."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from argus_query.series.points import BLOCK_POINTS, Points, cut, encode_points
from argus_query.series.tiers import COARSE_BUCKETS, TIER_BUCKETS, TIER_FROM, not_finite_of, tier_of
from argus_query.sql import load

SQL = load("argus_query.series", "queries.sql")
FULL_POINTS = BLOCK_POINTS // 2
"""From here on a block is not merged with others for its size."""

NO_TIERS = (None,) * 7
"""What a row ends with whose points are as quick to read."""
_TYPES = (
    "uuid", "int4", "int8", "int8", "int8", "int8", "int4", "bool", "bytea", "int8", "bytea", "bytea", "int8", "bytea",
    "bytea", "bytea",
)  # fmt: skip


def block_rows(series_id: UUID, attempt: int, points: Points, settled: bool) -> list[tuple[Any, ...]]:
    """The rows that hold `points` (sorted, not empty). Full ones are settled whatever is said."""
    return [_block_row(series_id, attempt, piece, settled or len(piece) >= FULL_POINTS) for piece in cut(points)]


async def copy_blocks(connection: AsyncConnection[Any], rows: Iterable[tuple[Any, ...]]) -> None:
    """`rows` stand in `series_blocks` too."""
    async with connection.cursor() as cursor, cursor.copy(SQL["copy_blocks"]) as copy:
        copy.set_types(_TYPES)
        for row in rows:
            await copy.write_row(row)


def _block_row(series_id: UUID, attempt: int, points: Points, settled: bool) -> tuple[Any, ...]:
    times = points["time_us"]
    row = (
        series_id, attempt, int(points["step"][0]), int(points["step"][-1]), int(times.min()), int(times.max()),
        len(points), settled, encode_points(points),
    )  # fmt: skip
    if len(points) < TIER_FROM:
        return (*row, *NO_TIERS)
    not_finite = not_finite_of(points).tobytes() or None
    return (*row, *_tier(points, TIER_BUCKETS), *_tier(points, COARSE_BUCKETS), not_finite)


def _tier(points: Points, most_buckets: int) -> tuple[int, bytes, bytes]:
    """Width, rows and sums."""
    width, buckets = tier_of(points, most_buckets)
    return width, buckets.rows.tobytes(), buckets.sums.tobytes()
