"""The work through Argus' SDK, as a training script does it: `argus_work.py HTTP_URL TOKEN` (ARGUS_URL: of the broker).

What counts ends where the read models have it: a call returns earlier, a page would not show it yet.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

import argus

sys.path.insert(0, str(Path(__file__).parent))
import work
from argus_by_broker import EVENTS_OF_A_RUN, publish_runs

N_RUNS = work.N_RUNS * 50
N_TOLD = work.N_RUNS * 200
"""A rate needs seconds, whatever a run costs: the last run of a short row waits as long for its page as that of a long one."""
ASK_EVERY_S = 0.05
"""Whoever asks a hundred times a second how far it is takes a twelfth of the processor from what it asks about."""
DEADLINE_S = 120.0
FULL = 10_000
"""Points that one question may ask for: the whole history."""
PAGE_POINTS = 1_000


def main() -> None:
    with httpx.Client(base_url=sys.argv[1], headers={"Authorization": f"Bearer {sys.argv[2]}"}, timeout=30) as client:
        work.answer(measured(client))


def measured(client: httpx.Client) -> dict[str, Any]:
    one_run(-1)  # what the first of all takes longer is not counted
    until_there(client, [-1])
    run = argus.init(project="bench", batch_id="points")
    job = run.job("job")
    job.log("ready")
    path = "/api/batches/points/jobs/job"
    until(lambda: client.get(path).status_code == 200)
    began = time.perf_counter()
    for step in range(work.N_STEPS):
        job.epoch(step, **work.values(step))
    said = time.perf_counter() - began
    until(lambda: n_points(client, path) == work.N_STEPS * len(work.KEYS))
    found = {"points_said_s": said, "points_s": time.perf_counter() - began}
    run.finish()
    with argus.Reader(sys.argv[1], sys.argv[2]) as reader:
        found["history_s"] = work.median_of_reads(lambda: len(reader.history("points", "job", work.KEYS[0])))
    found["history_json_s"] = work.median_of_reads(lambda: answered_points(client, path, FULL))
    found["first_answer_s"] = work.timed(lambda: answered_points(client, path, PAGE_POINTS))

    def runs(first: int, at_once: int) -> None:
        began = time.perf_counter()
        work.all_runs(one_run, first, N_RUNS, at_once)
        found.setdefault("runs_said_s", time.perf_counter() - began)
        if not argus.flush(DEADLINE_S):
            raise TimeoutError("it is not in the log")
        until_projected(client)

    found["runs_s"] = work.timed(lambda: runs(0, 1))
    found["runs_at_once_s"] = work.timed(lambda: runs(N_RUNS, work.RUNS_AT_ONCE))

    def jobs() -> None:
        with argus.init(project="bench", batch_id="sweep", resource_interval_s=0) as run:
            for number in range(N_TOLD):
                with run.job(f"job-{number}", params={"lr": 0.1, "seed": 7}) as job:
                    job.epoch(0, loss=0.5)
        if not argus.flush(DEADLINE_S):
            raise TimeoutError("it is not in the log")
        until_projected(client)

    found["jobs_s"] = work.timed(jobs)
    me = client.get("/api/auth/me").raise_for_status().json()
    numbers = range(2 * N_RUNS, 2 * N_RUNS + N_TOLD)

    def by_broker() -> None:
        before = client.get("/api/position").json()["log"]
        publish_runs(
            os.environ["ARGUS_URL"], sys.argv[2], me["workspace"], me["user"], [batch_id(number) for number in numbers]
        )
        until_projected(client, before + N_TOLD * EVENTS_OF_A_RUN)

    found["runs_by_broker_s"] = work.timed(by_broker)
    found |= {"n_runs": N_RUNS, "n_told": N_TOLD}
    until_there(client, range(2 * N_RUNS + N_TOLD))
    return found


def until_projected(client: httpx.Client, position: int = 0) -> None:
    """The read models have everything that the log has, and that is at least so much."""

    def is_there() -> bool:
        now = client.get("/api/position").json()
        return now["lag_events"] == 0 and now["projected"] >= position

    until(is_there, ASK_EVERY_S)


def one_run(number: int) -> None:
    with argus.init(
        project="bench", batch_id=batch_id(number), params={"lr": 0.1, "seed": 7}, resource_interval_s=0
    ) as run:
        run.job("job").epoch(0, loss=0.5)


def batch_id(number: int) -> str:
    return f"run-{number}"


def until_there(client: httpx.Client, numbers: Any) -> None:
    """The list has all of them, ended."""
    wanted = {batch_id(number) for number in numbers}

    def ended() -> bool:
        found, cursor = set(), ""
        while len(found & wanted) < len(wanted):
            page = client.get("/api/batches", params={"limit": 200, "status": "succeeded", "cursor": cursor}).json()
            found |= {run["batch_id"] for run in page["items"] if run["jobs"]["succeeded"] == 1}
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return wanted <= found

    until(ended)


def n_points(client: httpx.Client, path: str) -> int:
    series = client.get(path).raise_for_status().json()["job"]["series"]
    return sum(one["n_points"] for one in series if one["key"] in work.KEYS)


def answered_points(client: httpx.Client, path: str, max_points: int) -> int:
    """The points of one metric in one answer, read by Python's own json."""
    asked = {"keys": work.KEYS[0], "max_points": max_points}
    answer = client.get(f"{path}/series", params=asked).raise_for_status().json()
    return len(answer["series"][0]["step"])


def until(is_so: Any, every_s: float = 0.01) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("it is not in the read models")
        time.sleep(every_s)


main()
