"""What flows while a job runs: metric points, resource snapshots, log lines."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from argus_contracts.envelope import AnyEvent, Data, JobEvent
from argus_contracts.quantities import (
    MAX_METRICS_PER_EVENT,
    Count,
    Metric,
    MetricKey,
    NonNegative,
    Number,
    Percent,
    RetentionClass,
    Short,
    Text,
)


class JobEpochData(Data):
    epoch: Count | None = None
    step: Count | None = None
    """The x of the point; where absent, `epoch` is."""
    metrics: Annotated[dict[MetricKey, Metric], Field(max_length=MAX_METRICS_PER_EVENT)]


class JobEpoch(JobEvent):
    """One point of each named metric."""

    RETENTION: ClassVar[RetentionClass] = "metrics"
    kind: Literal["job_epoch"]
    data: JobEpochData


class GpuSample(Data):
    index: Count
    uuid: Short | None = None
    util_pct: Percent | None = None
    memory_used_bytes: Count | None = None
    memory_total_bytes: Count | None = None
    temperature_c: Number | None = None
    power_w: NonNegative | None = None


class ResourceSnapshotData(Data):
    gpus: Annotated[list[GpuSample], Field(max_length=256)] = []
    """One entry per GPU that the process may see, none for the others."""
    cpu_pct: Percent | None = None
    rss_bytes: Count | None = None
    memory_used_bytes: Count | None = None
    memory_total_bytes: Count | None = None
    disk_free_bytes: Count | None = None
    net_rx_bytes: Count | None = None
    net_tx_bytes: Count | None = None


class ResourceSnapshot(AnyEvent):
    """What the machine did at one moment, for a job or a whole batch."""

    RETENTION: ClassVar[RetentionClass] = "snapshots"
    kind: Literal["resource_snapshot"]
    data: ResourceSnapshotData


class LogLineData(Data):
    line_no: Count | None = None
    """Counts up by one per job and process; gives the order, and makes gaps known."""
    stream: Literal["stdout", "stderr", "log"] = "log"
    level: Short | None = None
    line: Text
    """Text, never markup; cut at 16 KiB by the sender, with a marker."""


class LogLine(AnyEvent):
    """One line of output."""

    RETENTION: ClassVar[RetentionClass] = "log_lines"
    kind: Literal["log_line"]
    data: LogLineData
