"""Decisions stored and read again: aggregates of the `eventsourcing` library in the table `deleter.decisions`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from typing import Any, LiteralString, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    DatetimeAsISO,
    JSONTranscoder,
    Mapper,
    PersistenceError,
    StoredEvent,
    UUIDAsHex,
)
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg import Connection, Cursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, tuple_row
from psycopg_pool import PoolTimeout, TooManyRequests

from argus_deleter.errors import NotStored, Overtaken, Unavailable
from argus_deleter.output_deletion import OutputDeletion, aggregate_id
from argus_deleter.sql import migrations, statements

SQL = statements("store")
Also = Sequence[tuple[LiteralString, Mapping[str, Any]]]
TABLE = "decisions"
_LOCK = 0x_A1905_DE1  # one number for everybody who migrates schema deleter
_LIMITS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    "application_name": "argus-deleter",
    "options": "-c lock_timeout=10s -c statement_timeout=30s -c idle_in_transaction_session_timeout=30s",
}
"""A dead peer is noticed within half a minute, and nobody waits for ever for a lock."""


class _Recorder(PostgresApplicationRecorder):
    """Also writes what belongs to the decisions, in their transaction."""

    def _insert_events(
        self, curs: Cursor[DictRow], stored_events: Sequence[StoredEvent], *, also: Also = (), **_: Any
    ) -> None:
        for text, values in also:
            curs.execute(text, values)


class Decisions:
    """Blocking; safe to use from several threads. Errors everywhere: `Unavailable`, where the database does not answer; `NotStored`,
    where it refuses what it was given."""

    def __init__(self, database_url: str, connections: int) -> None:
        # The library takes no address as a whole; what it does not know of one goes to its pool directly.
        given = conninfo_to_dict(database_url)
        name, host, port, user, password = (
            str(given.pop(part, None) or "") for part in ("dbname", "host", "port", "user", "password")
        )
        self._url = database_url
        self._store = PostgresDatastore(
            name, host, port, user, password, pool_size=1, max_overflow=connections - 1, connect_timeout=5, pre_ping=True,
            schema="deleter", lock_timeout=10,
        )  # fmt: skip
        cast("dict[str, Any]", self._store.pool.kwargs).update({**_LIMITS, **given})
        self._store.pool.reconnect_timeout = 1  # its pauses would double without end; who asks makes it try again
        self._recorder: _Recorder | None = None
        transcoder = JSONTranscoder()
        transcoder.register(UUIDAsHex())
        transcoder.register(DatetimeAsISO())
        self._mapper = Mapper[UUID](transcoder)
        self.on_saved: Callable[[], None] = lambda: None
        """Called in whichever thread has stored a decision."""

    def prepare(self) -> None:
        """The tables are there, made once, also where several deleters start together."""
        with self.connection() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            connection.execute(
                "CREATE TABLE IF NOT EXISTS deleter.migrations "
                "(name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
            )
            done = {row[0] for row in connection.execute("SELECT name FROM deleter.migrations")}
            for name, text in migrations("store"):
                if name not in done:
                    connection.execute(text)
                    connection.execute("INSERT INTO deleter.migrations (name) VALUES (%s)", (name,))
            with _told_apart():  # the library's own table, while the others still wait for us
                self._recorder = _Recorder(self._store, events_table_name=TABLE)
                self._recorder.create_table()

    def close(self) -> None:
        self._store.close()

    @contextmanager
    def connection(self) -> Iterator[Connection[Any]]:
        """A connection whose rows are tuples; autocommit."""
        with _told_apart():
            self._store.pool.open()
            with self._store.pool.connection() as lent:
                before = lent.row_factory
                lent.row_factory = cast("Any", tuple_row)
                try:
                    yield cast("Connection[Any]", lent)
                finally:
                    lent.row_factory = before

    def apart(self) -> Connection[Any]:
        """A new connection of nobody else's, autocommit: for a lock that lasts."""
        with _told_apart():
            return psycopg.connect(self._url, autocommit=True, **_LIMITS)

    def rows(self, name: str, **values: Any) -> list[tuple[Any, ...]]:
        """What the statement `name` answers."""
        with self.connection() as connection:
            cursor = connection.execute(SQL[name], values)
            return cursor.fetchall() if cursor.description else []

    def write(self, name: str, **values: Any) -> int:
        """How many rows the statement `name` has changed."""
        with self.connection() as connection:
            return connection.execute(SQL[name], values).rowcount

    def head(self) -> tuple[int, datetime]:
        """The last position of the log, and the time by the database's clock."""
        found = self.rows("head")
        if not found:
            raise Unavailable("the log has no head yet")
        return found[0][0], found[0][1]

    def load(self, batch_ids: Iterable[str]) -> dict[str, OutputDeletion]:
        """What has been decided about these runs, where anything has."""
        rows = self.rows("decisions_of", ids=[aggregate_id(one) for one in batch_ids])
        found: dict[str, OutputDeletion] = {}
        for _, events in groupby(rows, key=lambda row: row[0]):
            aggregate: Any = None
            for row in events:
                aggregate = self.event_of(*row).mutate(aggregate)
            found[aggregate.batch_id] = aggregate
        return found

    def event_of(self, originator_id: UUID, version: int, topic: str, state: bytes) -> Any:
        return self._mapper.to_domain_event(StoredEvent(originator_id, version, topic, bytes(state)))

    def save(self, aggregates: Iterable[OutputDeletion], also: Also = ()) -> None:
        """What they have newly decided is stored, and `also`, all or nothing.

        Errors: `Overtaken`, where somebody else has decided something about one of them, or stored one of `also`.
        """
        events: list[StoredEvent] = []
        rows: list[tuple[LiteralString, Mapping[str, Any]]] = []
        for one in aggregates:
            new = one.collect_events()
            events += [self._mapper.to_stored_event(event) for event in new]
            if one.deletion_id is not None and any(not isinstance(event, _NO_DELETION) for event in new):
                rows.append((SQL["put_deletion"], _row_of(one)))
        assert self._recorder is not None
        try:
            with _told_apart():
                if events:
                    self._recorder.insert_events(events, also=[*rows, *also])
                elif also:
                    with self.connection() as connection, connection.transaction():
                        for text, values in also:
                            connection.execute(text, values)
        except _Taken as error:
            raise Overtaken(str(error)) from None
        self.on_saved()


_NO_DELETION = (OutputDeletion.Created, OutputDeletion.Measured, OutputDeletion.Progressed)


def _row_of(one: OutputDeletion) -> dict[str, Any]:
    return {
        "deletion_id": one.deletion_id, "batch_id": one.batch_id, "workspace": one.workspace, "user": one.user,
        "state": one.state, "look_at": one.due_at,
    }  # fmt: skip


class _Taken(NotStored):
    """There is such a row already."""


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, PersistenceError, PoolTimeout, TooManyRequests, OSError) as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        if isinstance(cause, psycopg.errors.UniqueViolation):
            raise _Taken(said) from error
        if is_of_content(cause):
            raise NotStored(f"the database refuses this: {said}") from error
        raise Unavailable(f"the database: {said}") from error


def storable(text: str) -> str:
    """Without what a text of the database cannot hold."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def is_of_content(error: BaseException | None) -> bool:
    """The same statement with the same values would never do. All else may pass: who restarts, migrates or grants something
    ends it."""
    if isinstance(error, (psycopg.DataError, psycopg.IntegrityError)):
        return True
    if isinstance(error, psycopg.ProgrammingError):  # without a code: the driver cannot write the values
        return error.sqlstate is None
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("54")  # too large for the database
