"""What the tests of curves share: events of metric points, and a table set of one's own in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from argus_query.facts import micros
from argus_query.read_model import Record
from argus_query.series import SeriesReadModel
from argus_testkit.databases import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


def _epoch_event(number: int, step: int | None, metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A `job_epoch` as it stands on the wire; `time_us` counts from 2026, `number` makes its id."""
    moment = START + timedelta(microseconds=more.pop("time_us", number))
    data = {"metrics": metrics} | ({} if step is None else {"step": step}) | more.pop("data", {})
    return {
        "event_id": str(UUID(int=number)), "kind": "job_epoch", "version": 1, "batch_id": "b", "job_id": "j", "attempt": 1,
        "occurred_at": moment.isoformat().replace("+00:00", "Z"), "data": data,
    } | more  # fmt: skip


def _record(events: list[dict[str, Any]], retention_class: Any = "metrics") -> Record:
    times = [micros(event["occurred_at"]) for event in events]
    return Record(1, "w", "u", events[0]["batch_id"], retention_class, "p", START, events, times)


@pytest.fixture(scope="session")
def epoch_event() -> Callable[..., dict[str, Any]]:
    return _epoch_event


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return _record


@asynccontextmanager
async def _fresh_tables(url: str) -> AsyncIterator[AsyncConnection[Any]]:
    name = f"series_{next(_numbers)}"
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"CREATE SCHEMA {name}".encode())
        await connection.execute(f"SET search_path = {name}".encode())
        await connection.execute(SeriesReadModel().schema())
        yield connection
        await connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@pytest.fixture
def in_fresh_tables(database: Database) -> Callable[[Callable[[AsyncConnection[Any]], Awaitable[Any]]], Any]:
    """Calls an async function with a connection (autocommit) whose search path holds new, empty tables."""

    def call(function: Callable[[AsyncConnection[Any]], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            async with _fresh_tables(database.query_url) as connection:
                return await function(connection)

        return asyncio.run(inside())

    return call
