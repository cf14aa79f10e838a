"""What the ledger reads: of its own tables, and of the log what runs had said before they got into the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from psycopg import AsyncConnection

from argus_query.costs.prices import Price, Prices
from argus_query.costs.totals import Recorded
from argus_query.costs.usage import Key, Try, Usage
from argus_query.log_reader import UnreadablePayload, record_of
from argus_query.read_model import Record
from argus_query.sql import columns_of, load

SQL = load(__package__ or "", "queries.sql")
Type = tuple[str, str]
"""Workspace, instance type."""


async def earlier_records(connection: AsyncConnection[Any], before: Mapping[str, int]) -> list[Record]:
    """What the log has of these runs' lifecycle before these positions, and behind the last time they were purged."""
    if not before:
        return []
    cursor = connection.cursor(binary=True)
    await cursor.execute(SQL["earlier_records"], [list(before), list(before.values())])
    found: dict[str, list[Record]] = {}
    async for row in cursor:
        try:
            record = record_of(row)
        except (UnreadablePayload, KeyError, TypeError, ValueError):
            continue  # noted when its turn came
        of_batch = found.setdefault(record.batch_id, [])
        known = min(len(record.events), before[record.batch_id] - record.first_position)
        record.events, record.times = record.events[:known], record.times[:known]
        of_batch.append(record)
        if record.purges:
            of_batch.clear()
    return [record for records in found.values() for record in records]


async def load_usages(
    connection: AsyncConnection[Any],
    batch_ids: Collection[str],
    jobs: Collection[tuple[str, str]],
    speaking: Collection[str],
) -> dict[Key, Usage]:
    """Of these runs themselves, of these jobs, and of the `speaking` runs all that depends on what they say."""
    wanted = {
        "batch_ids": list(batch_ids), "jobs_batch_ids": [batch_id for batch_id, _ in jobs],
        "job_ids": [job_id for _, job_id in jobs], "speaking": list(speaking),
    }  # fmt: skip
    cursor = await connection.execute(SQL["load_usages"], wanted)
    return {
        (batch_id, job_id, attempt): Usage.from_json((batch_id, job_id, attempt), workspace, raw)
        async for batch_id, job_id, attempt, workspace, raw in cursor
    }


async def batch_usages(connection: AsyncConnection[Any], batch_ids: Collection[str]) -> dict[str, dict[int, Usage]]:
    """What these runs say of themselves, by attempt."""
    found: dict[str, dict[int, Usage]] = {}
    cursor = await connection.execute(SQL["batch_usages"], [list(batch_ids)])
    async for batch_id, attempt, workspace, raw in cursor:
        found.setdefault(batch_id, {})[attempt] = Usage.from_json((batch_id, "", attempt), workspace, raw)
    return found


async def usages_of_batch(connection: AsyncConnection[Any], batch_id: str, limit: int) -> dict[Key, Usage]:
    cursor = await connection.execute(SQL["usages_of_batch"], [batch_id, limit])
    return {(b, j, a): Usage.from_json((b, j, a), workspace, raw) async for b, j, a, workspace, raw in cursor}


async def usages_of(connection: AsyncConnection[Any], keys: Collection[Key]) -> dict[Key, Usage]:
    """Of these attempts, and of their runs themselves."""
    batch_ids, job_ids, attempts = columns_of(list(keys)) if keys else ([], [], [])
    wanted = {"batch_ids": batch_ids, "job_ids": job_ids, "attempts": attempts}
    cursor = await connection.execute(SQL["usages_of"], wanted)
    return {(b, j, a): Usage.from_json((b, j, a), workspace, raw) async for b, j, a, workspace, raw in cursor}


async def load_tries(connection: AsyncConnection[Any], keys: Collection[Key]) -> dict[Key, list[Try]]:
    """As the tables have them."""
    found: dict[Key, list[Try]] = {}
    if keys:
        for one in await _tries(connection, "load_tries", columns_of(list(keys))):
            found.setdefault(one.key[:3], []).append(one)
    return {key: sorted(tries, key=lambda one: one.number) for key, tries in found.items()}


async def tries_of_batches(connection: AsyncConnection[Any], batch_ids: Collection[str]) -> list[Try]:
    return await _tries(connection, "tries_of_batches", [list(batch_ids)]) if batch_ids else []


async def overlapping_tries(connection: AsyncConnection[Any], stretches: Collection[tuple[Any, ...]]) -> list[Try]:
    """stretches: workspace, host, first and last moment."""
    return await _tries(connection, "overlapping_tries", columns_of(list(stretches))) if stretches else []


async def tries_of_types(
    connection: AsyncConnection[Any], types: Collection[tuple[Any, ...]], behind: tuple[Any, ...], limit: int
) -> list[Try]:
    """types: workspace, instance type, first and last moment."""
    return await _tries(connection, "tries_of_types", [*columns_of(list(types)), *behind, limit])


async def prices_of(connection: AsyncConnection[Any], types: Iterable[Type]) -> list[Price]:
    wanted = sorted(set(types))
    if not wanted:
        return []
    cursor = await connection.execute(SQL["prices_of_types"], columns_of(wanted))
    return [Price(*row) async for row in cursor]


def by_workspace(prices: Iterable[Price]) -> dict[str, Prices]:
    found: dict[str, list[Price]] = {}
    for price in prices:
        found.setdefault(price.workspace, []).append(price)
    return {workspace: Prices(of_workspace) for workspace, of_workspace in found.items()}


async def records_of(connection: AsyncConnection[Any], batch_ids: Collection[str]) -> dict[str, list[Recorded]]:
    """The bills of these runs, in the order in which Argus has heard of them."""
    found: dict[str, list[Recorded]] = {}
    cursor = await connection.execute(SQL["records_of_batches"], [list(batch_ids)])
    async for batch_id, *rest in cursor:
        found.setdefault(batch_id, []).append(Recorded(*rest))
    return found


async def _tries(connection: AsyncConnection[Any], statement: str, arguments: list[Any]) -> list[Try]:
    return [Try(*row) async for row in await connection.execute(SQL[statement], arguments)]
