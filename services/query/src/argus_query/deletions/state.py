"""What is remembered of one deletion, and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from argus_contracts.queries.deletions import IN_FLIGHT
from argus_query.facts import Field, iso, state_field
from argus_query.runs.outputs import Step, step_of

MAX_PROGRESS = 100
"""So many of the facts that only tell of progress are in the history: the newest."""
_PROGRESSED = "outputs_deletion_progressed"
_FIELDS = frozenset((
    "requested_by", "as_user", "location", "due_at", "manifest_sha256", "objects", "bytes", "objects_deleted",
    "bytes_freed", "uploads_aborted", "remaining_objects", "remaining_bytes", "verified_at", "cancelled_by", "reason",
    "errors",
))  # fmt: skip
HistoryEntry = list[Any]
"""`[microseconds since 1970, event_id, kind, position]`"""


@dataclass(slots=True)
class DeletionKnown:
    """One deletion of one run's outputs. It never goes back: of what two facts say, that of the later stage counts."""

    deletion_id: str
    batch_id: str
    workspace: str
    owner: str
    step: Step | None = None
    fields: dict[str, Field] = field(default_factory=dict)
    facts: list[HistoryEntry] = field(default_factory=list)
    progress: list[HistoryEntry] = field(default_factory=list)

    def project_event(self, event: dict[str, Any], at: int, position: int) -> None:
        kind: str = event["kind"]
        step = step_of(kind, event, at)
        self.step = step if self.step is None else max(self.step, step)
        rank = f"{step.stage}.{at:017d}.{step.event_id}"
        for name, value in (event.get("data") or {}).items():
            if name in _FIELDS:
                state_field(self.fields, name, rank, value)
        entry: HistoryEntry = [at, event["event_id"], kind, position]
        if kind == _PROGRESSED:
            self.progress = sorted([*self.progress, entry])[-MAX_PROGRESS:]
        else:
            self.facts = sorted([*self.facts, entry])

    def get(self, name: str) -> Any:
        known = self.fields.get(name)
        return None if known is None else known[1]

    @property
    def requested_at(self) -> int:
        """Of the request itself; of the first fact, while that one has not come."""
        return self._first_at("outputs_deletion_requested") or min((*self.facts, *self.progress))[0]

    @property
    def started_at(self) -> int | None:
        return self._first_at("outputs_deletion_started")

    @property
    def ended_at(self) -> int | None:
        step = self.step
        return None if step is None or step.state in IN_FLIGHT else step.at

    def _first_at(self, kind: str) -> int | None:
        return next((entry[0] for entry in self.facts if entry[2] == kind), None)

    def row(self) -> tuple[Any, ...]:
        """Its row in `deletions`, but for what is remembered."""
        assert self.step is not None, "it is there because of a fact"
        return (
            self.batch_id, self.deletion_id, self.workspace, self.owner, self.get("requested_by") or "",
            iso(self.requested_at), self.step.state, self.step.state in IN_FLIGHT,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        return {
            "step": None if self.step is None else list(self.step),
            "fields": self.fields,
            "facts": self.facts,
            "progress": self.progress,
        }

    @classmethod
    def from_json(
        cls, deletion_id: str, batch_id: str, workspace: str, owner: str, raw: dict[str, Any]
    ) -> DeletionKnown:
        step = None if raw["step"] is None else Step(*raw["step"])
        return cls(deletion_id, batch_id, workspace, owner, step, raw["fields"], raw["facts"], raw["progress"])
