"""Whether something of a run goes on, by the order of the log. Pure.

Neither the status tells it, for which a good end is final, though a run may begin again under the same number and write; nor
does any clock, because a run's clock may be wrong, and what it has said may have lain in a spool meanwhile.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import Any

MAX_LATE_JOBS = 1_000


@dataclass(slots=True)
class Activity:
    """Positions in the log; -1: there is none."""

    position: int = -1
    """The last at which the run, or a job of it, has begun or ended."""
    began: int = -1
    ended: int = -1
    """The last of the run itself."""
    late_jobs: list[str] = field(default_factory=list)
    """Have begun since the run ended, and have not ended; ascending. At `MAX_LATE_JOBS` they stay as they are until the run itself
    begins or ends: there may be more."""

    @property
    def is_active(self) -> bool:
        """Something has begun, and neither it nor the run has ended since."""
        return self.began > self.ended or bool(self.late_jobs)

    def add(self, is_start: bool, job_id: str | None, position: int) -> bool:
        """A start or an end (job_id None: of the run) is known now. False: it stands before what is known already, and tells nothing."""
        if position <= self.position:
            return False
        self.position = position
        if job_id is None:
            self.late_jobs = []
            if is_start:
                self.began = position
            else:
                self.ended = position
        elif self.ended > self.began:
            self._add_late(is_start, job_id)
        return True

    def _add_late(self, is_start: bool, job_id: str) -> None:
        if len(self.late_jobs) >= MAX_LATE_JOBS:
            return
        if job_id in self.late_jobs:
            if not is_start:
                self.late_jobs.remove(job_id)
        elif is_start:
            insort(self.late_jobs, job_id)

    def to_json(self) -> list[Any]:
        return [self.position, self.began, self.ended, self.late_jobs]
