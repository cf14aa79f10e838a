"""Requests that the service which owns them may refuse; durable on `ARGUS_COMMANDS`, answered with a `Decision`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from argus_contracts.quantities import BatchId, Count, Short, Text


class Command(BaseModel):
    """`command_id` makes a repeat harmless. `requested_by` is set by the gateway from the session or key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command_id: UUID
    workspace: Short
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


class DeleteOutputs(Command):
    batch_ids: Annotated[list[BatchId], Field(min_length=1, max_length=1000)]
    manifest_sha256: Short | None = None


class CancelOutputsDeletion(Command):
    deletion_id: Short


class PurgeRuns(Command):
    batch_ids: Annotated[list[BatchId], Field(min_length=1, max_length=1000)]


class Decision(BaseModel):
    """What became of a command. `queued`: its service is away; the decision comes later under the same id."""

    command_id: UUID
    outcome: Literal["accepted", "refused", "queued"]
    reason: Text | None = None
    position: Count | None = None
    """Where in the log the first fact about the decision stands."""
