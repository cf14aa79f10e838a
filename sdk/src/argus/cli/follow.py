"""What arrives in a log, in the order in which it arrives: late lines too, wherever their place in the log is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import click
import httpx

from argus.cli.door import Door
from argus.reader import ReadError, job_path, run_path

ENDED = ("succeeded", "failed", "aborted", "cached")
_TRIES = 30
_PAUSE_S = 2.0

Line = dict[str, Any]


class Numbers:
    """The highest line number of each job and attempt so far."""

    def __init__(self, lines: list[Line]) -> None:
        self._highest: dict[tuple[str | None, int], int] = {}
        for line in lines:
            self.missing_before(line)

    def missing_before(self, line: Line) -> int:
        """How many numbers were skipped before `line`, which counts from now on. 0 where nobody counts, and for late lines."""
        number, whose = line["line_no"], (line["job_id"], line["attempt"])
        if number is None:
            return 0
        highest = self._highest.get(whose)
        self._highest[whose] = number if highest is None else max(highest, number)
        return 0 if highest is None else max(0, number - highest - 1)


def ended_at(door: Door, batch_id: str, job_id: str | None) -> int | None:
    """The log position of the answer that says that the run (or job) has ended; None while it goes on."""
    answer = door.get(run_path(batch_id) if job_id is None else job_path(batch_id, job_id))
    status = answer["run" if job_id is None else "job"]["status"]
    return int(answer["position"]) if status in ENDED else None


def follow(door: Door, batch_id: str, job_id: str | None, known: dict[str, Any]) -> Iterator[Line]:
    """The lines behind the answer `known`, until the run (or job) has ended and everything of it was told.

    As in the answers of the gateway, but without `cursor`: a line is told when it arrives. A broken connection is made
    again. Errors: `ReadError`, after a minute without any.
    """
    numbers, position, end, failures = Numbers(known["lines"]), int(known["position"]), None, 0
    topic = f"log:{batch_id}" if job_id is None else f"job:{batch_id}/{job_id}"
    while True:
        try:
            for kind, data, at in door.stream(topic, position):
                failures, position = 0, at
                for event in data.get("events", []):
                    if event["kind"] == "log_line":
                        yield _line(event, numbers)
                if kind == "reset":
                    click.secho("… the server cannot tell what came meanwhile", dim=True, err=True)
                if kind == "status" or any(event["kind"].startswith("job_") for event in data.get("events", [])):
                    end = end or ended_at(door, batch_id, job_id)
                if end is not None and position >= end:
                    return
        except (httpx.HTTPError, ReadError) as error:
            if isinstance(error, ReadError) and error.status is not None:
                raise
            failures += 1
            if failures > _TRIES:
                raise ReadError(f"cannot reach {door.url}: {error or type(error).__name__}") from None
        time.sleep(_PAUSE_S)


def _line(event: dict[str, Any], numbers: Numbers) -> Line:
    data = event["data"]
    line: Line = {
        "cursor": None, "job_id": event["job_id"], "attempt": event["attempt"], "line_no": data.get("line_no"),
        "stream": data.get("stream") or "log", "level": data.get("level"), "line": str(data.get("line", "")),
        "occurred_at": event["occurred_at"],
    }  # fmt: skip
    return {**line, "missing_before": numbers.missing_before(line)}
