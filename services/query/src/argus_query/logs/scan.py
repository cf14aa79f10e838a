"""Lines in the order they are read, from whichever chunks hold them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from argus_query.logs.chunks import Line, decode_lines
from argus_query.logs.cursors import Place
from argus_query.logs.maintenance import SQL

_CHUNKS_AT_ONCE = 4
_LEAST, _MOST = -(2**63), 2**63 - 1
_LEAST_ATTEMPT, _MOST_ATTEMPT = -(2**31), 2**31 - 1


class Found(NamedTuple):
    """A line in its place. `sort_key` orders it in the view that was asked for."""

    sort_key: tuple[Any, ...]
    job_id: str
    line: Line


class View(NamedTuple):
    """Whose lines: of one job ('' for the run itself), sorted by attempt and order; or (None) of all, sorted by time."""

    batch_id: str
    job_id: str | None

    def found(self, job_id: str, line: Line) -> Found:
        key = (line.attempt, line.order, line.producer, line.event_id)
        return Found(key if self.job_id is not None else (line.at_us, job_id, *key), job_id, line)

    def key_of(self, place: Place) -> tuple[Any, ...]:
        return tuple(place) if self.job_id is None else tuple(place[2:])


async def scan(
    connection: AsyncConnection[Any], view: View, start: Place | None, backwards: bool
) -> AsyncGenerator[list[Found]]:
    """The lines before `start` newest first, or those after it oldest first; in lists, all of one state of the tables.

    start: None for the newest (the oldest) of all. A list is given out when no chunk still to be read can hold a line
    that belongs before its last one. Needs a transaction around it.
    """
    direction = "backwards" if backwards else "forwards"
    of = "job" if view.job_id is not None else "run"
    edge = (
        Place(_MOST, "", _MOST_ATTEMPT, _MOST, "", "")
        if backwards
        else Place(_LEAST, "", _LEAST_ATTEMPT, _LEAST, "", "")
    )
    place = start or edge
    limit = None if start is None else view.key_of(start)
    arguments = {
        "batch_id": view.batch_id, "job_id": view.job_id,
        "attempt": place.attempt, "order": place.order, "time_us": place.at_us,
    }  # fmt: skip
    pending: list[Found] = []
    async with connection.cursor("log_scan", binary=True) as cursor:
        cursor.itersize = _CHUNKS_AT_ONCE
        await cursor.execute(SQL[f"select_chunks_of_{of}_{direction}"], arguments)
        async for job_id, attempt, order, at_us, packed in cursor:
            reached = (at_us,) if view.job_id is None else (attempt, order)
            size = len(reached)
            if backwards:
                ready = [found for found in pending if found.sort_key[:size] > reached]
            else:
                ready = [found for found in pending if found.sort_key[:size] < reached]
            if ready:
                yield sorted(ready, reverse=backwards)
                pending = [found for found in pending if found.sort_key[:size] <= reached] if backwards else [
                    found for found in pending if found.sort_key[:size] >= reached
                ]  # fmt: skip
            lines = (view.found(job_id, line) for line in decode_lines(packed))
            if limit is None:
                pending += lines
            elif backwards:
                pending += (found for found in lines if found.sort_key < limit)
            else:
                pending += (found for found in lines if found.sort_key > limit)
    if pending:
        yield sorted(pending, reverse=backwards)
