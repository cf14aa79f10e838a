"""Facts about a batch (on screen: a run): its start, its environment, its heartbeat and its end."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from argus_contracts.envelope import AnyEvent, BatchEvent, Data
from argus_contracts.quantities import Count, Integer, Json, NonNegative, Short, Text


class BatchStartData(Data):
    name: Short | None = None
    type: Literal["training", "workflow"] = "training"
    project: Short | None = None
    runner: Short | None = None
    labels: Annotated[list[Short], Field(max_length=100)] = []
    tags: dict[str, Short] = {}
    n_jobs_expected: Count | None = None
    params: dict[str, Json] = {}
    config: dict[str, Json] = {}
    output_dir: Short | None = None
    work_dir: Short | None = None
    cluster: Short | None = None
    resume_of: Short | None = None
    session_id: Short | None = None
    heartbeat_interval_s: NonNegative | None = None
    """How often the sender promises to speak. Silence of three intervals shows as disconnected. None: 30 s."""
    host: Short | None = None
    """Where all of it runs, on what, and with how much of it: for jobs that do not say so, or where there are none."""
    instance_type: Short | None = None
    capacity: Literal["spot", "on-demand"] | None = None
    cpus: NonNegative | None = None


class BatchStart(BatchEvent):
    """A batch began, or began again (`attempt` > 1)."""

    kind: Literal["batch_start"]
    data: BatchStartData


class Git(Data):
    remote: Short | None = None
    branch: Short | None = None
    commit: Short | None = None
    dirty: bool | None = None


class GpuInventory(Data):
    index: Count | None = None
    uuid: Short | None = None
    name: Short | None = None
    memory_total_bytes: Count | None = None


class EnvSnapshotData(Data):
    command: Annotated[list[Text], Field(max_length=10_000)] = []
    """argv, secrets redacted at the sender."""
    cwd: Short | None = None
    host: Short | None = None
    user: Short | None = None
    git: Git | None = None
    python: Short | None = None
    packages_digest: Short | None = None
    gpus: Annotated[list[GpuInventory], Field(max_length=1024)] = []
    env_names: Annotated[list[Short], Field(max_length=10_000)] = []
    """Names only, never values."""


class EnvSnapshot(BatchEvent):
    """Where and how the batch was started. The first of an attempt counts."""

    kind: Literal["env_snapshot"]
    data: EnvSnapshotData


class BatchHeartbeatData(Data):
    dropped: dict[str, Count] = {}
    """How many events per retention class the sender had to drop so far in this process (never lifecycle, metrics)."""


class BatchHeartbeat(BatchEvent):
    """The sender was alive."""

    kind: Literal["batch_heartbeat"]
    data: BatchHeartbeatData = BatchHeartbeatData()


class BatchEndData(Data):
    elapsed_s: NonNegative | None = None
    reason: Text | None = None
    error_report: Text | None = None
    exit_code: Integer | None = None
    totals: dict[str, Json] = {}
    dropped: dict[str, Count] = {}


class BatchDone(BatchEvent):
    """The batch ended well."""

    kind: Literal["batch_done"]
    data: BatchEndData = BatchEndData()


class BatchFailed(BatchEvent):
    """The batch ended with an error."""

    kind: Literal["batch_failed"]
    data: BatchEndData = BatchEndData()


class BatchAborted(BatchEvent):
    """Somebody or something stopped the batch: Ctrl-C, SIGTERM, Stop."""

    kind: Literal["batch_aborted"]
    data: BatchEndData = BatchEndData()


class CostRecordedData(Data):
    amount_usd: NonNegative
    basis: Short | None = None


class CostRecorded(AnyEvent):
    """What a batch or job cost, as somebody who knows the bill says. Of several the newest counts.

    Of a batch: all of it. Of a job: its attempt `attempt`, or, where the sender states no `attempt`, all of them.
    """

    kind: Literal["cost_recorded"]
    data: CostRecordedData
