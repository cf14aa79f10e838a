"""Facts about what a run wrote to object storage, and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from argus_contracts.envelope import BatchEvent, Data, Event
from argus_contracts.quantities import Count, Json, Short


class OutputsMeasuredData(Data):
    bytes: Count
    objects: Count
    by_storage_class: dict[str, Count] = {}
    """Bytes per storage class."""


class OutputsMeasured(BatchEvent):
    """The output prefix was listed."""

    kind: Literal["outputs_measured"]
    data: OutputsMeasuredData


class ReportPublishedData(Data):
    name: Short
    path: Short
    mime_type: Short | None = None
    bytes: Count | None = None


class ReportPublished(BatchEvent):
    """A report file of the run can be read."""

    kind: Literal["report_published"]
    data: ReportPublishedData


class OutputsDeletionData(Data):
    deletion_id: Short
    requested_by: Short | None = None
    manifest_sha256: Short | None = None
    objects: Count | None = None
    bytes: Count | None = None
    bytes_freed: Count | None = None
    errors: Annotated[list[Json], Field(max_length=1000)] = []


class OutputsDeletionRequested(BatchEvent):
    kind: Literal["outputs_deletion_requested"]
    data: OutputsDeletionData


class OutputsDeletionStarted(BatchEvent):
    kind: Literal["outputs_deletion_started"]
    data: OutputsDeletionData


class OutputsDeletionProgressed(BatchEvent):
    kind: Literal["outputs_deletion_progressed"]
    data: OutputsDeletionData


class OutputsDeletionFinished(BatchEvent):
    kind: Literal["outputs_deletion_finished"]
    data: OutputsDeletionData


class OutputsDeletionFailed(BatchEvent):
    kind: Literal["outputs_deletion_failed"]
    data: OutputsDeletionData


class OutputsDeletionCancelled(BatchEvent):
    kind: Literal["outputs_deletion_cancelled"]
    data: OutputsDeletionData


OUTPUT_KINDS: list[type[Event]] = [
    OutputsMeasured, ReportPublished, OutputsDeletionRequested, OutputsDeletionStarted, OutputsDeletionProgressed,
    OutputsDeletionFinished, OutputsDeletionFailed, OutputsDeletionCancelled,
]  # fmt: skip
