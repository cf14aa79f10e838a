"""Facts about decisions that people and services took: stop, note, share, rerun, purge, sweep."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from argus_contracts.envelope import BatchEvent, Data
from argus_contracts.quantities import Count, Short, Text


class NoteSavedData(Data):
    text: Text
    revision: Count


class NoteSaved(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["note_saved"]
    data: NoteSavedData


class StopRequestedData(Data):
    reason: Text | None = None
    requested_by: Short | None = None


class StopRequested(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["stop_requested"]
    data: StopRequestedData


class ShareData(Data):
    share_id: Short
    token_sha256: Short | None = None
    expires_at: datetime | None = None


class ShareCreated(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["share_created"]
    data: ShareData


class ShareRevoked(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["share_revoked"]
    data: ShareData


class RerunData(Data):
    rerun_id: Short
    host: Short | None = None
    snapshot_sha256: Short | None = None
    reason: Text | None = None
    new_batch_id: Short | None = None


class RerunRequested(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["rerun_requested"]
    data: RerunData


class RerunRefused(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["rerun_refused"]
    data: RerunData


class RerunStarted(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["rerun_started"]
    data: RerunData


class RerunExpired(BatchEvent):
    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["rerun_expired"]
    data: RerunData


class RunPurgedData(Data):
    purged_by: Short
    counts: dict[str, Count] = {}


class RunPurged(BatchEvent):
    """All traces of the run were erased; this is the tombstone."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["run_purged"]
    data: RunPurgedData


class RetentionSweptData(Data):
    kind: Short
    cutoff: datetime
    rows: Count
    bytes: Count


class RetentionSwept(BatchEvent):
    """Old rows of a kind were dropped. `batch_id` names the sweep."""

    OF_ARGUS: ClassVar[bool] = True
    kind: Literal["retention_swept"]
    data: RetentionSweptData
