"""Answers from log lines: a function of the lines, never of the chunks that hold them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal, TypedDict, cast

from psycopg import AsyncConnection

from argus_contracts.queries.logs import ListLogLines, LogEntry
from argus_query.logs.chunks import Line
from argus_query.logs.cursors import place_from
from argus_query.logs.maintenance import SQL
from argus_query.logs.pages import Backwards, Forwards, LookBack, cursor_at
from argus_query.logs.scan import Found, View, scan
from argus_query.wire_values import moment_of


class LogLinesFields(TypedDict):
    """A `LogLines` without its position."""

    lines: list[LogEntry]
    before: str | None
    after: str | None
    dropped: int


async def count_log_lines(connection: AsyncConnection[Any], batch_id: str, job_id: str | None) -> int:
    """How many lines the job has; '' for the run itself, None for it and all its jobs."""
    cursor = await connection.execute(SQL["count_lines"], {"batch_id": batch_id, "job_id": job_id})
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def read_log_lines(connection: AsyncConnection[Any], question: ListLogLines, dropped: int) -> LogLinesFields:
    """The asked lines. Who may see the run is the caller's business, and so is how many lines its senders `dropped`.

    With a filter, `before` and `after` may name a line that was looked at and did not pass, so that the next page goes
    on from there. Errors: `BadCursor`.
    """
    view = View(question.batch_id, question.job_id)
    async with connection.transaction():
        if question.after_line is None:
            start = None if question.before is None else place_from(question.before)
            page = Backwards(passes_of(question), question.limit)
            await _read(scan(connection, view, start, backwards=True), page)
            before, after = page.before, page.newest
        else:
            start = place_from(question.after_line)
            page = Forwards(passes_of(question), question.limit)
            await _read(scan(connection, view, start, backwards=False), page)
            if page.gaps.open():
                at_start = start._replace(event_id=start.event_id + "~")  # so that the line at `start` itself is read
                await _read(scan(connection, view, at_start, backwards=True), LookBack(page.gaps))
            before, after = page.oldest or question.after_line, page.newest or question.after_line
    missing = page.gaps.missing
    entries = [_entry(found, missing.get(found.line.event_id, 0)) for found in sorted(page.passed)]
    return LogLinesFields(lines=entries, before=before, after=after, dropped=dropped)


async def _read(lists: AsyncGenerator[list[Found]], reader: Backwards | Forwards | LookBack) -> None:
    """Gives `reader` line after line until it has enough."""
    async with aclosing(lists) as scanned:
        async for found_lines in scanned:
            for found in found_lines:
                if reader.has_enough(found):
                    return
    reader.at_end()


def passes_of(question: ListLogLines) -> Callable[[Line], bool]:
    """Whether a line is of the asked levels and has the searched text."""
    levels = {level.casefold() for level in question.level}
    needle = (question.search or "").casefold()

    def passes(line: Line) -> bool:
        if levels and (line.level is None or line.level.casefold() not in levels):
            return False
        return not needle or needle in line.text.casefold()

    return passes


def _entry(found: Found, missing: int) -> LogEntry:
    line = found.line
    return LogEntry(
        cursor=cursor_at(found),
        job_id=found.job_id or None,
        attempt=line.attempt,
        line_no=line.line_no,
        stream=cast("Literal['stdout', 'stderr', 'log']", line.stream),
        level=line.level,
        line=line.text,
        occurred_at=moment_of(line.time_us),
        missing_before=missing,
    )
