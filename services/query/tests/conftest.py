"""Fixtures of the tests of query: a log to write to, and who may see what."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import zstandard
from psycopg import AsyncConnection

from argus_contracts.registry import retention_class
from argus_query.database import connect
from argus_query.fold import Folder
from argus_query.log_reader import Cursor, read_chunk
from argus_query.models import all_models
from argus_query.rebuild import rebuild_outdated
from argus_query.schemas import make_bookkeeping
from argus_testkit import Database

LOG_SQL = Path(__file__).parents[2] / "ingest/src/argus_ingest/log"
START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def build_event(
    kind: str, batch_id: str = "b1", job_id: str | None = None, at: float = 0, attempt: int = 1, **data: Any
) -> dict[str, Any]:
    """An event as its sender states it, `at` seconds after 03:00."""
    return {
        "event_id": str(uuid.UUID(int=next(_numbers))),
        "kind": kind,
        "version": 1,
        "batch_id": batch_id,
        "job_id": job_id,
        "attempt": attempt,
        "occurred_at": (START + timedelta(seconds=at)).isoformat(),
        "data": data,
    }


class LogWriter:
    """Appends to the log as ingest does."""

    def __init__(self, database: Database) -> None:
        self._connection = psycopg.connect(database.ingest_url, autocommit=True)
        found = self._connection.execute("SELECT to_regclass('log.head')").fetchone()
        if found == (None,):
            for file in sorted(LOG_SQL.glob("0*.sql")):
                self._connection.execute(file.read_text())
        self._days: set[Any] = set()

    def append(
        self,
        events: Sequence[dict[str, Any]],
        *,
        workspace: str = "lab",
        user: str = "ada",
        producer_id: str | None = "p1",
        received_at: datetime | None = None,
        payload: bytes | None = None,
    ) -> int:
        """Neighbours of the same batch and class become one record. Returns the last position."""
        with self._connection.transaction():
            row = self._connection.execute("SELECT next_position FROM log.head FOR UPDATE").fetchone()
            assert row is not None
            position = row[0]
            now = received_at or datetime.now(UTC)
            if now.date() not in self._days:
                self._connection.execute("SELECT log.make_day(%s)", [now.date()])
                self._days.add(now.date())
            for (batch_id, of_class), group in itertools.groupby(
                events, key=lambda event: (event["batch_id"], retention_class(event["kind"]))
            ):
                for chunk in _chunks(group, 500):
                    raw = payload or zstandard.compress(orjson.dumps({"events": chunk}))
                    self._connection.execute(
                        "INSERT INTO log.record_batches VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
                        [
                            position, position + len(chunk) - 1, len(chunk), of_class, now.date(), now, workspace, user,
                            batch_id, producer_id, raw,
                        ],
                    )  # fmt: skip
                    position += len(chunk)
            self._connection.execute("UPDATE log.head SET next_position = %s, received_at = %s", [position, now])
            self._connection.execute("SELECT pg_notify('argus_log', %s::text)", [position - 1])
        return position - 1

    def close(self) -> None:
        self._connection.close()


def _chunks(items: Any, size: int) -> Iterator[list[Any]]:
    remaining = list(items)
    for start in range(0, len(remaining), size):
        yield remaining[start : start + size]


class LiveTables:
    """The live tables, folded by hand."""

    def __init__(
        self, url: str, writer: AsyncConnection[Any], reader: AsyncConnection[Any], models: Sequence[Any]
    ) -> None:
        self.url, self.writer, self.reader = url, writer, reader
        self.folder = Folder(models)
        self.cursor = Cursor(0, datetime.min.date(), None)

    async def start(self) -> None:
        await make_bookkeeping(self.writer)
        await rebuild_outdated(self.url, all_models())
        self.cursor = await self.folder.start(self.writer)

    async def project(self, max_events: int = 8_000) -> int:
        """To the end of the log. Returns the number of transactions."""
        n = 0
        while True:
            chunk = await read_chunk(self.reader, self.cursor, max_events, 10**9)
            if chunk.end.position == self.cursor.position:
                return n
            await self.folder.fold(self.writer, self.cursor, chunk)
            self.cursor = chunk.end
            n += 1

    async def rows(self, query: Any) -> list[Any]:
        return await (await self.writer.execute(query)).fetchall()


@asynccontextmanager
async def live_tables(database: Database, models: Sequence[Any] | None = None) -> AsyncIterator[LiveTables]:
    async with (
        await connect(database.query_url, "writer") as writer,
        await connect(database.query_url, "reader") as reader,
    ):
        live = LiveTables(database.query_url, writer, reader, models or all_models())
        await live.start()
        yield live


@pytest.fixture
def open_live() -> Callable[..., AbstractAsyncContextManager[LiveTables]]:
    """`async with open_live(database, models=None) as live`: the live tables, folded by hand."""
    return live_tables


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """`event(kind, batch_id, job_id, at=seconds, attempt=1, **data)`"""
    return build_event


@pytest.fixture
def log(database: Database) -> Iterator[LogWriter]:
    """The log of this test's database."""
    writer = LogWriter(database)
    yield writer
    writer.close()


@pytest.fixture
def open_log() -> Callable[[Database], LogWriter]:
    """For a test that has a database server of its own; close it."""
    return LogWriter
