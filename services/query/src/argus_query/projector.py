"""Follows the log and keeps the live tables up to date: `argus-query project`.

Ends only when told to. Trouble of the database is waited out; a second copy waits until the first is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection

from argus_query.database import answered_within, connect, is_passing
from argus_query.fold import Folder, PositionMoved
from argus_query.log_reader import Chunk, Cursor, read_chunk
from argus_query.read_model import ReadModel
from argus_query.rebuild import rebuild_outdated
from argus_query.schemas import make_bookkeeping

LEADER_LOCK = 0x4152475553_01
"""Advisory lock of the one projector of a database."""
POLL_SECONDS = 1.0
SILENT_SECONDS = 20.0
"""Longer than any fold. A database that says nothing for so long is asked anew, on other connections."""
LISTEN_SECONDS = 30.0
SPEAK_SECONDS = 5.0
_NEED_NOT_WAIT_FOR_THE_DISK = "SET synchronous_commit = off"
"""Where PostgreSQL falls, the last commits may be gone: the position with the rows, so what they said is folded again. Only
for this connection: the log itself is on disk before anybody is told."""
_END_WHEN_SILENT = """
SET idle_session_timeout = '20s';
SET idle_in_transaction_session_timeout = '20s';
SELECT set_config('transaction_timeout', '25s', false) WHERE current_setting('server_version_num')::int >= 170000;
"""
"""A leader whose link is dead keeps the leader's lock until Postgres ends its session; a living one speaks every 5 s. The last
one for a link that dies in the middle of a pipeline: the others do not run while Postgres waits for the rest of it."""
_log = logging.getLogger(__name__)
Hint = Callable[[dict[str, int]], Awaitable[None]]
"""Told after each commit: last position per batch."""


class Projector:
    """The only writer of the live tables."""

    def __init__(
        self, database_url: str, models: Sequence[ReadModel], hint: Hint, max_events: int, max_bytes: int
    ) -> None:
        self._url = database_url
        self._folder = Folder(models)
        self._hint = hint
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._woken = asyncio.Event()
        self._spoke = 0.0

    async def run(self) -> None:
        """For ever: lead, or wait to lead. Trouble that passes is waited out with a growing pause up to 5 s."""
        pause = 0.1
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._lead()
            except Exception as error:
                if not is_passing(error):
                    _log.exception("the projector starts again after an unexpected error")
                else:
                    _log.warning("the projector waits for the database: %s", error)
            if asyncio.get_running_loop().time() - began > 30:
                pause = 0.1
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(5.0, pause * 2)

    async def _lead(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            writer = await connect(self._url, "argus-query projector")
            stack.push_async_callback(writer.close)
            await _become_leader(writer)
            await make_bookkeeping(writer)
            await rebuild_outdated(self._url, self._folder.models)
            await writer.execute(_END_WHEN_SILENT)
            await writer.execute(_NEED_NOT_WAIT_FOR_THE_DISK)
            reader = await connect(self._url, "argus-query log reader")
            stack.push_async_callback(reader.close)
            listener = asyncio.create_task(self._listen())
            stack.push_async_callback(_cancel, listener)
            await self._follow(writer, reader)

    async def _follow(self, writer: AsyncConnection[Any], reader: AsyncConnection[Any]) -> None:
        """While PostgreSQL works on one chunk, the next one is read."""
        cursor = await self._folder.start(writer)
        _log.info("projecting from position %d", cursor.position)
        ahead: asyncio.Task[Chunk] | None = None
        tidy = False

        def read_on() -> None:
            nonlocal ahead
            if chunk.more:
                ahead = asyncio.create_task(self._read(reader, chunk.end))

        try:
            while True:
                self._woken.clear()
                chunk = await (ahead or self._read(reader, cursor))
                ahead = None
                try:
                    if chunk.end.position == cursor.position:
                        tidy = await self._rest(writer, cursor, tidy)
                        continue
                    with answered_within(SILENT_SECONDS, writer):
                        await self._folder.fold(writer, cursor, chunk, read_on)
                except PositionMoved as moved:
                    _log.info("%s: reading on from there", moved)
                    if ahead is not None:
                        await _cancel(ahead)
                        ahead = None
                    cursor = await self._folder.start(writer)
                    continue
                cursor, tidy = chunk.end, False
                await self._hint({record.batch_id: record.last_position for record in chunk.records})
        finally:
            if ahead is not None:
                await _cancel(ahead)

    async def _read(self, reader: AsyncConnection[Any], after: Cursor) -> Chunk:
        with answered_within(SILENT_SECONDS, reader):
            return await read_chunk(reader, after, self._max_events, self._max_bytes)

    async def _rest(self, writer: AsyncConnection[Any], cursor: Cursor, tidy: bool) -> bool:
        """Work that may wait is done, or the next hint or second is waited for. True: nothing is left to tidy."""
        if not tidy:
            with answered_within(SILENT_SECONDS, writer):
                return not await self._folder.maintain(writer, cursor)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
        loop = asyncio.get_running_loop()
        if loop.time() - self._spoke > SPEAK_SECONDS:
            self._spoke = loop.time()
            with answered_within(SILENT_SECONDS, writer):
                await writer.execute("SELECT 1")
        return True

    async def _listen(self) -> None:
        """Wakes the projector when the log grew. Only a hint: while it is away, polling does."""
        while True:
            try:
                async with await connect(self._url, "argus-query listener") as connection:
                    await connection.execute("LISTEN argus_log")
                    while True:
                        async for _ in connection.notifies(timeout=LISTEN_SECONDS):
                            self._woken.set()
                        with answered_within(SILENT_SECONDS, connection):
                            await connection.execute("SELECT 1")  # is anybody still there?
            except (psycopg.Error, OSError) as error:
                _log.warning("no notices of the log for now: %s", error)
            await asyncio.sleep(1)


async def _become_leader(connection: AsyncConnection[Any]) -> None:
    """This connection holds the lock of the one projector; waits while another copy has it."""
    waiting = False
    while True:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [LEADER_LOCK])).fetchone()
        if row and row[0]:
            return
        if not waiting:
            _log.info("another projector works on this database; waiting")
            waiting = True
        await asyncio.sleep(POLL_SECONDS)


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
