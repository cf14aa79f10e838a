"""What the tests of log lines share: events, and a table set of one's own in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection

from argus_contracts.quantities import RetentionClass
from argus_query.facts import micros
from argus_query.logs import LogsReadModel
from argus_query.read_model import Record
from argus_testkit.databases import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


def _log_event(number: int, line_no: int | None, line: str = "", **more: Any) -> dict[str, Any]:
    """A `log_line` as it stands on the wire; `time_us` counts from 2026, `number` makes its id, the rest is its data."""
    moment = START + timedelta(microseconds=more.pop("time_us", number))
    envelope = {name: more.pop(name) for name in ("job_id", "attempt", "batch_id") if name in more}
    data = {"line": line, **more} | ({} if line_no is None else {"line_no": line_no})
    return {
        "event_id": str(UUID(int=number)), "kind": "log_line", "version": 1, "batch_id": "b", "job_id": "j", "attempt": 1,
        "occurred_at": moment.isoformat().replace("+00:00", "Z"), "data": data,
    } | envelope  # fmt: skip


def _record(
    events: list[dict[str, Any]], producer_id: str | None = "p", retention_class: RetentionClass = "log_lines"
) -> Record:
    times = [micros(event["occurred_at"]) for event in events]
    return Record(1, "w", "u", events[0]["batch_id"], retention_class, producer_id, START, events, times)


@pytest.fixture(scope="session")
def log_event() -> Callable[..., dict[str, Any]]:
    return _log_event


@pytest.fixture(scope="session")
def record() -> Callable[..., Record]:
    return _record


@pytest.fixture
def in_fresh_tables(database: Database) -> Callable[[Callable[[AsyncConnection[Any]], Awaitable[Any]]], Any]:
    """Calls an async function with a connection (autocommit) whose search path holds new, empty tables."""

    def call(function: Callable[[AsyncConnection[Any]], Awaitable[Any]]) -> Any:
        async def inside() -> Any:
            name = f"logs_{next(_numbers)}"
            async with await AsyncConnection.connect(database.query_url, autocommit=True) as connection:
                await connection.execute(f"CREATE SCHEMA {name}".encode())
                await connection.execute(f"SET search_path = {name}".encode())
                await connection.execute(LogsReadModel().schema())
                answer = await function(connection)
                await connection.execute(f"DROP SCHEMA {name} CASCADE".encode())
                return answer

        return asyncio.run(inside())

    return call
