"""The schemas that hold the tables of the read models: the live one, and a shadow during a rebuild."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from argus_query.read_model import ReadModel
from argus_query.sql import load, load_text

LIVE = "read"
SHADOW = "read_shadow"
CHECK = "read_check"
_SQL = load(__package__ or "", "positions.sql")


async def make_schema(connection: AsyncConnection[Any], schema: str) -> None:
    found = await (await connection.execute(_SQL["has_schema"], [schema])).fetchone()
    if not found or not found[0]:
        await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))


async def use_schema(connection: AsyncConnection[Any], schema: str) -> None:
    """Table names mean `schema` until the transaction ends."""
    await connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))


async def make_bookkeeping(connection: AsyncConnection[Any]) -> None:
    """The live schema has the tables that say how far it is. Harmless where they exist."""
    async with connection.transaction():
        await make_schema(connection, LIVE)
        await use_schema(connection, LIVE)
        await connection.execute(load_text(__package__ or "", "projection.sql"))
        await connection.execute(_SQL["begin_position"])


async def make_tables(connection: AsyncConnection[Any], schema: str, models: Sequence[ReadModel]) -> None:
    """`schema` is new and has the empty tables of `models`. Call in a transaction."""
    await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
    await connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    await use_schema(connection, schema)
    for model in models:
        await connection.execute(model.schema().encode())


async def drop_schema(connection: AsyncConnection[Any], schema: str) -> None:
    await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


async def swap_tables(connection: AsyncConnection[Any], shadow: str, models: Sequence[ReadModel]) -> None:
    """The live tables of `models` are those of `shadow` now. Call in a transaction that holds the position row."""
    await connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(_live("projection_swaps")))
    for model in models:
        for table in model.tables:
            await connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(_live(table)))
    # All of them, because a read model may have made partitions of its tables while it folded.
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY c.relname",
        [shadow],
    )
    for (table,) in await cursor.fetchall():
        move = sql.SQL("ALTER TABLE {}.{} SET SCHEMA {}")
        await connection.execute(move.format(sql.Identifier(shadow), sql.Identifier(table), sql.Identifier(LIVE)))
    await drop_schema(connection, shadow)


def _live(table: str) -> sql.Identifier:
    return sql.Identifier(LIVE, table)
