"""What the log says of a run's outputs: how large they are, and what became of them. Pure.

Argus' own clock decides which listing is newest, whatever attempt a fact names: who lists or deletes a folder knows no attempts.
Whether the run itself has begun or ended since is told by the order of the log (`activity.py`): a listing and a deletion state the
run's `lifecycle_position`, the last at which it had, as whoever made them knew it.
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
    lifecycle_position: int


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
    lifecycle_position: int
    """As it was when it was asked for."""


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

    def project(self, kind: str, event: dict[str, Any], at: int, position: int) -> None:
        """The fact is known now; of other kinds nothing is kept."""
        data: dict[str, Any] = event.get("data") or {}
        if kind in _STATES:
            said = Deletion(at, data["deletion_id"], step_of(kind, event, at), _lifecycle_position(data, position))
            self._project_deletion(said)
            if kind == "outputs_deletion_finished":
                self.finished = at if self.finished is None else max(self.finished, at)
        listed = _listing(kind, data, event, at, position)
        if listed is not None and (self.measured is None or listed[:2] > self.measured[:2]):
            self.measured = listed

    def _project_deletion(self, said: Deletion) -> None:
        known = self.deletions.get(said.deletion_id, said)
        self.deletions[said.deletion_id] = Deletion(
            min(known.first_at, said.first_at), said.deletion_id, max(known.step, said.step),
            min(known.lifecycle_position, said.lifecycle_position),
        )  # fmt: skip

    def deleted_at(self, lifecycle_position: int) -> int | None:
        """When all of them were deleted; None where a later listing has found something, or the run has begun or ended since that
        was asked for, and nobody has listed them since. lifecycle_position: the run's, now."""
        if self.finished is None:
            return None
        if self.measured is not None and self.measured.at > self.finished:
            if self.measured.objects > 0:
                return None
            if self.measured.lifecycle_position >= lifecycle_position:
                return self.finished
        known = [one.lifecycle_position for one in self.deletions.values() if one.step.state == "deleted"]
        return self.finished if max(known, default=-1) >= lifecycle_position else None

    def live(self, deleted_at: int | None) -> Measured | None:
        """The newest listing that still tells something; None where their size is not known. Deleted ones have no bytes."""
        if deleted_at is not None:
            return Measured(deleted_at, "", 0, 0, {}, -1)
        if self.measured is None or (self.finished is not None and self.measured.at <= self.finished):
            return None
        return self.measured

    def known_since(self, lifecycle_position: int) -> bool:
        """They were listed, or deleted, after the run has begun or ended for the last time."""
        is_listed = self.measured is not None and self.measured.lifecycle_position >= lifecycle_position
        return is_listed or self.deleted_at(lifecycle_position) is not None

    def deletion(self) -> Deletion | None:
        """The newest that is on its way, else the newest."""
        return max(self.deletions.values(), key=lambda one: (one.step.state in IN_FLIGHT, one), default=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "measured": None if self.measured is None else list(self.measured),
            "finished": self.finished,
            "deletions": [
                [at, one, list(step), position] for at, one, step, position in sorted(self.deletions.values())
            ],
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> OutputsKnown:
        deletions = [Deletion(at, one, Step(*step), known) for at, one, step, known in raw["deletions"]]
        return cls(
            measured=None if raw["measured"] is None else Measured(*raw["measured"]),
            finished=raw["finished"],
            deletions={one.deletion_id: one for one in deletions},
        )


def _listing(kind: str, data: dict[str, Any], event: dict[str, Any], at: int, position: int) -> Measured | None:
    """A deletion that did not finish ends with a listing, too."""
    known = _lifecycle_position(data, position)
    if kind == "outputs_measured":
        return Measured(
            at, event["event_id"], data["bytes"], data["objects"], data.get("by_storage_class") or {}, known
        )
    left = data.get("remaining_objects")
    if kind != "outputs_deletion_failed" or left is None:
        return None
    return Measured(at, event["event_id"], data.get("remaining_bytes") or 0, left, {}, known)


def _lifecycle_position(data: dict[str, Any], position: int) -> int:
    """As the fact states it; else the fact's own: whoever said it knew nothing that came behind."""
    stated: int | None = data.get("lifecycle_position")
    return position if stated is None else stated


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
