"""Builds read models anew from the log, in a shadow schema beside the live one, and swaps them in.

The live tables answer, and go on being folded, until the swap. Killed at any moment, the live tables are untouched, and
the next rebuild drops what is left of the shadow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, errors

from argus_query.compare import fingerprint
from argus_query.database import connect
from argus_query.isolate import Failure, fold_all_but_failures
from argus_query.log_reader import BEGINNING, Cursor, read_chunk
from argus_query.read_model import ReadModel
from argus_query.schemas import (
    CHECK,
    LIVE,
    SHADOW,
    drop_schema,
    make_bookkeeping,
    make_tables,
    swap_tables,
    use_schema,
)
from argus_query.sql import load

REBUILD_LOCK = 0x4152475553_02
_SQL = load(__package__ or "", "positions.sql")
_CHUNK_EVENTS, _CHUNK_BYTES = 20_000, 8 * 1024 * 1024
_NEAR_EVENTS = 20_000
"""The rest that is folded while the projector has to wait."""
_log = logging.getLogger(__name__)


class RebuildRuns(Exception):
    """Another rebuild works on this database."""


async def rebuild_outdated(url: str, models: Sequence[ReadModel]) -> None:
    """Every read model has tables of the version that this code has; where not, they are rebuilt."""
    async with await connect(url, "argus-query versions") as connection, connection.transaction():
        await use_schema(connection, LIVE)
        stored = dict(await (await connection.execute(_SQL["select_versions"])).fetchall())
    outdated = [model for model in models if stored.get(model.name) != model.version]
    if outdated:
        _log.info("rebuilding %s", ", ".join(model.name for model in outdated))
        await rebuild(url, outdated)


async def rebuild(url: str, models: Sequence[ReadModel]) -> int:
    """The live tables of `models` are built anew from the log. Returns the position at which they were swapped in.

    `models` belong to this call alone: their memories are about the shadow. Errors: `RebuildRuns`.
    """
    async with _shadow(url, SHADOW, models) as shadow:
        await shadow.build()
        while True:
            try:
                async with shadow.writer.transaction():
                    live, failures = await shadow.catch_up()
                    await swap_tables(shadow.writer, SHADOW, models)
                    await use_schema(shadow.writer, LIVE)
                    await shadow.writer.execute(_SQL["next_generation"])
                    await shadow.writer.execute(_SQL["clear_failures"], [[model.name for model in models]])
                    for failure in failures:
                        await shadow.writer.execute(_SQL["insert_failure"], failure.row())
                    for model in models:
                        await shadow.writer.execute(_SQL["store_version"], [model.name, model.version])
            except (errors.LockNotAvailable, errors.DeadlockDetected):
                # A long answer reads the old tables: let the projector go on, and try again.
                shadow.forget()
                await asyncio.sleep(0.5)
            else:
                _log.info("rebuilt %s at position %d", ", ".join(model.name for model in models), live)
                return live


async def differences(url: str, models: Sequence[ReadModel]) -> list[str]:
    """The tables in which the live read models differ from ones built anew at the same position; empty: none."""
    async with _shadow(url, CHECK, models) as shadow:
        await shadow.build()
        async with shadow.writer.transaction():
            await shadow.catch_up()
            return [
                table
                for model in models
                for table in model.tables
                if await fingerprint(shadow.writer, LIVE, table) != await fingerprint(shadow.writer, CHECK, table)
            ]


@asynccontextmanager
async def _shadow(url: str, schema: str, models: Sequence[ReadModel]) -> AsyncIterator[_Shadow]:
    """A shadow that nobody else builds. Its schema is gone afterwards."""
    async with (
        await connect(url, "argus-query rebuild") as writer,
        await connect(url, "argus-query log reader") as reader,
    ):
        row = await (await writer.execute("SELECT pg_try_advisory_lock(%s)", [REBUILD_LOCK])).fetchone()
        if not row or not row[0]:
            raise RebuildRuns("another rebuild works on this database")
        await make_bookkeeping(writer)
        shadow = _Shadow(writer, reader, schema, models)
        try:
            yield shadow
        finally:
            shadow.forget()
            if not writer.broken:
                await drop_schema(writer, schema)
                # Now, and not when Postgres notices that we are gone: the next command may come before that.
                await writer.execute("SELECT pg_advisory_unlock(%s)", [REBUILD_LOCK])


@dataclass(slots=True)
class _Shadow:
    """Read models under construction in a schema of their own. `cursor`: how far they are."""

    writer: AsyncConnection[Any]
    reader: AsyncConnection[Any]
    schema: str
    models: Sequence[ReadModel]
    cursor: Cursor = field(default_factory=lambda: Cursor(0, BEGINNING, None))
    failures: list[Failure] = field(default_factory=list)

    async def build(self) -> None:
        """The tables are there, nearly as far as the live ones."""
        self.forget()
        async with self.writer.transaction():
            await make_tables(self.writer, self.schema, self.models)
        while (live := await self._live_position()) - self.cursor.position > _NEAR_EVENTS:
            async with self.writer.transaction():
                cursor, failures = await self._fold_some(self.cursor, live)
            self.cursor = cursor
            self.failures += failures
            await self._maintain()

    async def catch_up(self) -> tuple[int, list[Failure]]:
        """The tables are exactly as far as the live ones, and the projector waits until the transaction ends.

        Returns that position, and the events that could not be folded. `cursor` stays: the caller may roll back.
        """
        await use_schema(self.writer, LIVE)
        await self.writer.execute("SET LOCAL lock_timeout = '5s'")
        row = await (await self.writer.execute(_SQL["lock_position"])).fetchone()
        assert row is not None, "make_bookkeeping has made the row"
        live, cursor, failures = row[0], self.cursor, list(self.failures)
        while cursor.position < live:
            cursor, late = await self._fold_some(cursor, live)
            failures += late
        return live, failures

    def forget(self) -> None:
        for model in self.models:
            model.forget()

    async def _fold_some(self, cursor: Cursor, live: int) -> tuple[Cursor, list[Failure]]:
        chunk = await read_chunk(self.reader, cursor, _CHUNK_EVENTS, _CHUNK_BYTES, up_to=live)
        await use_schema(self.writer, self.schema)
        failures = list(chunk.broken)
        failures += await fold_all_but_failures(self.writer, self.models, chunk.records)
        if chunk.end.position == cursor.position:  # what stood between is gone from the log
            return Cursor(live, cursor.day, cursor.received_at), failures
        return chunk.end, failures

    async def _maintain(self) -> None:
        for model in self.models:
            more = True
            while more:
                async with self.writer.transaction():
                    await use_schema(self.writer, self.schema)
                    more = await model.maintain(self.writer)

    async def _live_position(self) -> int:
        async with self.writer.transaction():
            await use_schema(self.writer, LIVE)
            row = await (await self.writer.execute(_SQL["select_position"])).fetchone()
        return row[0] if row else 0
