"""Answers about runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from argus_contracts.queries.common import Because
from argus_contracts.queries.runs import (
    Environment,
    Facets,
    GetFacets,
    GetRun,
    JobCounts,
    ListRuns,
    RunAnswer,
    RunDetail,
    RunList,
    RunSummary,
    SeqGap,
)
from argus_query.facts import micros_of, moment_of, older_environment, seconds
from argus_query.fitting import n_that_fit
from argus_query.lifecycle import Fact
from argus_query.paging import encode_cursor
from argus_query.runs.find import find_page
from argus_query.runs.state import RunState
from argus_query.sql import load
from argus_query.visibility import NotFound, seen_by

_SQL = load(__package__ or "", "queries.sql")
_MAX_FACETS = 500
SILENT_INTERVALS = 3
"""A run that is silent for so many heartbeat intervals is disconnected."""
CLOCKS_AGREE_S = 60.0
"""A sender's clock that differs by no more is not spoken of."""


async def list_runs(
    connection: AsyncConnection[Any], question: ListRuns, position: int, now: datetime, stall: timedelta
) -> RunList:
    """`now`: Argus' clock. `stall`: how long a run may beat without progress."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["list_runs"], [await find_page(connection, question, now)])
    rows = await cursor.fetchall()
    items = [RunSummary(**summary_fields(row, now, stall)) for row in rows[: question.limit]]
    page = rows[: n_that_fit([item.model_dump_json() for item in items])]
    more = len(rows) > len(page)
    return RunList(
        position=position,
        items=items[: len(page)],
        next_cursor=encode_cursor(page[-1]["sort_at"].isoformat(), page[-1]["batch_id"]) if more else None,
    )


async def get_run(
    connection: AsyncConnection[Any], question: GetRun, position: int, now: datetime, stall: timedelta
) -> RunAnswer:
    row = await run_row(connection, question.batch_id, seen_by(question.viewer))
    state = RunState.from_json(row["batch_id"], row["state"], 0, 0, 0)
    gaps = await _gaps(connection, state)
    end, stop = state.life.end(), state.stop
    end_data = end.data if end else {}
    detail = RunDetail(
        **summary_fields(row, now, stall),
        params=state.get("params", {}),
        config=state.get("config", {}),
        tags=state.get("tags", {}),
        output_dir=state.get("output_dir"),
        work_dir=state.get("work_dir"),
        runner=state.get("runner"),
        cluster=state.get("cluster"),
        environment=environment_of(state),
        exit_code=end_data.get("exit_code"),
        error_report=end_data.get("error_report"),
        totals=end_data.get("totals") or {},
        attempts=state.attempts,
        dropped=dropped_events(row),
        gaps=gaps,
        stop_requested_at=moment_of(stop.at) if stop and state.stop_counts else None,
        stop_requested_by=stop.data.get("requested_by") if stop and state.stop_counts else None,
        because=[because(fact) for fact in state.because()],
        **_outputs_of(state),
        cost_usd=state.cost_usd,
        wasted_usd=state.wasted_usd,
    )
    return RunAnswer(position=position, run=detail)


def _outputs_of(state: RunState) -> dict[str, Any]:
    live, deletion, deleted_at = state.live_outputs(), state.outputs.deletion(), state.outputs_deleted_at
    return {
        "output_bytes": live.bytes if live else None,
        "output_objects": live.objects if live else None,
        "output_bytes_by_class": live.by_storage_class if live else {},
        "outputs_measured_at": moment_of(live.at) if live else None,
        "outputs_deleted_at": None if deleted_at is None else moment_of(deleted_at),
        "deletion_id": deletion.deletion_id if deletion else None,
        "deletion_state": deletion.step.state if deletion else None,
    }


async def get_facets(connection: AsyncConnection[Any], question: GetFacets, position: int) -> Facets:
    """Of each kind at most 500, those that most runs have."""
    found: dict[str, list[str]] = {"project": [], "user": [], "label": [], "workspace": []}
    cursor = await connection.execute(_SQL["list_facets"], seen_by(question.viewer))
    async for kind, value in cursor:
        if len(found[kind]) < _MAX_FACETS:
            found[kind].append(value)
    return Facets(
        position=position,
        projects=sorted(found["project"]),
        users=sorted(found["user"]),
        labels=sorted(found["label"]),
        workspaces=sorted(found["workspace"]),
    )


async def run_row(connection: AsyncConnection[Any], batch_id: str, seen: dict[str, Any]) -> dict[str, Any]:
    """The run with its state. Errors: `NotFound`, also where it is not visible."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["get_run"], {"batch_id": batch_id, **seen})
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no run {batch_id!r}")
    return row


