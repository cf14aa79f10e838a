"""Answers about jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from pydantic import TypeAdapter

from argus_contracts.queries.jobs import (
    GetJob,
    GpuNow,
    JobAnswer,
    JobDetail,
    JobList,
    JobSummary,
    ListJobs,
    MetricSummary,
)
from argus_contracts.queries.runs import RunSummary
from argus_contracts.queries.series import GetSeries
from argus_query.facts import like_pattern, moment_of
from argus_query.fitting import n_that_fit
from argus_query.jobs.machine import Machine
from argus_query.jobs.state import BatchState, JobState
from argus_query.lifecycle import job_view
from argus_query.logs.reads import count_log_lines
from argus_query.paging import decode_cursor, encode_cursor
from argus_query.runs.reads import because, run_row, summary_fields
from argus_query.series.reads import read_metric_summaries, read_series
from argus_query.sql import load
from argus_query.visibility import NotFound, seen_by

_SQL = load(__package__ or "", "queries.sql")
OF_THE_BATCH = ""
"""Under this job_id stand the curves of what a run itself reported."""
MAX_SERIES = 3_000
_SUMMARIES = TypeAdapter(list[JobSummary])


async def list_jobs(connection: AsyncConnection[Any], question: ListJobs, position: int) -> JobList:
    run = await run_row(connection, question.batch_id, seen_by(question.viewer))
    batch, total = await _batch(connection, question.batch_id)
    search = (question.search or "").strip()
    sort_key, job_id = decode_cursor(question.cursor, 2) if question.cursor else (None, None)
    wanted = {
        "batch_id": question.batch_id,
        "status": question.status or None,
        "pattern": like_pattern(search) if search else None,
        "sort_key": sort_key,
        "job_id": job_id,
        "host": run["summary"]["host"],
        "limit": question.limit + 1,
    }
    rows = await (await connection.execute(_SQL["list_jobs"], wanted)).fetchall()
    if search or question.status:
        count = await (await connection.execute(_SQL["count_jobs"], wanted)).fetchone()
        matching = count[0] if count else 0
    else:
        matching = total
    summaries = [summary for _, _, summary in rows[: question.limit]]
    page = summaries[: n_that_fit(summaries)]
    more = len(rows) > len(page)
    # As text from PostgreSQL to here: making objects of it first took half of an answer's processor time.
    items = _SUMMARIES.validate_json(f"[{','.join(page)}]")
    if total == 1:
        shared = batch.machine
        items = [job.model_copy(update=_gauges(job.gpu_util_pct, job.gpu_memory_peak_bytes, shared)) for job in items]
    return JobList(
        position=position,
        items=items,
        next_cursor=encode_cursor(rows[len(page) - 1][1], rows[len(page) - 1][0]) if more else None,
        total=matching,
    )


async def get_job(
    connection: AsyncConnection[Any], question: GetJob, position: int, now: datetime, stall: timedelta
) -> JobAnswer:
    run = await run_row(connection, question.batch_id, seen_by(question.viewer))
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["get_job"], [question.batch_id, question.job_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no job {question.job_id!r} in run {question.batch_id!r}")
    batch, total = await _batch(connection, question.batch_id)
    state = JobState.from_json(question.batch_id, question.job_id, row["state"], row["status"])
    machine = _machine_of(state.machine, batch.machine if total == 1 else None)
    end = state.life.end()
    end_data = end.data if end else {}
    gauges = machine.gauges()
    detail = JobDetail(
        **_summary_fields(row, run, batch.machine if total == 1 else None),
        params=state.get("params", {}),
        process=state.get("process"),
        tag=state.get("tag"),
        pid=state.get("pid"),
        exit_code=end_data.get("exit_code"),
        traceback=end_data.get("traceback"),
        result=end_data.get("metrics") or {},
        resources=end_data.get("resources") or {},
        gpus=[GpuNow(**gpu) for gpu in machine.gpus()],
        snapshot_at=None if machine.at is None else moment_of(machine.at),
        series=await _metrics_of_job(connection, question.batch_id, question.job_id, total == 1),
        n_log_lines=await count_log_lines(connection, question.batch_id, question.job_id),
        idle_since=moment_of(state.idle[1]) if state.idle and state.idle[1] is not None else None,
        because=[because(fact) for fact in job_view(state.life, batch.life).because],
        **gauges,
    )
    return JobAnswer(position=position, job=detail, run=RunSummary(**summary_fields(run, now, stall)))


async def get_series(connection: AsyncConnection[Any], question: GetSeries, position: int) -> dict[str, Any]:
    """The fields of a `SeriesAnswer`; curves of the machine may be the batch's, where the run has only this job."""
    await _seen_job(connection, question)
    series = await read_series(connection, question)
    missing = [key for key in question.keys if key not in {one["key"] for one in series}]
    if missing and (await _batch(connection, question.batch_id))[1] == 1:
        of_batch = question.model_copy(update={"job_id": OF_THE_BATCH, "keys": missing})
        series += await read_series(connection, of_batch)
    return {"position": position, "batch_id": question.batch_id, "job_id": question.job_id, "series": series}


