"""Folds records of the log into the sources of the hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg import AsyncConnection

from argus_query.cache import Recent
from argus_query.facts import (
    Field,
    attempt_of,
    first_rank,
    micros_of,
    moment_of,
    older_environment,
    rank,
    short_name,
    state_field,
    value_of,
)
from argus_query.read_model import Record, purged_batches
from argus_query.sql import columns_of, load, load_text

_SQL = load(__package__ or "", "queries.sql")
_REMEMBERED_BATCHES = 2_000
_KINDS = frozenset({"batch_start", "env_snapshot", "job_start", "resource_snapshot"})


@dataclass(slots=True)
class Source:
    """A batch (`job_id` '') or job. `seen`: Argus' clock in microseconds at its newest fact about a machine.

    Without `fields` it has no row: most short runs never say where they are.
    """

    workspace: str
    seen: int = 0
    fields: dict[str, Field] = field(default_factory=dict)
    changed: bool = True

    def project(self, event: dict[str, Any], said: dict[str, Any], at: int, received: int) -> None:
        """said: by this event."""
        if said:
            ranked = first_rank if event["kind"] == "env_snapshot" else rank
            event_rank = ranked(attempt_of(event), at, event["event_id"])
            for name, value in said.items():
                state_field(self.fields, name, event_rank, value)
        self.seen = max(self.seen, received)
        self.changed = True

    def own_host(self) -> str | None:
        if not self.fields:
            return None
        names = ("host", "env_host", "start_host", "snapshot_host")
        said = (value_of(self.fields, name) for name in names)
        return next((short_name(host) for host in said if isinstance(host, str) and host), None)


class Hosts:
    """The read model of hosts."""

    name = "hosts"
    version = 2
    tables = ("host_sources",)

    def __init__(self) -> None:
        self._recent: Recent[str, dict[str, Source]] = Recent(_REMEMBERED_BATCHES)

    def schema(self) -> str:
        return load_text(__package__ or "", "schema.sql")

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        self._recent.trim()
        missing = self._recent.missing({record.batch_id for record in _telling(records)})
        if not missing:
            return
        for batch_id in missing:
            self._recent.put(batch_id, {})
        cursor = await connection.execute(_SQL["load_sources"], [missing])
        async for batch_id, job_id, workspace, seen, fields in cursor:
            self._sources(batch_id)[job_id] = Source(workspace, seen, fields, changed=False)

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        touched: dict[str, str | None] = {}
        for record in _telling(records):
            received = micros_of(record.received_at)
            sources = self._sources(record.batch_id)
            for event, at in zip(record.events, record.times, strict=True):
                if event["kind"] not in _KINDS:
                    continue
                if record.batch_id not in touched:
                    touched[record.batch_id] = _host_of(sources)
                said, job_id = _said(event), event.get("job_id") or ""
                if not said and job_id not in sources:
                    job_id = ""  # its machine is that of its batch, and is in use
                source = sources.get(job_id)
                if source is None:
                    source = sources[job_id] = Source(record.workspace)
                source.project(event, said, at, received)
        rows: list[tuple[Any, ...]] = []
        for batch_id, known_host in touched.items():
            sources = self._sources(batch_id)
            host = _host_of(sources)
            for job_id, source in sources.items():
                if source.fields and (source.changed or host != known_host):
                    rows.append(_row(batch_id, job_id, source, source.own_host() or host))
                    source.changed = False
        if rows:
            await connection.execute(_SQL["upsert_sources"], columns_of(rows))
        purged = purged_batches(records)
        if purged:
            await connection.execute(_SQL["delete_sources"], [purged])
            for batch_id in purged:
                self._recent.drop(batch_id)

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return False

    def forget(self) -> None:
        self._recent.clear()

    def _sources(self, batch_id: str) -> dict[str, Source]:
        sources = self._recent.get(batch_id)
        if sources is None:
            sources = {}
            self._recent.put(batch_id, sources)
        return sources


def _telling(records: Sequence[Record]) -> list[Record]:
    """Those that may tell of a machine."""
    return [record for record in records if record.retention_class in ("lifecycle", "snapshots")]


def _said(event: dict[str, Any]) -> dict[str, Any]:
    """What an event of `_KINDS` tells of its machine."""
    kind, data = event["kind"], event.get("data") or {}
    if kind == "resource_snapshot":
        said = {"snapshot": data, "snapshot_host": data.get("host")}
    elif kind == "env_snapshot":
        said = {"env_host": data.get("host"), "gpus": data.get("gpus") or None}
    elif kind == "job_start":
        said = {"host": data.get("host")}
    else:
        said = {"start_host": older_environment(data.get("environment")).get("host")}
    return {name: value for name, value in said.items() if value is not None}


def _host_of(sources: dict[str, Source]) -> str | None:
    """Where the batch runs; and every job of it that does not say where."""
    source = sources.get("")
    return None if source is None else source.own_host()


def _row(batch_id: str, job_id: str, source: Source, host: str | None) -> tuple[Any, ...]:
    state = orjson.dumps(source.fields).decode()
    return batch_id, job_id, source.workspace, host, moment_of(source.seen), state
