"""What a live view needs: the events of some topics behind a position, and how far everything is."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

from argus_contracts.queries.common import Answer, Asked, Question


class Replay(Asked):
    """Events behind log position `since` that the topics name, in log order.

    Topics: `dashboard` (starts, ends and status of all visible runs), `batch:<batch_id>` (the same for the run and its
    jobs, and the metric points of its jobs), `log:<batch_id>` (the log lines of the run and of all its jobs),
    `job:<batch_id>/<job_id>` (all of this job and the run's own facts).
    A topic that the viewer may not see is left out and named in `refused`.
    """

    topics: Annotated[list[str], Field(min_length=1, max_length=50)]
    since: int
    limit: Annotated[int, Field(ge=1, le=5000)] = 2000


class LiveEvent(BaseModel):
    """An event as it stands in the log."""

    topic: str
    position: int
    kind: str
    batch_id: str
    job_id: str | None
    attempt: int
    occurred_at: str
    data: dict[str, Any]


class Replayed(Answer):
    """`position`: everything of the topics up to here is in `events` or was before; ask again from it."""

    events: list[LiveEvent]
    more: bool
    """True: there is more behind `position` already."""
    reset: bool
    """True: `since` is too long ago (or ahead of the log) to replay; fetch the page anew and go on from `position`."""
    refused: list[str]


class GetPosition(Question):
    """How far the log and the read models are. Asked by the gateway itself, for nobody in particular."""


class Positions(BaseModel):
    log: int
    projected: int
    lag_events: int
    lag_seconds: float


class HostSummary(BaseModel):
    """A machine that runs reported from."""

    workspace: str
    host: str
    last_seen_at: str
    gpus: list[dict[str, Any]]
    cpu_pct: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    running_jobs: int


class ListHosts(Asked):
    """All visible hosts, the last seen first; at most 500."""


class HostList(Answer):
    items: list[HostSummary]
