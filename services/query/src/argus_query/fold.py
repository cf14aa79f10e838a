"""One fold: a chunk of the log goes into the live tables, with the position, in one transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.isolate import fold_all_but_failures
from argus_query.log_reader import Chunk, Cursor
from argus_query.read_model import ReadModel
from argus_query.schemas import LIVE, use_schema
from argus_query.sql import load

_SQL = load(__package__ or "", "positions.sql")


class PositionMoved(Exception):
    """Somebody else changed the live tables since we last did: a swap after a rebuild, or another projector."""


@dataclasses.dataclass(slots=True)
class Folder:
    """Folds chunks into the live tables. `generation`: of the tables that the read models' memories are about."""

    models: Sequence[ReadModel]
    generation: int = -1

    async def start(self, connection: AsyncConnection[Any]) -> Cursor:
        """Where the live tables are. The memories are empty."""
        self.forget()
        async with connection.transaction():
            await use_schema(connection, LIVE)
            cursor, self.generation = await _position(connection, "select_position")
        return cursor

    async def fold(
        self,
        connection: AsyncConnection[Any],
        start: Cursor,
        chunk: Chunk,
        when_sent: Callable[[], None] | None = None,
    ) -> None:
        """The live tables tell of `chunk` too, and stand at its end.

        start: where the caller believes them to be. when_sent: called when the fold only waits for PostgreSQL. Errors: `PositionMoved` where they are elsewhere, and passing
        trouble of the database; both leave everything as it was. An event that a read model cannot take is written to
        `projection_failures` and folded into the others.
        """
        failures = list(chunk.broken)
        try:
            async with connection.transaction():
                await self._lock(connection, start)
                failures += await fold_all_but_failures(connection, self.models, chunk.records, when_sent)
                for failure in failures:
                    await connection.execute(_SQL["insert_failure"], failure.row())
                for day, first_position in chunk.first_days.items():
                    await connection.execute(_SQL["note_day"], [day, first_position])
                end = chunk.end
                await connection.execute(_SQL["move_position"], [end.position, end.day, end.received_at])
        except BaseException:
            self.forget()
            raise

    async def maintain(self, connection: AsyncConnection[Any], at: Cursor) -> bool:
        """A bounded piece of work that may wait was done, in each read model that has some. True: there is more."""
        more = False
        try:
            for model in self.models:
                async with connection.transaction():
                    await self._lock(connection, at)
                    more = await model.maintain(connection) or more
        except BaseException:
            self.forget()
            raise
        return more

    def forget(self) -> None:
        for model in self.models:
            model.forget()

    async def _lock(self, connection: AsyncConnection[Any], start: Cursor) -> None:
        await use_schema(connection, LIVE)
        found, generation = await _position(connection, "lock_position")
        if found.position != start.position or generation != self.generation:
            raise PositionMoved(f"the live tables stand at {found.position}, generation {generation}")


async def _position(connection: AsyncConnection[Any], statement: str) -> tuple[Cursor, int]:
    row = await (await connection.execute(_SQL[statement])).fetchone()
    assert row is not None, "make_bookkeeping has made the row"
    return Cursor(row[0], row[1], row[2]), row[3]
