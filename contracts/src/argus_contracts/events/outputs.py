"""Facts about what a run wrote to object storage, and what became of it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from argus_contracts.envelope import BatchEvent, Data
from argus_contracts.quantities import Count, Json, Short, Text


class OutputsMeasuredData(Data):
    bytes: Count
    objects: Count
    by_storage_class: dict[str, Count] = {}
    """Bytes per storage class."""
    lifecycle_position: Count | None = None
    """The log's last position at which the run, or a job of it, had begun or ended, as whoever listed knew it."""


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
    """One deletion of a run's outputs, as far as it is known by then. Bytes and objects are sums over what was confirmed."""

    deletion_id: Short
    requested_by: Short | None = None
    """Who asked for it."""
    as_user: Short | None = None
    """Whose runs an admin asked for; None: his own."""
    location: Short | None = None
    """`s3://bucket/folder/`: nothing outside of it is touched."""
    lifecycle_position: Count | None = None
    """The log's last position at which the run, or a job of it, had begun or ended, when it was asked for."""
    due_at: AwareDatetime | None = None
    """When the grace time ends; until then it can be cancelled."""
    manifest_sha256: Short | None = None
    """Of the manifest's canonical text (docs/deleting.md), stored before the first object is deleted."""
    objects: Count | None = None
    """In the manifest: object versions and delete markers each count as one."""
    bytes: Count | None = None
    """In the manifest."""
    objects_deleted: Count | None = None
    bytes_freed: Count | None = None
    uploads_aborted: Count | None = None
    """Unfinished multipart uploads below the location."""
    remaining_objects: Count | None = None
    """What the second listing, after all deleting, found."""
    remaining_bytes: Count | None = None
    verified_at: AwareDatetime | None = None
    """When the second listing was made."""
    outcome: Literal["deleted", "partial", "failed", "cancelled"] | None = None
    """Of the last fact of a deletion. `deleted`: the second listing was empty."""
    cancelled_by: Short | None = None
    reason: Text | None = None
    """Why it ended otherwise than by an empty second listing, for a person."""
    errors: Annotated[list[Json], Field(max_length=1000)] = []
    """The first of what the object store said about single objects: `{key, version_id, code, message}`."""


class OutputsDeletionRequested(BatchEvent):
    """Somebody who may asked for it. Nothing is deleted before `due_at`."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_requested"]
    data: OutputsDeletionData


class OutputsDeletionPlanned(BatchEvent):
    """The manifest is stored: what is not in it, or has another etag by then, stays."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_planned"]
    data: OutputsDeletionData


class OutputsDeletionStarted(BatchEvent):
    """From now on objects disappear."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_started"]
    data: OutputsDeletionData


class OutputsDeletionProgressed(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_progressed"]
    data: OutputsDeletionData


class OutputsDeletionFinished(BatchEvent):
    """A second listing found nothing."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_finished"]
    data: OutputsDeletionData


class OutputsDeletionFailed(BatchEvent):
    """It ended, and something is left (`outcome` partial) or nothing was deleted (failed)."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_failed"]
    data: OutputsDeletionData


class OutputsDeletionCancelled(BatchEvent):
    """Called off in its grace time: no object was touched."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["outputs_deletion_cancelled"]
    data: OutputsDeletionData
