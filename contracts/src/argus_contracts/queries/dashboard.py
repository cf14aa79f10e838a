"""The cost and cleanup dashboard: runs that have ended, what they cost, and what their outputs hold."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from argus_contracts.queries.authority import Authority
from argus_contracts.queries.common import Answer, Asked
from argus_contracts.queries.deletions import DeletionState

GIB = 2**30
SIZE_LIMITS: dict[str, int] = {"over_1_gib": GIB, "over_100_gib": 100 * GIB, "over_1_tib": 1024 * GIB}
"""Bytes that the live outputs of a run must exceed."""
DashboardSize = Literal["over_1_gib", "over_100_gib", "over_1_tib"]
DashboardSort = Literal["newest", "oldest", "largest", "smallest", "name", "name_desc"]


class DashboardQuestion(Asked):
    """Which runs a section is about: terminal ones (succeeded, failed, aborted) that started in the time window, of `user`.

    Runs of others than the viewer only where `authority` covers them. Never outside of what the viewer may see.
    """

    authority: Authority = Authority()
    user: str | None = None
    """None: of everybody whom `authority` covers, and the viewer's own."""
    cluster: str | None = None
    names: Annotated[list[str], Field(max_length=1000)] = []
    """Not empty: exactly the runs with these names or ids, whatever the other filters say, of the viewer and of those whom
    `authority` covers."""
    days: Literal[7, 30, 90] | None = 30
    """Today and the days before it, in UTC: 7 days are today and 6 more. None: all time."""
    status: Literal["succeeded", "failed"] | None = None
    """`failed` has the aborted ones, too."""
    label: str | None = None
    size: DashboardSize | None = None
    search: str | None = None
    """A substring of name, id, output folder, project or a label; letter case does not matter; `%` and `_` mean themselves."""


class StorageRates(BaseModel):
    """USD for a GB (2^30 bytes) and year in the coldest and the warmest tier that answers at once, and in between."""

    min_usd: float
    infrequent_usd: float
    max_usd: float


class GetDashboardSummary(DashboardQuestion):
    pass


class DashboardSummary(Answer):
    n_runs: int
    n_failed: int
    """Failed and aborted ones."""
    n_aborted: int
    cost_usd: float
    """Of the runs whose cost is known."""
    wasted_usd: float
    """Part of `cost_usd`: of failed and aborted attempts."""
    n_without_cost: int
    bytes: int
    """Of live outputs: measured and not deleted."""
    objects: int
    n_unmeasured: int
    """Runs with an output folder whose size is not known (yet)."""
    storage_usd_min: float
    """A year of `bytes` at `rates.min_usd`."""
    storage_usd_max: float
    rates: StorageRates


class GetDashboardSpend(DashboardQuestion):
    pass


class SpendBucket(BaseModel):
    first_day: date
    last_day: date
    """Inclusive; at the edges of the window a week or month is cut."""
    cost_usd: float
    wasted_usd: float
    n_runs: int


class DashboardSpend(Answer):
    """Daily for 7 and 30 days, weekly (from Monday) for 90, monthly for all time and for `names`. With a bounded window every bucket
    is there; without one, those from the first run's day to the last run's, which are then the edges."""

    unit: Literal["day", "week", "month"]
    buckets: list[SpendBucket]


class GetDashboardStorage(DashboardQuestion):
    pass


class StoragePoint(BaseModel):
    """At the end of `last_day`."""

    last_day: date
    bytes_added: int
    bytes: int
    """Cumulated from the left edge of the window, where it is 0."""
    usd_min: float
    usd_max: float
    n_runs: int


class DashboardStorage(Answer):
    """Annual storage cost that the runs of the window have added. The buckets are those of the spending."""

    unit: Literal["day", "week", "month"]
    first_day: date | None
    """The left edge, where the line starts at 0; null without runs and without a window."""
    points: list[StoragePoint]
    rates: StorageRates


class ListDashboardRuns(DashboardQuestion):
    sort: DashboardSort = "newest"
    """By size: runs whose size is not known stand at the end in either direction. By name: letter case does not matter."""
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    cursor: str | None = None
    """`next_cursor` or `previous_cursor` of an answer with the same filters and sort. Where nothing stands there any more, the page
    on the other side is answered."""


class DashboardRun(BaseModel):
    batch_id: str
    name: str
    type: Literal["training", "workflow"]
    project: str | None
    workspace: str
    user: str
    cluster: str | None
    status: Literal["succeeded", "failed", "aborted"]
    started_at: datetime | None
    ended_at: datetime | None
    elapsed_s: float | None
    labels: list[str]
    output_dir: str | None
    bytes: int | None
    """Of the outputs by the newest listing, 0 where they were deleted; null: not known."""
    objects: int | None
    measured_at: datetime | None
    cost_usd: float | None
    wasted_usd: float | None
    storage_usd_min: float | None
    storage_usd_max: float | None
    deleted_at: datetime | None
    deletion_id: str | None
    """Of the deletion on its way, else of the newest one."""
    deletion_state: DeletionState | None


class DashboardRuns(Answer):
    items: list[DashboardRun]
    next_cursor: str | None
    previous_cursor: str | None
    first_number: int
    """Where the first item stands in the whole list, from 1; counted along the cursors, so runs that came or went meanwhile shift it."""
    rates: StorageRates
    not_found: list[str] = []
    """Of `names`, those that no run has that has ended and is the viewer's, or of those whom `authority` covers."""


class GetDashboardChoices(Asked):
    """What the dropdowns offer: labels of the terminal runs in scope, and for an admin clusters and users."""

    authority: Authority = Authority()
    user: str | None = None
    """None: as for the sections."""
    cluster: str | None = None


class DashboardChoices(Answer):
    labels: list[str]
    """The most used first; at most 500."""
    clusters: list[str]
    """Of runs that the authority covers; empty without any authority."""
    users: list[str]
