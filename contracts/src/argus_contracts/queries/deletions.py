"""Deletions of outputs: what is on its way, the receipt of one, and what one would delete."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from argus_contracts.commands import OwnedRun, Skipped
from argus_contracts.queries.authority import Authority
from argus_contracts.queries.common import Answer, Asked, Question

DeletionState = Literal["requested", "planned", "running", "deleted", "partial", "failed", "cancelled"]
IN_FLIGHT: frozenset[DeletionState] = frozenset({"requested", "planned", "running"})


class ListDeletions(Asked):
    """Those that the viewer has asked for, whosever runs they are about, and those of his own runs that somebody else has asked for:
    all that are in flight, and those asked for in the last 24 hours. The newest first; at most 200: where there are more, those in
    flight are among them."""


class Deletion(BaseModel):
    """A row of the delete-status strip."""

    deletion_id: str
    batch_id: str
    run_name: str
    workspace: str
    owner: str
    """Whose run it is."""
    state: DeletionState
    requested_by: str
    as_user: str | None
    requested_at: datetime
    due_at: datetime | None
    """When the grace time ends."""
    started_at: datetime | None
    ended_at: datetime | None
    location: str | None
    objects: int | None
    """In the manifest; null before it is made."""
    bytes: int | None
    objects_deleted: int
    bytes_freed: int
    n_errors: int
    reason: str | None
    may_cancel: bool
    """It is in its grace time: no object has been touched."""


class DeletionList(Answer):
    items: list[Deletion]
    in_flight: int
    deleted: int
    failed: int
    """Counts over all of them: `failed` counts failed and partial ones, cancelled ones count nowhere."""


class GetDeletion(Asked):
    """By the one who asked for it, the run's owner, or whoever has authority over the run."""

    deletion_id: str
    authority: Authority = Authority()


class DeletionReceipt(Deletion):
    """All that the log knows of one deletion: who, when, as whom, what, with which result."""

    manifest_sha256: str | None
    uploads_aborted: int
    remaining_objects: int | None
    remaining_bytes: int | None
    verified_at: datetime | None
    """When the second listing was made."""
    cancelled_by: str | None
    errors: list[dict[str, Any]]
    history: list[dict[str, Any]]
    """The facts, oldest first: `{kind, occurred_at, position, event_id}`."""


class DeletionAnswer(Answer):
    deletion: DeletionReceipt


class PreviewDeletion(Question):
    """For the deleter, asked by the gateway: what deleting the outputs of these runs would delete if it happened now."""

    runs: Annotated[list[OwnedRun], Field(min_length=1, max_length=1000)]


class PreviewedRun(BaseModel):
    """`skipped` as a deletion would skip it. Else what a listing has found just now; where there was no time to list all of it,
    what was found by then, and `complete` is false."""

    batch_id: str
    location: str | None = None
    skipped: Skipped | None = None
    detail: str | None = None
    objects: int = 0
    bytes: int = 0
    by_storage_class: dict[str, int] = {}
    """Bytes per storage class."""
    versioned: bool = False
    """The bucket keeps versions: all of them, and their delete markers, would go."""
    complete: bool = True


class DeletionPreview(BaseModel):
    """Sums are over the runs that would not be skipped."""

    runs: list[PreviewedRun]
    n_runs: int
    n_skipped: int
    objects: int
    bytes: int
    complete: bool
    grace_s: float
    """How long a deletion waits, and can be cancelled, before it touches anything."""
