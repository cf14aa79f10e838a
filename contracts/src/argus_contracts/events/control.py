"""Facts about decisions that people and services took: stop, note, share, rerun, purge, sweep."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from argus_contracts.envelope import BatchEvent, Data, Event
from argus_contracts.quantities import Count, Short, Text


class NoteSavedData(Data):
    text: Text
    revision: Count


class NoteSaved(BatchEvent):
    kind: Literal["note_saved"]
    data: NoteSavedData


class StopRequestedData(Data):
    reason: Text | None = None
    requested_by: Short | None = None


class StopRequested(BatchEvent):
    kind: Literal["stop_requested"]
    data: StopRequestedData


class ShareData(Data):
    share_id: Short
    token_sha256: Short | None = None
    expires_at: datetime | None = None


class ShareCreated(BatchEvent):
    kind: Literal["share_created"]
    data: ShareData


class ShareRevoked(BatchEvent):
    kind: Literal["share_revoked"]
    data: ShareData


class RerunData(Data):
    rerun_id: Short
    host: Short | None = None
    snapshot_sha256: Short | None = None
    reason: Text | None = None
    new_batch_id: Short | None = None


class RerunRequested(BatchEvent):
    kind: Literal["rerun_requested"]
    data: RerunData


class RerunRefused(BatchEvent):
    kind: Literal["rerun_refused"]
    data: RerunData


class RerunStarted(BatchEvent):
    kind: Literal["rerun_started"]
    data: RerunData


class RerunExpired(BatchEvent):
    kind: Literal["rerun_expired"]
    data: RerunData


class RunPurgedData(Data):
    purged_by: Short
    counts: dict[str, Count] = {}


class RunPurged(BatchEvent):
    """All traces of the run were erased; this is the tombstone."""

    kind: Literal["run_purged"]
    data: RunPurgedData


class RetentionSweptData(Data):
    kind: Short
    cutoff: datetime
    rows: Count
    bytes: Count


class RetentionSwept(BatchEvent):
    """Old rows of a kind were dropped. `batch_id` names the sweep."""

    kind: Literal["retention_swept"]
    data: RetentionSweptData


CONTROL_KINDS: list[type[Event]] = [
    NoteSaved, StopRequested, ShareCreated, ShareRevoked, RerunRequested, RerunRefused, RerunStarted, RerunExpired,
    RunPurged, RetentionSwept,
]  # fmt: skip

FACTS_OF_ARGUS: frozenset[str] = frozenset({
    "outputs_measured", "note_saved", "stop_requested", "share_created", "share_revoked", "rerun_requested",
    "rerun_refused", "rerun_started", "rerun_expired", "outputs_deletion_requested", "outputs_deletion_started",
    "outputs_deletion_progressed", "outputs_deletion_finished", "outputs_deletion_failed", "outputs_deletion_cancelled",
    "run_purged", "retention_swept", "job_idle_flagged", "job_idle_recovered",
})  # fmt: skip
"""Kinds that state a decision of Argus itself. A user's connection may not say them: it would forge a decision."""
