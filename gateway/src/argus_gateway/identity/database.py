"""The gateway's part of Postgres: a small pool, migrations at start, and its SQL by name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, LiteralString, cast

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from argus_contracts.errors import Unavailable

logger = logging.getLogger(__name__)

_SILENT_S, _CHECK_S = 7.0, 2.0
_MIGRATION_LOCK = 0x61726775_67617465  # "argugate"
_CONNECT = {  # a link that dies without a word is noticed within 20 s
    "connect_timeout": 3, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 2,
    "tcp_user_timeout": 15_000, "application_name": "argus-gateway",
    "options": "-c statement_timeout=5000 -c lock_timeout=3000 -c idle_in_transaction_session_timeout=10000",
}  # fmt: skip
Connection = AsyncConnection[DictRow]


def _named_queries() -> dict[str, LiteralString]:
    text = (resources.files("argus_gateway.identity") / "queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {
        name: cast(LiteralString, body.strip().rstrip(";")) for name, body in zip(parts[::2], parts[1::2], strict=True)
    }


QUERIES = _named_queries()


async def run(connection: Connection, query: str, **values: Any) -> list[DictRow]:
    """The rows that the named query gives."""
    cursor = await connection.execute(QUERIES[query], values)
    return await cursor.fetchall() if cursor.description else []


class Database:
    """`transaction()` lends a connection for a moment. No stream and no slow caller ever holds one."""

    def __init__(self, url: str, max_connections: int = 6) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            connection_class=cast("type[Connection]", AsyncConnection),
            kwargs={**_CONNECT, "row_factory": dict_row},
            min_size=1,
            max_size=max_connections,
            timeout=3.0,
            max_waiting=100,
            reconnect_timeout=1,  # its pauses would double without end; the next request makes it try again
            check=_still_good,
            open=False,
        )

    async def open(self, within_s: float = 60.0) -> None:
        """Postgres answers, and the schema is as this build needs it. `Unavailable` after `within_s`."""
        deadline = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                await migrate(self._url)
                break
            except psycopg.OperationalError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise Unavailable(f"Postgres does not answer: {_one_line(error)}") from None
                logger.warning("waiting for Postgres: %s", _one_line(error))
                await asyncio.sleep(0.5)
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Committed at the end, rolled back by an exception. `Unavailable` while Postgres is away: try again later."""
        cut: asyncio.TimerHandle | None = None
        try:
            async with self._pool.connection() as connection:
                cut = _cut_after(_SILENT_S, connection)
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            raise Unavailable(f"the database is away for a moment ({type(error).__name__})") from error
        finally:
            if cut is not None:
                cut.cancel()

    async def fetch(self, query: str, **values: Any) -> list[DictRow]:
        """One named query as its own transaction."""
        async with self.transaction() as connection:
            return await run(connection, query, **values)

    async def ping(self) -> None:
        async with self.transaction() as connection:
            await connection.execute("SELECT 1")


async def _still_good(connection: Connection) -> None:
    """Costs one round trip; a connection that a restart of Postgres has cut is never lent."""
    cut = _cut_after(_CHECK_S, connection)
    try:
        await AsyncConnectionPool.check_connection(cast("AsyncConnection[Any]", connection))
    finally:
        cut.cancel()


def _cut_after(seconds: float, connection: Connection) -> asyncio.TimerHandle:
    """What waits on `connection` then fails at once. Postgres ends a statement after 5 s: who is silent longer is not there."""
    return asyncio.get_running_loop().call_later(seconds, _cut, connection)


def _cut(connection: Connection) -> None:
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)


async def migrate(url: str) -> None:
    """Every `migrations/NNNN_*.sql` has run, once. Copies that start together wait for each other."""
    connection = await AsyncConnection.connect(url, autocommit=True, **{**_CONNECT, "options": "-c lock_timeout=30000"})
    async with connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS identity.migrations (name text PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
        )
        done = {row[0] for row in await (await connection.execute("SELECT name FROM identity.migrations")).fetchall()}
        folder = resources.files("argus_gateway.identity") / "migrations"
        for script in sorted(
            (entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name
        ):
            if script.name not in done:
                async with connection.transaction():
                    await connection.execute(cast(LiteralString, script.read_text()))
                    await connection.execute("INSERT INTO identity.migrations (name) VALUES (%s)", (script.name,))
                logger.info("migration %s ran", script.name)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
