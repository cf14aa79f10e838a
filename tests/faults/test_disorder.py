"""C3: duplicated, shuffled, late and contradictory events lead to the same pages, whatever order they come in."""

from __future__ import annotations

import json
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from argus_testkit import LocalStack, eventually
from argus_testkit.faults import pick, seeded

START = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)
DAY_S = 86_400.0
BY_ARRIVAL = {"batch_id", "position", "event_position", "last_seen_at", "before", "after", "log_position"}
"""Fields that are about the order of arrival, or name the run."""


def history(dice: random.Random) -> list[dict[str, Any]]:
    """What one run said in its life: it ends, goes on, fails and ends, is started again, and speaks a day after its end."""
    told: list[dict[str, Any]] = []

    def say(kind: str, at: float, job_id: str | None = "j", attempt: int = 1, **data: Any) -> None:
        told.append({
            "event_id": str(uuid.UUID(int=dice.getrandbits(128), version=4)), "kind": kind, "version": 1, "job_id": job_id,
            "attempt": attempt, "occurred_at": (START + timedelta(seconds=at)).isoformat(), "data": data,
        })  # fmt: skip

    for attempt, began in ((1, 0.0), (2, 500.0)):
        say("batch_start", began, None, attempt, name=f"try {attempt}", project="disorder", params={"lr": attempt / 10})
        say("job_start", began + 1, attempt=attempt, model="mlp", params={"lr": attempt}, n_epochs_expected=60)
        for epoch in range(60):
            loss: Any = dice.choice([dice.random(), dice.random(), "NaN"])
            say(
                "job_epoch",
                began + 2 + epoch,
                attempt=attempt,
                epoch=epoch,
                step=epoch,
                metrics={"loss": loss, "acc": 0.5},
            )
            if epoch % 7 == 0:  # said again, and differently, with the same step and even the same time
                say(
                    "job_epoch",
                    began + 2 + epoch,
                    attempt=attempt,
                    epoch=epoch,
                    step=epoch,
                    metrics={"loss": dice.random()},
                )
            say(
                "log_line",
                began + 2 + epoch,
                attempt=attempt,
                line_no=int(began) + epoch,
                stream="log",
                line=f"line {epoch}",
            )
        say("batch_heartbeat", began + 60, None, attempt, dropped={"log_lines": attempt})
        say("resource_snapshot", began + 61, attempt=attempt, cpu_pct=dice.random(), rss_bytes=dice.randrange(10**9))
    say("job_done", 563, attempt=2, elapsed_s=61.0)
    say("job_epoch", 564, attempt=2, epoch=61, step=61, metrics={"loss": 0.1})
    say("job_failed", 565, attempt=2, reason="said later, and too late")
    say("job_done", 566, attempt=2, elapsed_s=64.0)
    say("batch_failed", 566, None, 2, reason="no")
    say("batch_done", 567, None, 2, elapsed_s=66.0)
    say("batch_aborted", 568, None, 1, reason="of an attempt that is over")
    say("job_epoch", 567 + DAY_S, attempt=2, epoch=62, step=62, metrics={"loss": 0.05})
    say("batch_heartbeat", 567 + DAY_S, None, 2)
    return told


def post(client: httpx.Client, batch_id: str, events: list[dict[str, Any]], dice: random.Random) -> None:
    """In messages of any size; every third event a second time, sooner or later."""
    events = [*events, *(event for event in events if dice.random() < 0.3)]
    dice.shuffle(events)
    while events:
        n = dice.choice([1, 2, 10, 60])
        chunk, events = events[:n], events[n:]
        body = [{**event, "batch_id": batch_id} for event in chunk]
        answer = client.post("/api/events/batch", json=body).raise_for_status().json()
        assert answer["rejected"] == 0, answer


def pages(client: httpx.Client, batch_id: str) -> dict[str, Any]:
    """Everything that people see of the run, but for what tells of the order of arrival."""
    job = f"/api/batches/{batch_id}/jobs/j"
    paths = {
        "run": f"/api/batches/{batch_id}", "jobs": f"/api/batches/{batch_id}/jobs", "job": job, "curves": f"{job}/series",
        "few points": f"{job}/series?max_points=20", "lines": f"/api/batches/{batch_id}/log-lines?job_id=j&limit=500",
    }  # fmt: skip
    return {name: lasting(client.get(path).raise_for_status().json()) for name, path in paths.items()}


def lasting(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {name: lasting(value) for name, value in answer.items() if name not in BY_ARRIVAL}
    return [lasting(value) for value in answer] if isinstance(answer, list) else answer


@pytest.mark.timeout(300)
def test_any_order_of_the_same_events_gives_the_same_pages(stack: LocalStack) -> None:
    dice = seeded("disorder")
    told = history(dice)
    name = f"disorder-{dice.getrandbits(32):08x}"
    batch_ids = [f"{name}-{n}" for n in range(pick(20, 100))]
    with stack.client() as client:
        for batch_id in batch_ids:
            post(client, batch_id, told, dice)
        expected = len(told) * len(batch_ids)
        eventually(lambda: _n_logged(stack, name) == expected, 120, f"{expected} events are in the log, once")
        eventually(lambda: client.get("/api/position").json().get("lag_events") == 0)
        first = pages(client, batch_ids[0])
        assert first["run"]["run"]["status"] == "succeeded"
        assert (first["job"]["job"]["status"], first["job"]["job"]["attempt"]) == ("succeeded", 2)
        assert len(first["lines"]["lines"]) == 120
        for batch_id in batch_ids[1:]:
            found = pages(client, batch_id)
            for page, content in first.items():
                assert json.dumps(found[page], indent=1) == json.dumps(content, indent=1), (page, batch_id)


def _n_logged(stack: LocalStack, name: str) -> int:
    with stack.database() as database:
        row = database.execute(
            "SELECT coalesce(sum(n_events), 0) FROM log.record_batches WHERE batch_id LIKE %s", [f"{name}%"]
        ).fetchone()
    return int(row[0]) if row else 0
