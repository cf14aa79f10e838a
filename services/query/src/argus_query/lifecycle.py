"""The status of a run or job, derived from facts. Pure; the order in which facts arrive does not matter.

The rules:
- the highest attempt that was heard of wins; facts of earlier attempts tell nothing any more;
- within an attempt a good end (done, cached) is final, the earliest by (occurred_at, event_id);
- else the earliest failed or aborted end counts, unless a start of the same attempt happened after it (senders that
  do not number their attempts resume that way);
- no event of an ended attempt that merely arrives late reopens anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from argus_contracts.registry import FACTS_OF_ARGUS

Role = Literal["queued", "start", "good_end", "bad_end"]
Base = Literal["queued", "running", "succeeded", "failed", "aborted", "cached"]

MAX_BAD_ENDS = 16
_ROLES: dict[str, Role] = {
    "batch_start": "start", "batch_done": "good_end", "batch_failed": "bad_end", "batch_aborted": "bad_end",
    "job_submitted": "queued", "job_start": "start", "job_done": "good_end", "job_cached": "good_end",
    "job_failed": "bad_end", "job_aborted": "bad_end",
}  # fmt: skip
_STATUS: dict[str, Base] = {
    "batch_done": "succeeded", "batch_failed": "failed", "batch_aborted": "aborted", "job_done": "succeeded",
    "job_cached": "cached", "job_failed": "failed", "job_aborted": "aborted",
}  # fmt: skip
_SAID_FROM_OUTSIDE = FACTS_OF_ARGUS | {"cost_recorded"}
TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "aborted", "cached"})
OPEN: frozenset[str] = frozenset({"queued", "running"})


class Fact(NamedTuple):
    """One lifecycle event. `at`: occurred_at in microseconds; `data` only of ends."""

    event_id: str
    kind: str
    attempt: int
    at: int
    position: int
    data: dict[str, Any]

    @property
    def order(self) -> tuple[int, str]:
        return (self.at, self.event_id)

    def to_json(self) -> list[Any]:
        return list(self)


@dataclass(slots=True)
class Lifecycle:
    """What is known of the highest attempt. `heard`: something of this attempt came that is no start and no end."""

    attempt: int = 0
    heard: bool = False
    queued: Fact | None = None
    first_start: Fact | None = None
    last_start: Fact | None = None
    good_end: Fact | None = None
    bad_ends: list[Fact] = field(default_factory=list)
    """Not before the last start; ascending; the first 16."""

    def hear(self, attempt: int) -> bool:
        """A sign of life in `attempt`. True: this told something new."""
        if attempt < self.attempt or (attempt == self.attempt and self.heard):
            return False
        self._reach(attempt)
        self.heard = True
        return True

    def add(self, fact: Fact) -> bool:
        """`fact` is known now. True: it counts, or may count later."""
        role = _ROLES[fact.kind]
        if fact.attempt < self.attempt:
            return False
        self._reach(fact.attempt)
        if role == "queued":
            if self.queued is None or fact.order < self.queued.order:
                self.queued = fact
        elif role == "start":
            if self.first_start is None or fact.order < self.first_start.order:
                self.first_start = fact
            if self.last_start is None or fact.order > self.last_start.order:
                self.last_start = fact
                self.bad_ends = [end for end in self.bad_ends if end.at >= fact.at]
        elif role == "good_end":
            if self.good_end is None or fact.order < self.good_end.order:
                self.good_end = fact
        elif self.last_start is None or fact.at >= self.last_start.at:
            self.bad_ends = sorted([*self.bad_ends, fact], key=lambda end: end.order)[:MAX_BAD_ENDS]
        return True

    def _reach(self, attempt: int) -> None:
        if attempt > self.attempt:
            self.attempt, self.heard = attempt, False
            self.queued = self.first_start = self.last_start = self.good_end = None
            self.bad_ends = []

    def end(self) -> Fact | None:
        """The end that counts."""
        return self.good_end or (self.bad_ends[0] if self.bad_ends else None)

    def status(self) -> Base:
        end = self.end()
        if end is not None:
            return _STATUS[end.kind]
        return "running" if self.last_start is not None or self.heard else "queued"

    def because(self) -> list[Fact]:
        """The facts that led to the status, in the order of their time."""
        facts = [self.last_start or self.queued, self.end()]
        return [fact for fact in facts if fact is not None]

    def to_json(self) -> dict[str, Any]:
        return {
            "attempt": self.attempt,
            "heard": self.heard,
            "queued": _json(self.queued),
            "first_start": _json(self.first_start),
            "last_start": _json(self.last_start),
            "good_end": _json(self.good_end),
            "bad_ends": [end.to_json() for end in self.bad_ends],
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Lifecycle:
        return cls(
            attempt=raw["attempt"],
            heard=raw["heard"],
            queued=_fact(raw["queued"]),
            first_start=_fact(raw["first_start"]),
            last_start=_fact(raw["last_start"]),
            good_end=_fact(raw["good_end"]),
            bad_ends=[Fact(*end) for end in raw["bad_ends"]],
        )


class JobView(NamedTuple):
    """The status of a job with its batch in sight. `end`: the fact that ended it, of the job or of the batch."""

    status: Base
    since: int | None
    end: Fact | None
    because: list[Fact]


def job_view(job: Lifecycle, batch: Lifecycle) -> JobView:
    """A job that is still open under an ended batch, or whose attempt was left behind by a newer one, was aborted."""
    status, because = job.status(), job.because()
    end = job.end()
    if status in OPEN:
        batch_end = batch.end()
        if batch_end is not None and batch.attempt >= job.attempt:
            status, end = "aborted", batch_end
            because = [*because, batch_end]
        elif status == "running" and batch.attempt > job.attempt and batch.first_start is not None:
            status, end = "aborted", batch.first_start
            because = [*because, batch.first_start]
    since = because[-1].at if because else None
    return JobView(status, since, end, because)


def lifecycle_of(facts: Iterable[Fact]) -> Lifecycle:
    lifecycle = Lifecycle()
    for fact in facts:
        lifecycle.add(fact)
    return lifecycle


def is_lifecycle_kind(kind: str) -> bool:
    return kind in _ROLES


def is_start(kind: str) -> bool:
    """Of a lifecycle kind: something begins, or waits to."""
    return _ROLES[kind] in ("start", "queued")


def is_sign_of_life(kind: str) -> bool:
    """The run itself said it: not a decision of Argus, not a bill that came later."""
    return kind not in _SAID_FROM_OUTSIDE


def _json(fact: Fact | None) -> list[Any] | None:
    return None if fact is None else fact.to_json()


def _fact(raw: list[Any] | None) -> Fact | None:
    return None if raw is None else Fact(*raw)
