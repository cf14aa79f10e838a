"""Runs and jobs as `query` knows them: lists, details, curves, log lines. Answers pass through as they come."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import unquote

from fastapi import APIRouter, Path, Query
from pydantic import BeforeValidator, StringConstraints
from starlette.responses import Response

from argus_contracts.quantities import BATCH_ID_PATTERN
from argus_contracts.queries.common import JobStatus
from argus_contracts.queries.jobs import GetJob, GetMatrix, JobAnswer, JobList, JobMatrix, ListJobs
from argus_contracts.queries.live import GetPosition, HostList, ListHosts, Positions
from argus_contracts.queries.logs import ListLogLines, LogLines
from argus_contracts.queries.runs import Facets, GetFacets, GetRun, ListRuns, RunAnswer, RunList
from argus_contracts.queries.series import GetSeries, SeriesAnswer
from argus_gateway.auth import SignedIn
from argus_gateway.bodies import StopState
from argus_gateway.parts import AllParts
from argus_gateway.problems import not_found
from argus_gateway.routes.answers import PROBLEMS, After, Asks, Split

router = APIRouter(prefix="/api", tags=["runs"], responses=PROBLEMS)

RunFilter = Literal["queued", "running", "stopping", "succeeded", "failed", "aborted", "disconnected"]
Words = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]
Cursor = Annotated[str | None, Query(max_length=2000, pattern=r"^[A-Za-z0-9._~=+/:\-]*$")]


def _batch_id(text: str) -> str:
    """What cannot be a run's id does not exist."""
    if not BATCH_ID_PATTERN.fullmatch(text):
        raise not_found()
    return text


def _job_id(segment: str) -> str:
    """One path segment as `middleware.KeepEncodedSlashes` leaves it: `%2F` and `%25` still encoded."""
    text = unquote(segment)
    if not 1 <= len(text) <= 256 or not text.isprintable():
        raise not_found()
    return text


Batch = Annotated[str, Path(description="`batch_id`"), BeforeValidator(_batch_id)]
Job = Annotated[str, Path(description="`job_id`, percent-encoded (`/` as `%2F`)"), BeforeValidator(_job_id)]


@router.get("/batches", response_model=RunList)
async def list_runs(
    *,
    caller: SignedIn,
    ask: Asks,
    search: Words = None,
    status: Annotated[list[RunFilter], Split, Query()] = [],  # noqa: B006 (FastAPI copies defaults)
    project: Words = None,
    user: Words = None,
    workspace: Words = None,
    type: Literal["training", "workflow"] | None = None,
    label: Words = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Cursor = None,
    after: After = None,
) -> Response:
    """The newest first; `next_cursor` continues."""
    question = ListRuns(
        viewer=caller.viewer, after=after, search=search or None, status=status, project=project or None, user=user or None,
        workspace=workspace or None, type=type, label=label or None, limit=limit, cursor=cursor or None,
    )  # fmt: skip
    return await ask(question)


@router.get("/facets", response_model=Facets)
async def get_facets(caller: SignedIn, ask: Asks, after: After = None) -> Response:
    """What the filter row of the runs list offers."""
    return await ask(GetFacets(viewer=caller.viewer, after=after))


@router.get("/batches/{batch_id}", response_model=RunAnswer)
async def get_run(batch_id: Batch, caller: SignedIn, ask: Asks, after: After = None) -> Response:
    return await ask(GetRun(viewer=caller.viewer, after=after, batch_id=batch_id))


@router.get("/batches/{batch_id}/jobs", response_model=JobList)
async def list_jobs(
    *,
    batch_id: Batch,
    caller: SignedIn,
    ask: Asks,
    search: Words = None,
    status: Annotated[list[JobStatus], Split, Query()] = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: Cursor = None,
    after: After = None,
) -> Response:
    """Jobs of one run in natural order of `job_id`."""
    question = ListJobs(
        viewer=caller.viewer, after=after, batch_id=batch_id, search=search or None, status=status, limit=limit,
        cursor=cursor or None,
    )  # fmt: skip
    return await ask(question)


