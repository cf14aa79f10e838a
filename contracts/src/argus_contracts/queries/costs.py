"""What runs cost, from which bills and prices, and what was known of it when."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel

from argus_contracts.queries.common import Answer, Asked, Limit

Basis = Literal["recorded", "computed", "partly", "unknown_price", "running"]
"""`recorded`: a bill of the run, of its job or of itself counts instead of what the attempt has used. `computed`: its share of its
host's price. `partly`: the same, but for a part of the time no price is known. `unknown_price`: for all of it. `running`: not over,
and so not divided yet."""


class GetCost(Asked):
    batch_id: str
    as_of: AwareDatetime | None = None
    """By what Argus had heard at that moment (its clock); None: by all."""


class Bill(BaseModel):
    """What counts instead of an attempt's share. It is not divided among all those that it is about."""

    scope: Literal["run", "job", "attempt"]
    """The widest that there is; of an attempt that was started several times it is of all its starts."""
    amount_usd: float


class AttemptCost(BaseModel):
    """One time that a job used a machine. Retries and resumes are attempts of their own, so each is paid for once."""

    job_id: str | None
    """None: the run itself, which has no jobs."""
    attempt: int
    number: int
    """From 0: which start within `attempt`, where the sender started it again without counting."""
    host: str | None
    instance_type: str | None
    capacity: Literal["spot", "on-demand"] | None
    cpus: float | None
    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["succeeded", "failed", "aborted", "cached"] | None
    """None: not over."""
    wasted: bool
    """It failed, or was aborted."""
    host_seconds: float | None
    """The share of its host's time that was this attempt's."""
    cost_usd: float | None
    """By its share and the prices, whether a bill replaces it or not; null: not over, or no price is known."""
    if_spot_usd: float | None
    basis: Basis
    bill: Bill | None
    """Where the basis is `recorded`."""


class CostReport(BaseModel):
    """A bill, or a price that touched the run when Argus heard of it, and what the run cost by all that was known then."""

    received_at: datetime
    """Argus' clock."""
    position: int
    kind: Literal["cost_recorded", "price_recorded"]
    event_id: str
    recorded_at: datetime
    """The sender's clock."""
    job_id: str | None = None
    """Of a bill; null with `attempt` null: of the whole run."""
    attempt: int | None = None
    amount_usd: float | None = None
    basis: str | None = None
    instance_type: str | None = None
    """Of a price, as the four below."""
    capacity: Literal["spot", "on-demand"] | None = None
    usd_per_hour: float | None = None
    effective_from: datetime | None = None
    recorded_by: str | None = None
    cost_usd: float | None
    wasted_usd: float | None


class RunCosts(Answer):
    batch_id: str
    as_of: datetime | None
    cost_usd: float | None
    """Null where nothing is known; else of the attempts of which something is: see `n_unpriced` and `n_running`."""
    wasted_usd: float | None
    if_all_spot_usd: float | None
    """What the attempts that are over would have cost on spot machines; null where a price for that is missing."""
    n_attempts: int
    n_unpriced: int
    """Over, without a bill, and without a price for all or a part of the time."""
    n_running: int
    attempts: list[AttemptCost]
    """The first 1,000 that started; fewer where their names are very long."""
    history: list[CostReport]
    """In the order in which Argus heard of them; the last 50, and fewer of a run of thousands of attempts."""


class ListPrices(Asked):
    """Of the workspaces that the viewer sees, by workspace, type, capacity and moment (the latest first)."""

    workspace: str | None = None
    limit: Limit = 200
    cursor: str | None = None


class PriceFact(BaseModel):
    event_id: str
    workspace: str
    instance_type: str
    capacity: Literal["spot", "on-demand"]
    usd_per_hour: float
    effective_from: datetime
    recorded_at: datetime
    recorded_by: str
    received_at: datetime
    position: int
    counts: bool
    """False: it was restated since."""


class PriceList(Answer):
    items: list[PriceFact]
    next_cursor: str | None
