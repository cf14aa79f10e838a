"""Folds records of the log into the tables of the jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.cache import Recent
from argus_query.facts import attempt_of
from argus_query.jobs.state import STATUSES, BatchState, JobState
from argus_query.lifecycle import Fact, is_lifecycle_kind, is_sign_of_life
from argus_query.read_model import Record, purged_batches
from argus_query.sql import columns_of, json_text, load, load_text

_SQL = load(__package__ or "", "queries.sql")
_REMEMBERED_BATCHES = 5_000
_REMEMBERED_JOBS = 2_000
_OPEN_JOBS_AT_ONCE = 1_000
JobKey = tuple[str, str]


class Jobs:
    """The read model of jobs."""

    name = "jobs"
    version = 2
    tables = ("jobs", "job_states", "job_batches")

    def __init__(self) -> None:
        self._batches: Recent[str, BatchState] = Recent(_REMEMBERED_BATCHES)
        self._jobs: Recent[JobKey, JobState] = Recent(_REMEMBERED_JOBS)

    def schema(self) -> str:
        return load_text(__package__ or "", "schema.sql")

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        self._batches.trim()
        self._jobs.trim()
        missing = self._batches.missing({record.batch_id for record in records})
        if missing:
            cursor = await connection.execute(_SQL["load_batches"], [missing])
            async for batch_id, raw, *counts in cursor:
                counted = dict(zip(STATUSES, counts, strict=True))
                self._batches.put(batch_id, BatchState.from_json(batch_id, raw, counted))
        keys = {
            (record.batch_id, job_id)
            for record in records
            if record.batch_id in self._batches  # else it is new, and has no jobs
            for job_id in _job_ids(record)
        }
        unknown = self._jobs.missing(keys)
        if unknown:
            arguments = [[key[0] for key in unknown], [key[1] for key in unknown]]
            cursor = await connection.execute(_SQL["load_jobs"], arguments)
            async for batch_id, job_id, raw, status in cursor:
                self._jobs.put((batch_id, job_id), JobState.from_json(batch_id, job_id, raw, status))

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        touched: dict[JobKey, JobState] = {}
        batches: dict[str, BatchState] = {}
        verdicts: dict[str, Any] = {}
        for record in records:
            if record.retention_class == "lifecycle" and not any(map(_says_more_than_a_decision, record.events)):
                continue  # only decisions of Argus
            batch = self._batch(record.batch_id)
            if batch.batch_id not in batches:
                batches[batch.batch_id], verdicts[batch.batch_id] = batch, batch.verdict()
            self._project_record(record, batch, touched)
        await self._store_jobs(connection, touched.values())
        judged = [batch for batch in batches.values() if batch.verdict() != verdicts[batch.batch_id]]
        n_touched = Counter(batch_id for batch_id, _ in touched)
        others = [batch.batch_id for batch in judged if batch.n_jobs > n_touched[batch.batch_id]]
        await self._judge_open_jobs(connection, others, touched)
        rows = [batch.row() for batch in batches.values() if batch.changed]
        if rows:
            await connection.execute(_SQL["upsert_batches"], columns_of(rows))
        for batch in batches.values():
            batch.changed = False
        purged = purged_batches(records)
        if purged:
            for statement in ("delete_jobs", "delete_states", "delete_batches"):
                await connection.execute(_SQL[statement], [purged])
            for batch_id in purged:
                self._batches.drop(batch_id)
            self._jobs.drop_where(lambda key: key[0] in purged)

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return False

    def forget(self) -> None:
        self._batches.clear()
        self._jobs.clear()

    def _batch(self, batch_id: str) -> BatchState:
        batch = self._batches.get(batch_id)
        if batch is None:
            batch = BatchState(batch_id)
            self._batches.put(batch_id, batch)
        return batch

    def _job(self, batch_id: str, job_id: str, touched: dict[JobKey, JobState]) -> JobState:
        key = (batch_id, job_id)
        job = touched.get(key)
        if job is None:
            job = self._jobs.get(key)
            if job is None:
                job = JobState(batch_id, job_id)
                self._jobs.put(key, job)
            touched[key] = job
        return job

    def _project_record(self, record: Record, batch: BatchState, touched: dict[JobKey, JobState]) -> None:
        if record.retention_class in ("metrics", "log_lines"):
            self._project_telemetry(record, batch, touched)
            return
        for index, event in enumerate(record.events):
            kind, at, job_id = event["kind"], record.times[index], event.get("job_id")
            position = record.first_position + index
            if job_id is None and is_lifecycle_kind(kind):
                batch.changed = batch.life.add(_batch_fact(event, at, position)) or batch.changed
            elif is_sign_of_life(kind) and batch.life.hear(attempt_of(event)):
                batch.changed = True
            if job_id is not None:
                self._job(record.batch_id, job_id, touched).project_event(event, at, position)
            elif kind == "resource_snapshot":
                batch.machine.add(event["data"], attempt_of(event), at, event["event_id"])
                batch.changed = True

    def _project_telemetry(self, record: Record, batch: BatchState, touched: dict[JobKey, JobState]) -> None:
        """A record of many events that tell jobs the same kind of thing: epochs, or only that they live."""
        for share in record.shares():
            batch.changed = batch.life.hear(share.attempt) or batch.changed
            if share.job_id is not None:
                self._job(record.batch_id, share.job_id, touched).project_share(share)

    async def _store_jobs(self, connection: AsyncConnection[Any], jobs: Iterable[JobState]) -> None:
        """The jobs' rows are as their states say, and the counts of their batches with them."""
        rows: list[tuple[Any, ...]] = []
        states: list[tuple[str, str, str]] = []
        for job in jobs:
            batch = self._batch(job.batch_id)
            row = job.row(batch)
            rows.append(row)
            states.append((job.batch_id, job.job_id, json_text(job.to_json())))
            status = row[3]
            if status != job.stored_status:
                if job.stored_status is not None:
                    batch.counts[job.stored_status] -= 1
                batch.counts[status] += 1
                job.stored_status, batch.changed = status, True
        if rows:
            await connection.execute(_SQL["upsert_jobs"], columns_of(rows))
            await connection.execute(_SQL["upsert_states"], columns_of(states))

    async def _judge_open_jobs(
        self, connection: AsyncConnection[Any], batch_ids: list[str], touched: dict[JobKey, JobState]
    ) -> None:
        """What the end or new attempt of these batches means for their open jobs that this fold did not touch.

        One statement for all of them: where a log of many short runs is rebuilt, every batch of a fold has ended.
        """
        last = ("", "")
        while batch_ids:
            arguments = [batch_ids, *last, _OPEN_JOBS_AT_ONCE]
            rows = await (await connection.execute(_SQL["load_open_jobs"], arguments)).fetchall()
            jobs = [
                self._jobs.get((batch_id, job_id)) or JobState.from_json(batch_id, job_id, raw, status)
                for batch_id, job_id, raw, status in rows
                if (batch_id, job_id) not in touched
            ]
            await self._store_jobs(connection, jobs)
            if len(rows) < _OPEN_JOBS_AT_ONCE:
                return
            last = rows[-1][:2]


def _job_ids(record: Record) -> Iterable[str]:
    """Perhaps the same several times."""
    told: Iterable[str | None]
    if record.retention_class == "lifecycle":
        told = (event.get("job_id") for event in record.events)
    else:
        told = (share.job_id for share in record.shares())
    return (job_id for job_id in told if job_id is not None)


def _says_more_than_a_decision(event: dict[str, Any]) -> bool:
    return is_sign_of_life(event["kind"]) or bool(event.get("job_id"))


def _batch_fact(event: dict[str, Any], at: int, position: int) -> Fact:
    """Without its data but for the reason: the jobs need no more."""
    reason = (event.get("data") or {}).get("reason")
    return Fact(event["event_id"], event["kind"], attempt_of(event), at, position, {"reason": reason} if reason else {})
