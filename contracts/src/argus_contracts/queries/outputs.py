"""What is known of runs' outputs: for the rights of who wants to delete them, for the deleter, and for who asks by address."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from argus_contracts.queries.common import Answer, Asked, RunStatus
from argus_contracts.queries.dashboard import StorageRates


class GetOutputs(Asked):
    """Of these runs; those that do not exist, or that the viewer may not see, are not in the answer."""

    batch_ids: Annotated[list[str], Field(min_length=1, max_length=1000)]


class Outputs(BaseModel):
    """A run as whoever would delete its outputs must know it. All from facts in the log up to the answer's `position`."""

    batch_id: str
    name: str
    workspace: str
    user: str
    cluster: str | None
    status: RunStatus
    ended_at: datetime | None
    lifecycle_position: int
    """The log's last position at which the run, or a job of it, has begun or ended; -1: it never has, or has no output folder."""
    is_active: bool
    """The run, or a job of it, has begun and not ended since: something may be written still, whatever the status says of earlier ends."""
    last_seen_at: datetime
    """Argus' clock at the last event that the run itself has sent."""
    output_dir: str | None
    """As the run has said it: nobody has checked it."""
    bytes: int | None
    """By the newest listing; null: never listed."""
    objects: int | None
    measured_at: datetime | None
    deleted_at: datetime | None
    """When all outputs were deleted, where the run has neither begun nor ended since, and no later listing has found any."""
    deletion_id: str | None
    """Of the deletion that is on its way."""


class OutputsAnswer(Answer):
    items: list[Outputs]
    rates: StorageRates


class FindOutputs(Asked):
    """Runs whose output or work folder overlaps `location` (`s3://bucket/folder/`): is it, lies in it, or has it inside.

    Of those the viewer may see. All that a run has ever named counts, but its present outputs where they were deleted. At most 100.
    """

    location: str
    workspace: str | None = None
    user: str | None = None
    """Both, or neither: only runs of this user in this workspace."""
    but_for: str | None = None
    """A run that does not count."""


class OutputsThere(BaseModel):
    batch_id: str
    name: str
    workspace: str
    user: str
    status: RunStatus
    folder: str
    """`s3://bucket/folder/`, as it overlaps."""
    is_work_dir: bool
    bytes: int | None


class OutputsThereAnswer(Answer):
    items: list[OutputsThere]


class ListUnmeasured(Asked):
    """Runs that have ended, have an `output_dir` of the form `s3://…`, and were not listed since their (last) end: the longest
    waiting first. A deletion that has finished is a listing, too."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    behind: str | None = None
    """`cursor` of the last run of an earlier answer: those behind it."""


class Unmeasured(BaseModel):
    cursor: str
    batch_id: str
    workspace: str
    output_dir: str
    ended_at: datetime
    lifecycle_position: int
    """As in `Outputs`."""


class UnmeasuredList(Answer):
    items: list[Unmeasured]
