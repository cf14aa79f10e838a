"""What the tests of curves share: events of metric points, and a table set of one's own in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.series import GetSeries, Series, SeriesAnswer
from argus_query.facts import micros
from argus_query.packing import envelope_of
from argus_query.read_model import Record
from argus_query.series import SeriesReadModel, read_series
from argus_testkit.databases import Database

START = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


class Kit:
    """Events of one job, and what is done with them."""

    @staticmethod
    def event(number: int, step: int | None, metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A `job_epoch` as it stands on the wire; `time_us` counts from 2026, `number` makes its id."""
        moment = START + timedelta(microseconds=more.pop("time_us", number))
        data = {"metrics": metrics} | ({} if step is None else {"step": step}) | more.pop("data", {})
        return {
            "event_id": str(UUID(int=number)), "kind": "job_epoch", "version": 1, "batch_id": "b", "job_id": "j", "attempt": 1,
            "occurred_at": moment.isoformat().replace("+00:00", "Z"), "data": data,
        } | more  # fmt: skip

    @staticmethod
    def record(events: list[dict[str, Any]], retention_class: Any = "metrics") -> Record:
        times = [micros(event["occurred_at"]) for event in events]
        return Record(1, "w", "u", events[0]["batch_id"], retention_class, "p", START, events, times)

    @staticmethod
    def ask(**more: Any) -> GetSeries:
        """A question about the curves of the job."""
        return GetSeries(viewer=Viewer(user="u"), batch_id="b", job_id="j", **more)

    @staticmethod
    async def fold(connection: AsyncConnection[Any], model: SeriesReadModel, *records: Record) -> None:
        async with connection.transaction():
            await model.fold(connection, records)

    @staticmethod
    async def drawn(connection: Any, question: GetSeries) -> list[Series]:
        """What `read_series` answers, by the contract: as JSON every answer of these tests is a valid one, and nothing
        besides."""
        about = {"position": 1, "batch_id": question.batch_id, "job_id": question.job_id}
        whole = orjson.loads(envelope_of({**about, "series": await read_series(connection, question)}))
        assert whole.keys() == {"answer", "problem"}
        assert whole["problem"] is None
        answer = SeriesAnswer.model_validate(whole["answer"])
        assert answer.model_dump(mode="json", exclude_unset=True) == whole["answer"]
        return answer.series

    @staticmethod
    async def maintain(connection: AsyncConnection[Any], model: SeriesReadModel, most: int = 10_000) -> None:
        """Until nothing is left to do, or so many pieces are done."""
        for _ in range(most):
            async with connection.transaction():
                if not await model.maintain(connection):
                    return
        assert most < 10_000, "maintenance does not come to an end"


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


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
