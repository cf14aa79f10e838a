"""Connections to Postgres: nobody waits for one that is silent, and Postgres does not wait for us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

LONGEST_TRANSACTION_S = 20
"""Postgres ends the session then. One that a dead link left in the middle of an append would keep the log locked for ever:
while Postgres waits for the rest of a pipeline, the timeouts of statements and of idle transactions do not run."""
CHECK_S = 2.0
_SET_LONGEST_TRANSACTION = (
    "SELECT set_config('transaction_timeout', %s, %s) WHERE current_setting('server_version_num')::int >= 170000"
)
_LIMITS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "options": "-c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=30s",
}
"""A dead peer is noticed within half a minute, and nobody waits for ever for a lock."""


async def connect(database_url: str) -> AsyncConnection[Any]:
    """One connection within the same limits as those of the pool, for what is done once and by hand. Autocommit."""
    connection = await AsyncConnection.connect(
        database_url, autocommit=True, application_name="argus-ingest by hand", **_LIMITS
    )
    await _bound_transactions(connection)
    return connection


def make_pool(database_url: str) -> AsyncConnectionPool:
    """Connections within `_LIMITS`. Not opened yet."""
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=3,
        open=False,
        max_waiting=50,
        reconnect_timeout=1,  # its pauses would double without end; who asks for a connection makes it try again
        kwargs={"application_name": "argus-ingest", **_LIMITS},
        configure=_bound_transactions,
        check=_still_good,
    )


@asynccontextmanager
async def lent(pool: AsyncConnectionPool, within_s: float) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection for at most so many seconds: whatever waits on it then fails at once.

    Errors: `psycopg.Error`; `PoolTimeout` where none can be had within 2 s.
    """
    async with pool.connection(timeout=2) as connection:
        cutting = _cut_after(within_s, connection)
        try:
            yield connection
        finally:
            cutting.cancel()


async def _bound_transactions(connection: AsyncConnection[Any]) -> None:
    await connection.execute(_SET_LONGEST_TRANSACTION, [f"{LONGEST_TRANSACTION_S}s", False])
    await connection.commit()


async def without_end(connection: AsyncConnection[Any]) -> None:
    """The present transaction may take as long as it takes: a migration of a large log does."""
    await connection.execute(_SET_LONGEST_TRANSACTION, ["0", True])


async def _still_good(connection: AsyncConnection[Any]) -> None:
    """Costs one round trip; a connection that has died or says nothing is never lent."""
    cutting = _cut_after(CHECK_S, connection)
    try:
        await AsyncConnectionPool.check_connection(connection)
    finally:
        cutting.cancel()


def _cut_after(seconds: float, connection: AsyncConnection[Any]) -> asyncio.TimerHandle:
    """Cut, and not cancelled: psycopg would ask a dead link to cancel its statement, and wait 10 s for each answer."""
    return asyncio.get_running_loop().call_later(seconds, _cut, connection)


def _cut(connection: AsyncConnection[Any]) -> None:
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)
