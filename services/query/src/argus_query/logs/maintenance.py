"""Merges the small chunks that folds write. Answers depend on the lines alone, so it may come at any time, or never."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from itertools import accumulate
from time import monotonic
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from argus_query.logs.chunks import CHUNK_BYTES, CHUNK_LINES, CHUNK_TYPES, Line, chunk_rows, decode_lines
from argus_query.sql import load

SQL = load("argus_query.logs", "queries.sql")
MANY_CHUNKS = 32
"""As many of one size are merged."""
MUCH_BYTES = 4 * CHUNK_BYTES
TINY_LINES = 32
TINY_BYTES = 8 * 1024
FULL_LINES = CHUNK_LINES // 2
FULL_BYTES = CHUNK_BYTES // 2
_MOST_BYTES_AT_ONCE = 16 * CHUNK_BYTES
_TIDY_SECONDS = 0.05


class Outline(NamedTuple):
    """A chunk without its lines. Sorts by its first line."""

    first_attempt: int
    first_order: int
    last_attempt: int
    last_order: int
    n: int
    n_bytes: int
    place: str

    @property
    def tiny(self) -> bool:
        return self.n < TINY_LINES and self.n_bytes < TINY_BYTES


async def copy_chunks(connection: AsyncConnection[Any], rows: Iterable[tuple[Any, ...]]) -> None:
    """`rows` stand in `log_chunks` too."""
    async with connection.cursor() as cursor, cursor.copy(SQL["copy_chunks"]) as copy:
        copy.set_types(CHUNK_TYPES)
        for row in rows:
            await copy.write_row(row)


Key = tuple[str, str]


class LogsMerging:
    """`Merging` of chunks by run and job."""

    def __init__(self) -> None:
        self.many_rows, self.much = MANY_CHUNKS, MUCH_BYTES

    async def loose(self, connection: AsyncConnection[Any]) -> list[tuple[Key, int, int]]:
        cursor = await connection.execute(SQL["select_loose"])
        return [((batch_id, job_id), n_rows, n_bytes) async for batch_id, job_id, n_rows, n_bytes in cursor]

    async def tidy(self, connection: AsyncConnection[Any], keys: Sequence[Key], thorough: Set[Key]) -> set[Key]:
        unfinished: set[Key] = set()
        until = monotonic() + _TIDY_SECONDS
        for key in keys:
            if monotonic() > until or await tidy(connection, key, key in thorough):
                unfinished.add(key)
        return unfinished

    async def settle_lonely(self, connection: AsyncConnection[Any], keys: Sequence[Key]) -> set[Key]:
        columns = [list(column) for column in zip(*keys, strict=True)]
        cursor = await connection.execute(SQL["settle_lonely"], [*columns, FULL_LINES, FULL_BYTES])
        return {(batch_id, job_id) async for batch_id, job_id in cursor}


async def tidy(connection: AsyncConnection[Any], key: Key, thorough: bool) -> bool:
    """Small chunks of the job `key` (run, job) are merged. True: there are more.

    Tiny ones are merged with each other first, so that a line is rewritten a few times and not once per fold.
    thorough: all that is small is merged, however little it is.
    """
    await connection.execute(SQL["settle"], key)
    cursor = await connection.execute(SQL["select_outlines"], [*key, FULL_LINES, FULL_BYTES])
    chosen, more = mergeable([Outline(*row) async for row in cursor], thorough)
    if chosen:
        lines: list[Line] = []
        taken = connection.cursor(binary=True)
        await taken.execute(SQL["take_chunks"], [[chunk.place for chunk in chosen]])
        async for (packed,) in taken:
            lines += decode_lines(packed)
        await copy_chunks(connection, chunk_rows(*key, sorted(lines), settled=True, level=3))
    return more


def mergeable(small: list[Outline], thorough: bool) -> tuple[list[Outline], bool]:
    """Which of the chunks `small` (sorted) to merge now; True where others are left for the next time."""
    many = sum(not chunk.tiny for chunk in small) > MANY_CHUNKS
    much = sum(chunk.n_bytes for chunk in small) > MUCH_BYTES
    candidates = small if thorough or many or much else [chunk for chunk in small if chunk.tiny]
    if len(candidates) < 2:
        return [], False
    within = sum(total <= _MOST_BYTES_AT_ONCE for total in accumulate(chunk.n_bytes for chunk in candidates))
    return candidates[: max(2, within)], within < len(candidates)