async def _metrics_of_job(
    connection: AsyncConnection[Any], batch_id: str, job_id: str, is_only_job: bool
) -> list[MetricSummary]:
    own = await read_metric_summaries(connection, batch_id, job_id)
    if is_only_job:
        known = {metric.key for metric in own}
        own += [m for m in await read_metric_summaries(connection, batch_id, OF_THE_BATCH) if m.key not in known]
    return own[:MAX_SERIES]


async def _seen_job(connection: AsyncConnection[Any], question: GetSeries) -> None:
    """Errors: `NotFound`, also where the viewer may not see the run."""
    asked = {"batch_id": question.batch_id, "job_id": question.job_id, **seen_by(question.viewer)}
    if await (await connection.execute(_SQL["seen_job"], asked)).fetchone() is None:
        raise NotFound(f"there is no job {question.job_id!r} in run {question.batch_id!r}")


async def _batch(connection: AsyncConnection[Any], batch_id: str) -> tuple[BatchState, int]:
    """The batch around the jobs, and how many it has."""
    row = await (await connection.execute(_SQL["get_batch"], [batch_id])).fetchone()
    if row is None:
        return BatchState(batch_id), 0
    return BatchState.from_json(batch_id, row[0], {}), int(row[1])


def _machine_of(own: Machine, shared: Machine | None) -> Machine:
    """Snapshots of the batch itself are those of its only job. Where both exist, the newest shows, and the higher peak."""
    if shared is None or shared.newest is None:
        return own
    if own.newest is None:
        return shared
    newest = max(own.newest, shared.newest, key=lambda snapshot: snapshot[0])
    sums = [m.gpu_memory_peak_bytes for m in (own, shared) if m.gpu_memory_peak_bytes is not None]
    peaks = {index: max(own.peaks.get(index, 0), shared.peaks.get(index, 0)) for index in {*own.peaks, *shared.peaks}}
    return Machine(newest, max(sums) if sums else None, peaks)


def _summary_fields(row: dict[str, Any], run: dict[str, Any], shared: Machine | None) -> dict[str, Any]:
    """The fields of `JobSummary`. shared: snapshots of the batch, where the run has only this job."""
    fields = {
        **row["summary"],
        "batch_id": run["batch_id"],
        "job_id": row["job_id"],
        "status": row["status"],
        "host": row["host"] or run["summary"]["host"],
    }
    return fields | _gauges(fields["gpu_util_pct"], fields["gpu_memory_peak_bytes"], shared)


def _gauges(util_pct: float | None, peak_bytes: int | None, shared: Machine | None) -> dict[str, Any]:
    """The gauges of a `JobSummary`: the job's own, and of the batch what the job itself does not know."""
    if shared is not None and shared.newest is not None:
        util_pct = shared.gpu_util_pct if util_pct is None else util_pct
        peaks = [peak for peak in (peak_bytes, shared.gpu_memory_peak_bytes) if peak is not None]
        peak_bytes = max(peaks) if peaks else None
    return {"gpu_util_pct": util_pct, "gpu_memory_peak_bytes": peak_bytes}