def summary_fields(row: dict[str, Any], now: datetime, stall: timedelta) -> dict[str, Any]:
    """The fields of `RunSummary`, with what only the clock can tell."""
    summary = row["summary"]
    started_at = _moment(summary["started_at"])
    jobs = JobCounts(**(row["jobs"] or {}))
    jobs.total = jobs.queued + jobs.running + jobs.succeeded + jobs.failed + jobs.aborted + jobs.cached
    expected = summary["n_jobs_expected"]
    ended = jobs.total - jobs.queued - jobs.running
    elapsed = summary["elapsed_s"]
    if elapsed is None and started_at is not None:
        until = _moment(summary["ended_at"]) or row["last_occurred_at"]
        elapsed = seconds(micros_of(started_at), micros_of(until) if until else None)
    last_seen_at = row["last_seen_at"] or row["sort_at"]
    progressed_at = row["last_progress_at"] or last_seen_at
    silent = timedelta(seconds=SILENT_INTERVALS * row["heartbeat_interval_s"])
    going = row["status"] in ("running", "stopping")
    disconnected = going and now - last_seen_at > silent
    stalled = going and not disconnected and now - progressed_at > stall
    return {
        **summary,
        "batch_id": row["batch_id"],
        "type": row["type"],
        "project": row["project"],
        "workspace": row["workspace"],
        "user": row["user_name"],
        "labels": row["labels"],
        "status": row["status"],
        "disconnected_since": last_seen_at if disconnected else None,
        "stalled_since": progressed_at if stalled else None,
        "last_seen_at": last_seen_at,
        "clock_offset_s": clock_offset_s(row["last_occurred_at"], last_seen_at, going),
        "elapsed_s": elapsed,
        "jobs": jobs,
        "progress": 1.0
        if row["status"] == "succeeded" and expected
        else min(1.0, ended / expected)
        if expected
        else None,
    }


def clock_offset_s(stated: datetime | None, received: datetime, going: bool) -> float | None:
    """See `RunSummary.clock_offset_s`."""
    offset = (stated - received).total_seconds() if stated is not None else 0.0
    return offset if offset > CLOCKS_AGREE_S or (going and offset < -CLOCKS_AGREE_S) else None


def dropped_events(row: dict[str, Any]) -> dict[str, int]:
    """Per retention class, over all processes of the run. row: of `run_row`."""
    dropped: dict[str, int] = {}
    for counts in row["state"]["dropped"].values():
        for retention_class, count in counts.items():
            dropped[retention_class] = dropped.get(retention_class, 0) + count
    return dropped


def environment_of(state: RunState) -> Environment:
    """From the first env_snapshot; where there is none, from what older senders put into the start."""
    env: dict[str, Any] = state.get("env") or {}
    start = older_environment(state.get("environment"))
    git: dict[str, Any] = env.get("git") or {}
    command = env.get("command") or start.get("command") or []
    return Environment(
        command=[str(part) for part in command] if isinstance(command, list) else [str(command)],
        cwd=env.get("cwd"),
        host=state.host,
        user=env.get("user") or start.get("user"),
        git_remote=git.get("remote"),
        git_branch=git.get("branch"),
        git_commit=git.get("commit") or start.get("commit"),
        git_dirty=git.get("dirty"),
        python=env.get("python"),
        packages_digest=env.get("packages_digest"),
        gpus=env.get("gpus") or [],
        env_names=env.get("env_names") or [],
    )


def because(fact: Fact) -> Because:
    return Because(event_id=fact.event_id, kind=fact.kind, occurred_at=moment_of(fact.at), position=fact.position)


async def _gaps(connection: AsyncConnection[Any], state: RunState) -> list[SeqGap]:
    wanted = {"batch_id": state.batch_id, "workspace": state.workspace}
    cursor = await connection.execute(_SQL["select_gaps"], wanted)
    return [
        SeqGap(producer_id=producer, retention_class=retention_class, first_seq=first, last_seq=last)
        async for producer, retention_class, first, last in cursor
    ]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
