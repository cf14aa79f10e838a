"""What Argus has decided about one run's outputs: the aggregate, and the rules for each decision. No input or output.

States of a deletion: requested -> planned -> running -> deleted | partial | failed; cancelled instead of planned or running.
A run may have several over its life, one after the other. Two who decide at the same time both add the event with the
same number, and only one of them can be stored: that is why a double click is one deletion.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID, uuid5

from eventsourcing.domain import Aggregate

from argus_contracts.commands import RunDecision
from argus_contracts.queries.deletions import IN_FLIGHT, DeletionState
from argus_contracts.queries.outputs import Outputs

_RUNS = UUID("6f0f8f0a-4f0e-5d3b-9a3a-6d1f5a6f2b11")
Outcome = Literal["deleted", "partial", "failed"]


def aggregate_id(batch_id: str) -> UUID:
    return uuid5(_RUNS, batch_id)


class OutputDeletion(Aggregate):
    """Of one run. `data` of an event is what the fact of the same kind says (`contracts/events/outputs.py`)."""

    TOPIC = "output_deletion"

    class Event(Aggregate.Event): ...

    class Created(Aggregate.Created):
        """Something is decided about this run for the first time. No fact."""

        TOPIC = "outputs_opened"
        batch_id: str
        workspace: str
        user: str

    class Requested(Event):
        TOPIC = "outputs_deletion_requested"
        data: dict[str, Any]

        def apply(self, aggregate: Any) -> None:
            data = self.data
            aggregate.deletion_id, aggregate.state = data["deletion_id"], "requested"
            aggregate.location = data["location"]
            aggregate.due_at = datetime.fromisoformat(data["due_at"])
            aggregate.requested_by = data["requested_by"]
            aggregate.lifecycle_position = data.get("lifecycle_position")
            aggregate.ended_at = None

    class Planned(Event):
        TOPIC = "outputs_deletion_planned"
        data: dict[str, Any]

        def apply(self, aggregate: Any) -> None:
            aggregate.state, aggregate.planned = "planned", self.data

    class Started(Event):
        TOPIC = "outputs_deletion_started"
        data: dict[str, Any]

        def apply(self, aggregate: Any) -> None:
            aggregate.state, aggregate.started_at = "running", self.timestamp

    class Progressed(Event):
        TOPIC = "outputs_deletion_progressed"
        data: dict[str, Any]

    class Finished(Event):
        TOPIC = "outputs_deletion_finished"
        data: dict[str, Any]

        def apply(self, aggregate: Any) -> None:
            aggregate.state, aggregate.ended_at = self.data["outcome"], self.timestamp

    class Failed(Finished):
        TOPIC = "outputs_deletion_failed"

    class Cancelled(Finished):
        TOPIC = "outputs_deletion_cancelled"

    class Measured(Event):
        TOPIC = "outputs_measured"
        data: dict[str, Any]

    def __init__(self, batch_id: str, workspace: str, user: str) -> None:
        self.batch_id, self.workspace, self.user = batch_id, workspace, user
        self.state: DeletionState | None = None
        self.deletion_id: str | None = None
        self.location = self.requested_by = ""
        self.due_at = self.started_at = self.ended_at = cast("datetime | None", None)
        self.lifecycle_position: int | None = None
        """Of the run as it was asked for; None: by a version that did not write it down."""
        self.planned: dict[str, Any] = {}

    @classmethod
    def open(cls, batch_id: str, workspace: str, user: str) -> OutputDeletion:
        return cls._create(cls.Created, id=aggregate_id(batch_id), batch_id=batch_id, workspace=workspace, user=user)

    @property
    def in_flight(self) -> bool:
        return self.state in IN_FLIGHT

    def why_not_again(self, found: Outputs) -> RunDecision | None:
        """Why no deletion may begin now; None: nothing of ours speaks against it. What was deleted is deleted still, unless the
        run itself has been heard since, or a later listing has found something."""
        if self.in_flight:
            return self.in_flight_already()
        listed_at = found.measured_at if found.objects else None
        newest = found.last_seen_at if listed_at is None else max(found.last_seen_at, listed_at)
        if self.state == "deleted" and self.ended_at is not None and newest <= self.ended_at:
            return RunDecision(batch_id=self.batch_id, skipped="already_deleted")
        return None

    def in_flight_already(self) -> RunDecision:
        return RunDecision(
            batch_id=self.batch_id, skipped="in_flight", deletion_id=self.deletion_id, due_at=self.due_at
        )

    def request(
        self, deletion_id: str, location: str, *, requested_by: str, as_user: str | None, lifecycle_position: int,
        now: datetime, grace_s: float,
    ) -> RunDecision:  # fmt: skip
        """It is asked for, and touches nothing for `grace_s` seconds. lifecycle_position: as in `Outputs`; whatever of the run begins or
        ends behind it ends the deletion."""
        assert not self.in_flight
        due_at = now + timedelta(seconds=grace_s)
        said = {
            "deletion_id": deletion_id, "requested_by": requested_by, "as_user": as_user, "location": location,
            "due_at": due_at.isoformat(), "lifecycle_position": lifecycle_position,
        }  # fmt: skip
        self.trigger_event(self.Requested, data=_without_none(said), timestamp=now)
        return RunDecision(batch_id=self.batch_id, deletion_id=deletion_id, due_at=due_at)

    def cancel(self, deletion_id: str, cancelled_by: str) -> RunDecision:
        """It is called off, where no object has been touched yet; once called off it stays so."""
        decision = RunDecision(batch_id=self.batch_id, deletion_id=deletion_id)
        if deletion_id != self.deletion_id:
            return decision.model_copy(update={"skipped": "too_late", "detail": "it has ended"})
        if self.state == "cancelled":
            return decision
        if self.state not in ("requested", "planned"):
            detail = "objects are being deleted" if self.state == "running" else "it has ended"
            return decision.model_copy(update={"skipped": "too_late", "detail": detail})
        self.trigger_event(
            self.Cancelled,
            data={"deletion_id": deletion_id, "outcome": "cancelled", "cancelled_by": cancelled_by},
        )
        return decision

    def plan(self, manifest_sha256: str, objects: int, n_bytes: int) -> None:
        """The manifest is stored."""
        assert self.state == "requested"
        said = {"manifest_sha256": manifest_sha256, "objects": objects, "bytes": n_bytes}
        self.trigger_event(self.Planned, data={"deletion_id": self.deletion_id, **said})

    def start(self) -> None:
        """From now on objects disappear."""
        assert self.state == "planned"
        self.trigger_event(self.Started, data={**self.planned})

    def progress(self, objects_deleted: int, bytes_freed: int) -> None:
        assert self.state == "running"
        said = {"objects_deleted": objects_deleted, "bytes_freed": bytes_freed}
        self.trigger_event(self.Progressed, data={**self.planned, **said})

    def end(self, outcome: Outcome, said: dict[str, Any]) -> None:
        """said: the fact's other fields."""
        assert self.in_flight
        event = self.Finished if outcome == "deleted" else self.Failed
        whole = {
            "deletion_id": self.deletion_id, **self.planned, "outcome": outcome, "lifecycle_position": self.lifecycle_position, **said
        }  # fmt: skip
        self.trigger_event(event, data=_without_none(whole))

    def measured(self, n_bytes: int, objects: int, by_storage_class: dict[str, int], lifecycle_position: int) -> None:
        """Its folder was listed. lifecycle_position: of the run, as it was known before."""
        assert not self.in_flight
        said = {
            "bytes": n_bytes, "objects": objects, "by_storage_class": by_storage_class, "lifecycle_position": max(0, lifecycle_position)
        }  # fmt: skip
        self.trigger_event(self.Measured, data=said)


def _without_none(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if value is not None}
