"""Fingerprints of tables: equal where the tables say the same, whatever the order of their rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql

from argus_query.logs.chunks import decode_lines
from argus_query.series.points import POINT, decode_points

Fingerprint = tuple[int, int]
"""How many things, and the sum of their hashes."""
_MODULUS = 2**64


async def fingerprint(connection: AsyncConnection[Any], schema: str, table: str) -> Fingerprint:
    """Of `schema.table`. Call in a transaction. Packed points and lines count one by one: any cut of them is right."""
    special = _PACKED_TABLES.get(table)
    if special is not None:
        return await special(connection, schema)
    query = sql.SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} AS t")
    row = await (await connection.execute(query.format(sql.Identifier(schema, table)))).fetchone()
    assert row is not None, "an aggregate has one row"
    return int(row[0]), int(row[1]) % _MODULUS


async def _of_points(connection: AsyncConnection[Any], schema: str) -> Fingerprint:
    count = total = 0
    async for series_id, attempt, packed in _rows(
        connection, "SELECT series_id, attempt, points FROM {}", schema, "series_blocks"
    ):
        prefix = series_id.bytes + attempt.to_bytes(4, "big")
        raw = decode_points(packed).tobytes()
        for start in range(0, len(raw), POINT.itemsize):
            count += 1
            total += _hash(prefix + raw[start : start + POINT.itemsize])
    return count, total % _MODULUS


async def _of_lines(connection: AsyncConnection[Any], schema: str) -> Fingerprint:
    count = total = 0
    async for batch_id, job_id, packed in _rows(
        connection, "SELECT batch_id, job_id, lines FROM {}", schema, "log_chunks"
    ):
        for line in decode_lines(packed):
            count += 1
            total += _hash(repr((batch_id, job_id, line)).encode())
    return count, total % _MODULUS


async def _rows(connection: AsyncConnection[Any], query: LiteralString, schema: str, table: str):
    """A row at a time, so that a large table does not fill the memory."""
    async with connection.cursor(name="fingerprint", binary=True) as cursor:
        await cursor.execute(sql.SQL(query).format(sql.Identifier(schema, table)))
        async for row in cursor:
            yield row


def _hash(raw: bytes) -> int:
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), "big")


_PACKED_TABLES: dict[str, Callable[[AsyncConnection[Any], str], Awaitable[Fingerprint]]] = {
    "series_blocks": _of_points,
    "log_chunks": _of_lines,
}
