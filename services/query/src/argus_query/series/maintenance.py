"""Keeps the blocks of a curve few and apart: what folds write small is merged, what overlaps is sorted into place.

Answers depend on the points alone, so every step here may come at any time, or never.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import AsyncConnection

from argus_query.series.blocks import FULL_POINTS, SQL, block_rows, copy_blocks
from argus_query.series.points import decode_points, joined

MANY_BLOCKS = 32
"""As many of one size are merged."""
TINY_POINTS = 64
MANY_POINTS = 8192
MANY_LAYERS = 4
MOST_BLOCKS_AT_ONCE = 32
MOST_POINTS_AT_ONCE = 65_536


class Outline(NamedTuple):
    """A block without its points. Sorts by attempt, then step."""

    attempt: int
    first_step: int
    last_step: int
    n: int
    place: str


Key = tuple[UUID]
Heap = tuple[Key, int, str]
"""Curve, attempt, and why its blocks are merged."""


class SeriesMerging:
    """`Merging` of blocks by curve."""

    def __init__(self) -> None:
        self.many_rows, self.much = MANY_BLOCKS, MANY_POINTS

    async def loose(self, connection: AsyncConnection[Any]) -> list[tuple[Key, int, int]]:
        cursor = await connection.execute(SQL["select_loose"])
        return [((series_id,), n_blocks, n_points) async for series_id, n_blocks, n_points in cursor]

    async def tidy(self, connection: AsyncConnection[Any], keys: Sequence[Key], thorough: Set[Key]) -> set[Key]:
        return await tidy(connection, keys, thorough)

    async def settle_lonely(self, connection: AsyncConnection[Any], keys: Sequence[Key]) -> set[Key]:
        cursor = await connection.execute(SQL["settle_lonely"], [[key[0] for key in keys], FULL_POINTS])
        return {(series_id,) async for (series_id,) in cursor}


async def tidy(connection: AsyncConnection[Any], keys: Sequence[Key], thorough: Set[Key]) -> set[Key]:
    """Small blocks of the curves are merged, and blocks that lie over each other sorted apart. Where there is more to do.

    Tiny blocks are merged with each other first, so that a point is rewritten a few times and not once per fold.
    thorough: curves of which all that is small is merged, however little it is.
    """
    outlines = await _outlines(connection, keys)
    taken: dict[str, Heap] = {}
    unfinished: set[Key] = set()
    n_points = 0
    for key in keys:
        if n_points > MOST_POINTS_AT_ONCE:
            unfinished.add(key)
            continue
        full = [block for block in outlines[key] if block.n >= FULL_POINTS]
        crowd = crowded(full)
        small, more = mergeable([block for block in outlines[key] if block.n < FULL_POINTS], key in thorough)
        taken |= {block.place: (key, block.attempt, "small") for block in small}
        taken |= {block.place: (key, block.attempt, "crowd") for block in crowd}
        n_merged = sum(block.n for block in small)
        n_points += n_merged + sum(block.n for block in crowd)
        if more or crowd or (n_merged >= FULL_POINTS and len(full) >= MANY_LAYERS):  # new full ones may make a crowd
            unfinished.add(key)
    if taken:
        await _merge(connection, taken)
    await connection.execute(SQL["settle"], [[key[0] for key in keys if key not in unfinished]])
    return unfinished


def mergeable(small: list[Outline], thorough: bool) -> tuple[list[Outline], bool]:
    """Which of the blocks `small` (sorted) to merge now; True where others are left for the next time."""
    n_of_attempt = Counter(block.attempt for block in small)
    lonely = len(n_of_attempt)
    middle = sum(block.n >= TINY_POINTS for block in small)
    if (
        thorough
        or middle > MANY_BLOCKS + lonely
        or sum(block.n for block in small) > MANY_POINTS + lonely * FULL_POINTS
    ):
        candidates = small
    else:
        candidates = [block for block in small if block.n < TINY_POINTS]
        n_of_attempt = Counter(block.attempt for block in candidates)
    candidates = [block for block in candidates if n_of_attempt[block.attempt] > 1]
    within = list(accumulate(block.n for block in candidates))
    chosen = candidates[: max(2, bisect_right(within, MOST_POINTS_AT_ONCE))]
    return (chosen, True) if len(chosen) < len(candidates) else (candidates, False)


async def _outlines(connection: AsyncConnection[Any], keys: Sequence[Key]) -> dict[Key, list[Outline]]:
    outlines: dict[Key, list[Outline]] = {key: [] for key in keys}
    cursor = await connection.execute(SQL["select_outlines"], [[key[0] for key in keys]])
    async for series_id, *outline in cursor:
        outlines[series_id,].append(Outline(*outline))
    return outlines


async def _merge(connection: AsyncConnection[Any], taken: dict[str, Heap]) -> None:
    """The points of the blocks at the places of `taken` stand in blocks cut anew, each heap for itself."""
    heaps: dict[Heap, list[Any]] = defaultdict(list)
    cursor = connection.cursor(binary=True)
    await cursor.execute(SQL["take_blocks"], [list(taken)])
    async for place, packed in cursor:
        heaps[taken[place]].append(decode_points(packed))
    rows: list[tuple[Any, ...]] = []
    for ((series_id,), attempt, _), pieces in heaps.items():
        rows += block_rows(series_id, attempt, joined(pieces), settled=True)
    await copy_blocks(connection, rows)


def crowded(blocks: list[Outline]) -> list[Outline]:
    """The first of `blocks` (sorted) of which more than `MANY_LAYERS` lie over each other; at most 32, none where there
    are no such. Blocks that only touch at one step do not lie over each other.

    Sorting them apart ends some time: at no step do blocks become more, and at one they become fewer.
    """
    layers: list[Outline] = []
    for block in blocks:
        still = [other for other in layers if other.attempt == block.attempt and other.last_step > block.first_step]
        if len(layers) > MANY_LAYERS and (len(still) < len(layers) or len(layers) == MOST_BLOCKS_AT_ONCE):
            return layers
        layers = still
        if block.last_step > block.first_step:
            layers.append(block)
    return layers if len(layers) > MANY_LAYERS else []
