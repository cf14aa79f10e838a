"""What Argus itself says of how far it is, and of what it has of a job; and waiting until it has everything."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx

from argus_testkit.waiting import WITHIN_S, eventually


@dataclass(frozen=True)
class Positions:
    log: int
    """The end of the log."""
    projected: int
    """Up to here every page tells of it."""


def positions(client: httpx.Client) -> Positions:
    said = client.get("/api/position").raise_for_status().json()
    return Positions(said["log"], said["projected"])


def await_projected(client: httpx.Client, position: int | None = None, within: float = WITHIN_S) -> None:
    """Every page tells of the log up to `position`; None: up to its present end."""
    wanted = positions(client).log if position is None else position
    eventually(lambda: positions(client).projected >= wanted, within, f"position {wanted} is projected", every=0.1)


@dataclass(frozen=True)
class JobCounts:
    """What the page of a job counts; nothing of one that is not there (yet)."""

    points: dict[str, int] = field(default_factory=dict)
    """By metric."""
    lines: int = 0
    status: str | None = None


def counts_of(client: httpx.Client, batch_id: str, job_id: str) -> JobCounts:
    answer = client.get(f"/api/batches/{batch_id}/jobs/{job_id}")
    if answer.status_code == 404:
        return JobCounts()
    job = answer.raise_for_status().json()["job"]
    points = {series["key"]: series["n_points"] for series in job["series"] if series["family"] == "metric"}
    return JobCounts(points, job["n_log_lines"], job["status"])
