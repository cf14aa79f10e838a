"""Facts about a job: a training job, or a task of a workflow."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from argus_contracts.envelope import Data, JobEvent
from argus_contracts.quantities import Count, Integer, Json, Metric, MetricKey, NonNegative, Short, Text


class JobSubmittedData(Data):
    name: Short | None = None
    process: Short | None = None
    tag: Short | None = None
    task_hash: Short | None = None
    native_id: Short | None = None
    executor: Short | None = None
    queue: Short | None = None
    container: Short | None = None
    cpus: NonNegative | None = None
    memory_bytes: Count | None = None
    disk_bytes: Count | None = None
    time_limit_s: NonNegative | None = None
    script: Text | None = None
    work_dir: Short | None = None
    instance_type: Short | None = None
    capacity: Literal["spot", "on-demand"] | None = None


class JobSubmitted(JobEvent):
    """A job waits to be run."""

    kind: Literal["job_submitted"]
    data: JobSubmittedData


class JobStartData(Data):
    name: Short | None = None
    model: Short | None = None
    dataset: Short | None = None
    params: dict[str, Json] = {}
    host: Short | None = None
    pid: Count | None = None
    gpu_indexes: Annotated[list[Count], Field(max_length=1024)] = []
    instance_type: Short | None = None
    capacity: Literal["spot", "on-demand"] | None = None
    cpus: NonNegative | None = None
    """Of its host, for this job: by them attempts that run there at the same time share its price."""
    n_epochs_expected: Count | None = None
    """Gives progress and ETA, with `epoch` of the last point."""
    n_steps_expected: Count | None = None


class JobStart(JobEvent):
    """A job began to run."""

    kind: Literal["job_start"]
    data: JobStartData


class Resources(Data):
    realtime_s: NonNegative | None = None
    cpu_pct: NonNegative | None = None
    peak_rss_bytes: Count | None = None
    read_bytes: Count | None = None
    write_bytes: Count | None = None
    rchar: Count | None = None
    wchar: Count | None = None


class JobEndData(Data):
    elapsed_s: NonNegative | None = None
    exit_code: Integer | None = None
    reason: Text | None = None
    traceback: Text | None = None
    metrics: Annotated[dict[MetricKey, Metric], Field(max_length=1000)] = {}
    """The result of the job: final values, not points of a curve."""
    resources: Resources = Resources()


class JobDone(JobEvent):
    """A job ended well."""

    kind: Literal["job_done"]
    data: JobEndData = JobEndData()


class JobFailed(JobEvent):
    """A job ended with an error."""

    kind: Literal["job_failed"]
    data: JobEndData = JobEndData()


class JobAborted(JobEvent):
    """A job was stopped."""

    kind: Literal["job_aborted"]
    data: JobEndData = JobEndData()


class JobCached(JobEvent):
    """A job did not run: an earlier result was used."""

    kind: Literal["job_cached"]
    data: JobEndData = JobEndData()


class JobIdleData(Data):
    gpu_indexes: Annotated[list[Count], Field(max_length=1024)] = []
    minutes: NonNegative | None = None
    util_pct_max: NonNegative | None = None


class JobIdleFlagged(JobEvent):
    """The GPUs of a job did nothing for longer than the threshold."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["job_idle_flagged"]
    data: JobIdleData


class JobIdleRecovered(JobEvent):
    """The GPUs of a flagged job work again."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["job_idle_recovered"]
    data: JobIdleData
