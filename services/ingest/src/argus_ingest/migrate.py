"""The tables of schema `log`, made and brought up to date when ingest starts."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from argus_ingest.database import without_end
from argus_ingest.sql import migrations

_LOCK = 0x_A1905_106  # one number for everybody who migrates schema log


async def migrate(connection: AsyncConnection[Any]) -> None:
    """Every migration has been applied, each once, also where several ingest processes start together."""
    async with connection.transaction():
        await without_end(connection)
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS log.migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row[0] for row in await (await connection.execute("SELECT name FROM log.migrations")).fetchall()}
        for name, text in migrations("log"):
            if name not in done:
                await connection.execute(text)
                await connection.execute("INSERT INTO log.migrations (name) VALUES (%s)", (name,))
