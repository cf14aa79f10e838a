"""Facts about what a run wrote to object storage, and what became of it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from argus_contracts.envelope import BatchEvent, Data
from argus_contracts.quantities import Count, Json, Short


class OutputsMeasuredData(Data):
    bytes: Count
    objects: Count
    by_storage_class: dict[str, Count] = {}
    """Bytes per storage class."""


class OutputsMeasured(BatchEvent):
    """The output prefix was listed."""

    OF_ARGUS: ClassVar[bool] = True
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
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_requested"]
    data: OutputsDeletionData


class OutputsDeletionStarted(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_started"]
    data: OutputsDeletionData


class OutputsDeletionProgressed(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_progressed"]
    data: OutputsDeletionData


class OutputsDeletionFinished(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_finished"]
    data: OutputsDeletionData


class OutputsDeletionFailed(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_failed"]
    data: OutputsDeletionData


class OutputsDeletionCancelled(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_cancelled"]
    data: OutputsDeletionData
