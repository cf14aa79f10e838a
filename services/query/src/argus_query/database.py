"""Connections to Postgres that notice a dead server, and which errors pass by themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import AsyncConnection, errors
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests

KEEPALIVE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""A half-open link shows after about 25 s instead of the kernel's 2 h."""
CHECK_S = 2.0

_TROUBLE_OF_THE_SERVER = (
    psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, TooManyRequests, ConnectionError, TimeoutError,
)  # fmt: skip
_NOT_SET_UP_YET = (
    errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction, errors.InvalidSchemaName,
    errors.InsufficientPrivilege, errors.InvalidCatalogName,
)  # fmt: skip
_TOO_MUCH_FOR_POSTGRES = (
    errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.TooManyColumns, errors.TooManyArguments,
)  # fmt: skip
"""psycopg counts them among the troubles of the server, but the same row is too large for an index for ever."""


def is_passing(error: BaseException) -> bool:
    """The same call may succeed later: the server is away, restarts, is full, or its tables are not made yet.

    Everything else that a fold raises says that these very events cannot be folded.
    """
    if isinstance(error, _TOO_MUCH_FOR_POSTGRES):
        return False
    return isinstance(error, (*_TROUBLE_OF_THE_SERVER, *_NOT_SET_UP_YET, errors.TransactionRollback))


async def connect(url: str, name: str) -> AsyncConnection[Any]:
    """A connection in autocommit mode. `name` shows in pg_stat_activity."""
    # A plan for any parameters would lock and look at every partition of the log.
    options = "-c TimeZone=UTC -c plan_cache_mode=force_custom_plan"
    return await AsyncConnection.connect(
        url, autocommit=True, application_name=name, options=options, prepare_threshold=2, **KEEPALIVE
    )


@contextlib.contextmanager
def answered_within(seconds: float, connection: AsyncConnection[Any]) -> Iterator[None]:
    """Whatever inside waits on `connection` for longer fails at once, as if the link were gone.

    Cut, and not cancelled: psycopg would ask a dead link to cancel its statement, and wait 10 s for each answer.
    """
    cutting = asyncio.get_running_loop().call_later(seconds, _cut, connection)
    try:
        yield
    finally:
        cutting.cancel()


async def still_good(connection: AsyncConnection[Any]) -> None:
    """For a pool: a connection that has died or says nothing for 2 s is never lent."""
    with answered_within(CHECK_S, connection):
        await AsyncConnectionPool.check_connection(connection)


def _cut(connection: AsyncConnection[Any]) -> None:
    with contextlib.suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)
