"""Requests that the service which owns them may refuse; durable on `ARGUS_COMMANDS`, answered with a `Decision`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from argus_contracts.quantities import BatchId, Count, Short, Text


class Command(BaseModel):
    """`command_id` makes a repeat harmless. `requested_by` is set by the gateway from the session or key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command_id: UUID
    requested_by: Short
    as_user: Short | None = None
    """Whose rights an admin uses it for; None: his own."""
    requested_at: AwareDatetime


class StopRun(Command):
    batch_id: BatchId
    reason: Text | None = None


class SaveNote(Command):
    batch_id: BatchId
    text: Text
    revision: Count


class RerunRun(Command):
    batch_id: BatchId
    rerun_id: UUID


class CreateShare(Command):
    batch_id: BatchId
    expires_at: datetime


class RevokeShare(Command):
    batch_id: BatchId
    share_id: Short


class OwnedRun(BaseModel):
    """A run, and whose it is by the read models: the gateway has checked `requested_by`'s rights on that."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    batch_id: BatchId
    workspace: Short
    user: Short


class DeleteOutputs(Command):
    """For the deleter (verb `delete`). Decided run by run: `Decision.results`."""

    runs: Annotated[list[OwnedRun], Field(min_length=1, max_length=1000)]


def deletion_id_of(command_id: UUID, batch_id: str) -> str:
    """Of the deletion that a `DeleteOutputs` begins for this run, where it begins one: known before it is decided."""
    return str(uuid5(command_id, batch_id))


class CancelOutputsDeletion(Command):
    """For the deleter (verb `cancel`)."""

    deletion_id: Short
    run: OwnedRun


class MeasureOutputs(Command):
    """For the deleter (verb `measure`): list the outputs again."""

    runs: Annotated[list[OwnedRun], Field(min_length=1, max_length=1000)]


class PurgeRuns(Command):
    batch_ids: Annotated[list[BatchId], Field(min_length=1, max_length=1000)]


Skipped = Literal[
    "not_found", "not_terminal", "no_output_dir", "already_deleted", "in_flight", "refused", "too_late", "unavailable"
]
"""Why a run is left alone. `not_found`: it does not exist, or is not the asker's to delete; `in_flight`: a deletion is on its way
(`deletion_id` says which); `refused`: its location is strange or shared, `detail` says how; `too_late`: cannot be cancelled any more."""


class RunDecision(BaseModel):
    """What becomes of one run of a command: taken (then `deletion_id`, where it is a deletion), or `skipped`."""

    batch_id: BatchId
    deletion_id: Short | None = None
    due_at: datetime | None = None
    skipped: Skipped | None = None
    detail: Text | None = None


class Decision(BaseModel):
    """What became of a command. `queued`: its service is away; the decision comes later under the same id."""

    command_id: UUID
    outcome: Literal["accepted", "refused", "queued"]
    reason: Text | None = None
    position: Count | None = None
    """Where in the log the first fact about the decision stands."""
    results: list[RunDecision] = []
    """By run, in the order of the command."""
