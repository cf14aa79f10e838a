"""What the log says of a run's outputs: how large they are, and what became of them. Pure.

Argus' own clock decides what is newest, whatever attempt a fact names: who lists or deletes a folder knows no attempts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from argus_contracts.queries.deletions import IN_FLIGHT, DeletionState

_STATES: dict[str, tuple[int, DeletionState]] = {
    "outputs_deletion_requested": (0, "requested"), "outputs_deletion_planned": (1, "planned"),
    "outputs_deletion_started": (2, "running"), "outputs_deletion_progressed": (2, "running"),
    "outputs_deletion_finished": (3, "deleted"), "outputs_deletion_failed": (3, "failed"),
    "outputs_deletion_cancelled": (3, "cancelled"),
}  # fmt: skip
"""How far a deletion is when it says so, and its state then: a state is never left for an earlier one."""


class Measured(NamedTuple):
    """One listing. `at`: microseconds since 1970, as all times here."""

    at: int
    event_id: str
    bytes: int
    objects: int
    by_storage_class: dict[str, int]


class Step(NamedTuple):
    """The furthest that a deletion has come."""

    stage: int
    at: int
    event_id: str
    state: DeletionState


class Deletion(NamedTuple):
    first_at: int
    """When it was first heard of: mostly, when it was asked for."""
    deletion_id: str
    step: Step


@dataclass(slots=True)
class OutputsKnown:
    """All that lists, the dashboard and the deleter need of a run's outputs. The newest fact counts, in whatever order they come."""

    measured: Measured | None = None
    finished: int | None = None
    """When a deletion last left nothing."""
    deletions: dict[str, Deletion] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        return self.measured is not None or bool(self.deletions)

    def project(self, kind: str, event: dict[str, Any], at: int) -> None:
        """The fact is known now; of other kinds nothing is kept."""
        data: dict[str, Any] = event.get("data") or {}
        if kind == "outputs_measured":
            said = Measured(at, event["event_id"], data["bytes"], data["objects"], data.get("by_storage_class") or {})
            if self.measured is None or said[:2] > self.measured[:2]:
                self.measured = said
        elif kind in _STATES:
            self._project_deletion(Deletion(at, data["deletion_id"], step_of(kind, event, at)))
            if kind == "outputs_deletion_finished":
                self.finished = at if self.finished is None else max(self.finished, at)

    def _project_deletion(self, said: Deletion) -> None:
        known = self.deletions.get(said.deletion_id, said)
        first_at, step = min(known.first_at, said.first_at), max(known.step, said.step)
        self.deletions[said.deletion_id] = Deletion(first_at, said.deletion_id, step)

    def deleted_at(self, last_start: int | None) -> int | None:
        """When all of them were deleted; None where the run has begun anew since, or a later listing has found something."""
        if self.finished is None or (last_start is not None and last_start > self.finished):
            return None
        if self.measured is not None and self.measured.at > self.finished and self.measured.bytes > 0:
            return None
        return self.finished

    def live(self, last_start: int | None) -> Measured | None:
        """The newest listing that still tells something; None where their size is not known. Deleted ones have no bytes."""
        deleted_at = self.deleted_at(last_start)
        if deleted_at is not None:
            return Measured(deleted_at, "", 0, 0, {})
        if self.measured is None or (self.finished is not None and self.measured.at <= self.finished):
            return None
        return self.measured

    def known_since(self, at: int) -> bool:
        """They were listed at `at` or later; a deletion ends with a listing, too."""
        return (self.measured is not None and self.measured.at >= at) or (
            self.finished is not None and self.finished >= at
        )

    def deletion(self) -> Deletion | None:
        """The newest that is on its way, else the newest."""
        return max(self.deletions.values(), key=lambda one: (one.step.state in IN_FLIGHT, one), default=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "measured": None if self.measured is None else list(self.measured),
            "finished": self.finished,
            "deletions": [[at, deletion_id, list(step)] for at, deletion_id, step in sorted(self.deletions.values())],
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> OutputsKnown:
        deletions = [Deletion(at, deletion_id, Step(*step)) for at, deletion_id, step in raw["deletions"]]
        return cls(
            measured=None if raw["measured"] is None else Measured(*raw["measured"]),
            finished=raw["finished"],
            deletions={one.deletion_id: one for one in deletions},
        )


def is_about_a_deletion(kind: str) -> bool:
    return kind in _STATES


def is_about_outputs(kind: str) -> bool:
    return kind in _STATES or kind == "outputs_measured"


def step_of(kind: str, event: dict[str, Any], at: int) -> Step:
    """How far the deletion is by this fact."""
    stage, state = _STATES[kind]
    if kind == "outputs_deletion_failed" and (event.get("data") or {}).get("outcome") == "partial":
        state = "partial"
    return Step(stage, at, event["event_id"], state)