@router.get("/batches/{batch_id}/matrix", response_model=JobMatrix)
async def get_matrix(
    *,
    batch_id: Batch,
    caller: SignedIn,
    ask: Asks,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    cursor: Cursor = None,
    after: After = None,
) -> Response:
    """All jobs of one run, a column per field: what a matrix of them shows, small enough for ten thousand at once."""
    question = GetMatrix(viewer=caller.viewer, after=after, batch_id=batch_id, limit=limit, cursor=cursor or None)
    return await ask(question)


@router.get("/batches/{batch_id}/jobs/{job_id}", response_model=JobAnswer)
async def get_job(batch_id: Batch, job_id: Job, caller: SignedIn, ask: Asks, after: After = None) -> Response:
    """Everything that a job's page shows, but curves and log."""
    return await ask(GetJob(viewer=caller.viewer, after=after, batch_id=batch_id, job_id=job_id))


@router.get("/batches/{batch_id}/jobs/{job_id}/series", response_model=SeriesAnswer)
async def get_series(
    *,
    batch_id: Batch,
    job_id: Job,
    caller: SignedIn,
    ask: Asks,
    keys: Annotated[
        list[Annotated[str, StringConstraints(max_length=256, pattern=r"^[^\x00]*$")]],
        Split,
        Query(description="`a,b`, or repeated (then commas belong to the name); none: the losses"),
    ] = [],  # noqa: B006
    max_points: Annotated[int, Query(ge=2, le=10_000)] = 1000,
    x: Literal["step", "time"] = "step",
    first: Annotated[float | None, Query(alias="from", allow_inf_nan=False)] = None,
    last: Annotated[float | None, Query(alias="to", allow_inf_nan=False)] = None,
    after: After = None,
) -> Response:
    """Curves, thinned to `max_points` a curve. `from` and `to` bound the x: steps, or epoch milliseconds."""
    question = GetSeries(
        viewer=caller.viewer, after=after, batch_id=batch_id, job_id=job_id, keys=keys, max_points=max_points, x=x, first=first,
        last=last,
    )  # fmt: skip
    return await ask(question)


@router.get("/batches/{batch_id}/log-lines", response_model=LogLines)
async def list_log_lines(
    *,
    batch_id: Batch,
    caller: SignedIn,
    ask: Asks,
    job_id: Annotated[str | None, Query(max_length=256, pattern=r"^[^\x00]+$")] = None,
    before: Cursor = None,
    after_line: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
    level: Annotated[
        list[Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00]*$")]], Split, Query()
    ] = [],  # noqa: B006
    search: Words = None,
    after: After = None,
) -> Response:
    """The newest lines, or those around the `cursor` of a line; oldest first."""
    question = ListLogLines(
        viewer=caller.viewer, after=after, batch_id=batch_id, job_id=job_id, before=before or None,
        after_line=after_line or None, limit=limit, level=level, search=search or None,
    )  # fmt: skip
    return await ask(question)


@router.get("/batches/{batch_id}/stop-requested")
async def stop_requested(batch_id: Batch, caller: SignedIn, parts: AllParts) -> StopState:
    """What senders poll: has somebody asked this run to stop?"""
    run = (await parts.asker.ask_for(GetRun(viewer=caller.viewer, batch_id=batch_id), RunAnswer)).run
    asked = run.stop_requested_at is not None and run.status in ("queued", "running", "stopping")
    return StopState(
        requested=asked,
        stop_requested=asked,
        requested_at=run.stop_requested_at if asked else None,
        requested_by=run.stop_requested_by if asked else None,
    )


@router.get("/hosts", response_model=HostList)
async def list_hosts(caller: SignedIn, ask: Asks, after: After = None) -> Response:
    """Machines that runs reported from, the last seen first."""
    return await ask(ListHosts(viewer=caller.viewer, after=after))


@router.get("/position", response_model=Positions)
async def get_position(caller: SignedIn, ask: Asks) -> Response:
    """How far the log and the read models are."""
    return await ask(GetPosition())
