"""A sender that says what a training script would say, at times of the test's choosing."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

CLASSES = {"job_epoch": "metrics", "resource_snapshot": "snapshots", "log_line": "log_lines"}


class Sender:
    """Posts events of one producer in the v2 wire form, over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.producer_id = f"test-{uuid.uuid4().hex}"
        self.seqs: dict[str, Iterator[int]] = {}
        self.begun = datetime.now(UTC) - timedelta(minutes=5)

    def say(
        self, batch_id: str, kind: str, *about: tuple[str | None, Mapping[str, Any]], at_s: float = 0, attempt: int = 1
    ) -> None:
        """One event of `kind` for each (job, data); the first happened `at_s` seconds after `begun`, the others right behind."""
        name = CLASSES.get(kind, "lifecycle")
        counter = self.seqs.setdefault(name, itertools.count())
        events = [
            {
                "event_id": str(uuid.uuid4()), "kind": kind, "version": 1, "batch_id": batch_id, "job_id": job_id,
                "attempt": attempt, "seq": next(counter), "data": dict(data),
                "occurred_at": (self.begun + timedelta(seconds=at_s, milliseconds=i)).isoformat(),
            }
            for i, (job_id, data) in enumerate(about)
        ]  # fmt: skip
        message = {
            "v": 2, "producer_id": self.producer_id, "class": name, "first_seq": events[0]["seq"], "events": events,
        }  # fmt: skip
        answer = self.client.post("/api/events/batch", json=message)
        answer.raise_for_status()
        assert answer.json()["rejected"] == 0, answer.text

    def start(self, name: str = "a run", project: str = "tests", jobs: tuple[str, ...] = ("job",), **data: Any) -> str:
        """A run has started and its jobs with it. Answers its id."""
        batch_id = f"b-{uuid.uuid4().hex[:12]}"
        self.say(batch_id, "batch_start", (None, {"name": name, "project": project, **data}))
        command = ["python", "train.py", "--note", "it's mine"]
        self.say(
            batch_id, "env_snapshot", (None, {"command": command, "host": "box-1", "git": {"commit": "ab12cd34" * 5}})
        )
        self.say(batch_id, "job_start", *((job, {"name": job, "n_epochs_expected": 100}) for job in jobs), at_s=1)
        return batch_id

    def end(self, batch_id: str, how: str = "batch_done", at_s: float = 60, **data: Any) -> str:
        """The run has ended; answers its id again."""
        self.say(batch_id, how, (None, data), at_s=at_s)
        return batch_id

    def epochs(self, batch_id: str, numbers: range, job: str = "job", **more: Any) -> None:
        """One point for each number: train_loss 1/n and val_loss 2/n, n from 1."""
        points = [(job, {"epoch": n, "metrics": {"train_loss": 1 / n, "val_loss": 2 / n, **more}}) for n in numbers]
        self.say(batch_id, "job_epoch", *points, at_s=numbers.start)

    def lines(self, batch_id: str, numbers: range, job: str = "job", text: str = "line {}", **more: Any) -> None:
        lines = [(job, {"line_no": n, "stream": "stdout", "line": text.format(n), **more}) for n in numbers]
        self.say(batch_id, "log_line", *lines, at_s=numbers.start)
