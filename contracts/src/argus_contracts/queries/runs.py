"""Runs (on the wire: batches): the list, one run, the facets of the filter."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from argus_contracts.queries.common import Answer, Asked, Because, Limit, RunStatus
from argus_contracts.queries.deletions import DeletionState


class JobCounts(BaseModel):
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    aborted: int = 0
    cached: int = 0
    total: int = 0


class RunSummary(BaseModel):
    """A row of the runs list."""

    batch_id: str
    name: str
    """The batch's name, or its id where nobody named it."""
    type: Literal["training", "workflow"]
    project: str | None
    workspace: str
    user: str
    labels: list[str]
    status: RunStatus
    status_since: datetime | None
    disconnected_since: datetime | None
    """Set while the run should speak and is silent for three heartbeat intervals; a later event clears it."""
    stalled_since: datetime | None
    """Set while the run beats but nothing has progressed for ARGUS_STALL_TIMEOUT_MIN."""
    started_at: datetime | None
    ended_at: datetime | None
    last_seen_at: datetime
    """Argus' clock at the last event of the run."""
    clock_offset_s: float | None
    """Set where the sender's clock at its newest event and Argus' clock at the last one it received differ by more than a
    minute. Above 0: the sender's is ahead. Below: it is behind, or its events come late; never of a run that has
    ended, because whole runs may be sent days later."""
    elapsed_s: float | None
    host: str | None
    attempt: int
    jobs: JobCounts
    n_jobs_expected: int | None
    progress: float | None
    """0 to 1: share of the expected jobs that ended."""
    reason: str | None


class ListRuns(Asked):
    """The newest first. `cursor` continues behind the last row of an earlier answer with the same filters."""

    search: str | None = None
    """A substring of the name, id, project or a label; letter case does not matter; `%` and `_` mean themselves."""
    status: list[Literal["queued", "running", "stopping", "succeeded", "failed", "aborted", "disconnected"]] = []
    project: str | None = None
    user: str | None = None
    workspace: str | None = None
    type: Literal["training", "workflow"] | None = None
    label: str | None = None
    limit: Limit = 50
    cursor: str | None = None


class RunList(Answer):
    items: list[RunSummary]
    next_cursor: str | None


class GetRun(Asked):
    batch_id: str


class Environment(BaseModel):
    """Where and how the run was started."""

    command: list[str] = []
    cwd: str | None = None
    host: str | None = None
    user: str | None = None
    git_remote: str | None = None
    git_branch: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    python: str | None = None
    packages_digest: str | None = None
    gpus: list[dict[str, Any]] = []
    env_names: list[str] = []


class SeqGap(BaseModel):
    """Events that a producer numbered and that the log has not received; both ends inclusive."""

    producer_id: str
    retention_class: str
    first_seq: int
    last_seq: int


class RunDetail(RunSummary):
    params: dict[str, Any]
    config: dict[str, Any]
    tags: dict[str, str]
    output_dir: str | None
    work_dir: str | None
    runner: str | None
    cluster: str | None
    environment: Environment
    exit_code: int | None
    error_report: str | None
    totals: dict[str, Any]
    attempts: list[int]
    dropped: dict[str, int]
    """Events that the sender had to drop, per retention class."""
    gaps: list[SeqGap]
    stop_requested_at: datetime | None
    stop_requested_by: str | None
    because: list[Because]
    output_bytes: int | None
    """Of the outputs by the newest listing, 0 where they were deleted; null: not known."""
    output_objects: int | None
    output_bytes_by_class: dict[str, int]
    """Per storage class; empty where nothing is known or left."""
    outputs_measured_at: datetime | None
    outputs_deleted_at: datetime | None
    """When all of them were deleted; null again where the run has begun anew since, or a later listing has found something."""
    deletion_id: str | None
    """Of the deletion on its way, else of the newest one."""
    deletion_state: DeletionState | None
    cost_usd: float | None
    wasted_usd: float | None
    """Part of `cost_usd`: of failed and aborted attempts."""


class RunAnswer(Answer):
    run: RunDetail


class GetFacets(Asked):
    """What the filter row of the runs list offers."""


class Facets(Answer):
    projects: list[str]
    users: list[str]
    labels: list[str]
    workspaces: list[str]
