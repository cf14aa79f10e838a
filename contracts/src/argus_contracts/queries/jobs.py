"""Jobs of a run: the list and the matrix, and one job with everything its page shows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from argus_contracts.queries.common import Answer, Asked, Because, JobStatus
from argus_contracts.queries.runs import RunSummary


class Sparkline(BaseModel):
    """At most 64 points of the loss over the whole job so far, evenly thinned; null where the value is not finite."""

    key: str
    steps: list[int]
    values: list[float | None]


class JobSummary(BaseModel):
    """A row of the jobs table."""

    batch_id: str
    job_id: str
    name: str
    model: str | None
    dataset: str | None
    status: JobStatus
    status_since: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    last_activity_at: datetime | None
    """The sender's clock at the job's newest event."""
    elapsed_s: float | None
    """`job_start` to the end, or to the last activity."""
    attempt: int
    epoch: int | None
    step: int | None
    n_epochs_expected: int | None
    n_steps_expected: int | None
    progress: float | None
    """0 to 1, where the expected epochs or steps are known."""
    eta_s: float | None
    """Seconds until the end at the present pace, from progress and elapsed time; null where unknown or ended."""
    loss_key: str | None
    """Which metric `loss` is: `val_loss`, `train_loss`, `loss`, or the first whose name has `loss`."""
    loss: float | Literal["NaN", "Infinity", "-Infinity"] | None
    train_loss: float | Literal["NaN", "Infinity", "-Infinity"] | None
    val_loss: float | Literal["NaN", "Infinity", "-Infinity"] | None
    sparkline: Sparkline | None
    gpu_util_pct: float | None
    """Mean over the visible GPUs of the newest snapshot."""
    gpu_memory_peak_bytes: int | None
    """The highest sum over the visible GPUs in any snapshot."""
    host: str | None
    reason: str | None


class ListJobs(Asked):
    """Jobs of one run in the order of `job_id` (natural: digits by value). `cursor` continues an earlier answer."""

    batch_id: str
    search: str | None = None
    status: list[JobStatus] = []
    limit: Annotated[int, Field(ge=1, le=1000)] = 200
    cursor: str | None = None


class JobList(Answer):
    items: list[JobSummary]
    next_cursor: str | None
    total: int


class GetMatrix(Asked):
    """All jobs of one run in the order of `job_id`, as its matrix shows them. `cursor` continues an earlier answer."""

    batch_id: str
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10_000
    cursor: str | None = None


class JobMatrix(Answer):
    """A column per field, each named and meant as in `JobSummary`; about 65 bytes a job.

    All columns have the same length, or are empty: then the field is null for every job. `model`, `dataset`, `loss_key`
    and `reason` are places in `texts`, which has each text once.
    """

    job_id: list[str]
    status: list[JobStatus]
    name: list[str | None] = []
    """Null: the same as `job_id`."""
    progress: list[float | None] = []
    n_epochs_expected: list[int | None] = []
    n_steps_expected: list[int | None] = []
    loss: list[float | Literal["NaN", "Infinity", "-Infinity"] | None] = []
    model: list[int | None] = []
    dataset: list[int | None] = []
    loss_key: list[int | None] = []
    reason: list[int | None] = []
    """At most its first 200 characters."""
    texts: list[str]
    next_cursor: str | None
    """Where the jobs did not fit into one answer (their names may be long)."""
    total: int


class MetricSummary(BaseModel):
    """One series that the job has."""

    key: str
    family: Literal["metric", "system"]
    """`metric`: what the job measured; `system`: from resource snapshots (`gpu.0.util_pct`, `cpu_pct`, …)."""
    n_points: int
    last: float | Literal["NaN", "Infinity", "-Infinity"] | None
    last_step: int | None
    min: float | None
    max: float | None


class GpuNow(BaseModel):
    """One visible GPU in the newest snapshot, with its peak."""

    index: int
    uuid: str | None
    util_pct: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    memory_peak_bytes: int | None
    temperature_c: float | None
    power_w: float | None


class GetJob(Asked):
    batch_id: str
    job_id: str


class JobDetail(JobSummary):
    params: dict[str, Any]
    process: str | None
    tag: str | None
    pid: int | None
    exit_code: int | None
    traceback: str | None
    result: dict[str, Any]
    """The `metrics` of the end event."""
    resources: dict[str, Any]
    gpus: list[GpuNow]
    snapshot_at: datetime | None
    cpu_pct: float | None
    rss_bytes: int | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    disk_free_bytes: int | None
    series: list[MetricSummary]
    n_log_lines: int
    idle_since: datetime | None
    because: list[Because]


class JobAnswer(Answer):
    job: JobDetail
    run: RunSummary
