"""A run with 10,000 jobs: what its page asks for, how long that takes and how large it is."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import httpx

from benchmarks.figures import Figure, percentile
from benchmarks.stacks import running_stack, sender_environment

N_JOBS = 10_000
REPEATS = 15
GOAL_MS = 100
GOAL_MATRIX_S = 0.5
GOAL_MATRIX_KB = 1000
RUN = "/api/batches/big"

SENDER = f"""
import argus
with argus.init(project="bench", name="hyperparameters", batch_id="big", n_jobs_expected={N_JOBS}) as run:
    for n in range({N_JOBS}):
        job = run.job(f"lr={{n % 100}}/seed={{n // 100}}", model=f"m{{n % 7}}", dataset=f"d{{n % 5}}", epochs=5)
        for epoch in range(5):
            job.epoch(epoch, train_loss=1 / (n + epoch + 1), val_loss=2 / (n + epoch + 1))
        if n % 20 == 3:
            job.finish("failed", reason="CUDA out of memory")
        elif n < {N_JOBS} - 50:
            job.finish()
"""

PROFILE = """
A job's row is about 750 bytes of JSON, and a page of them is bound by reading, checking and writing that JSON in `query`, not by
PostgreSQL (a fifth of a page's processor time). The matrix asks for columns of what its tiles show: a tenth of the bytes, in one answer.
"""


def measure() -> list[Figure]:
    with running_stack() as stack:
        environment = sender_environment(stack)
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", SENDER], env=environment, check=True)
        with stack.client() as client:
            _until_all_are_there(client)
            seconds = time.monotonic() - began
            return [Figure("10,000 jobs, from SDK to read model", seconds, None, "s"), *_figures(client)]


def _until_all_are_there(client: httpx.Client) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = client.get(RUN)
        if answer.status_code == 200 and answer.json()["run"]["status"] not in ("running", "queued"):
            return
        time.sleep(0.2)
    raise TimeoutError(f"the run has not ended: {answer.text[:500]}")


def _figures(client: httpx.Client) -> list[Figure]:
    cursors = _cursors(client, 200)
    deep = cursors[len(cursors) // 2]
    figures: list[Figure] = []
    for name, path, parameters in (
        ("the run", RUN, {}),
        ("first page of the table, 200 jobs", f"{RUN}/jobs", {}),
        ("a page from the middle", f"{RUN}/jobs", {"cursor": deep}),
        ("failed jobs", f"{RUN}/jobs", {"status": "failed"}),
        ("search in the jobs", f"{RUN}/jobs", {"search": "seed=77"}),
        ("search that finds none", f"{RUN}/jobs", {"search": "no such job"}),
        ("one job", f"{RUN}/jobs/lr=77%2Fseed=42", {}),
    ):
        spent, size = zip(*(_timed(client, path, parameters) for _ in range(REPEATS)), strict=True)
        figures.append(Figure(f"{name}: p95", percentile(spent, 0.95), GOAL_MS, "ms"))
        figures.append(Figure("  size", size[0] / 1000, None, "kB"))
    began = time.perf_counter()
    n_pages = len(_cursors(client, 1000))
    seconds = time.perf_counter() - began
    matrices = [_timed(client, f"{RUN}/matrix", {}) for _ in range(REPEATS)]
    assert client.get(f"{RUN}/matrix").json()["next_cursor"] is None, "the matrix did not come in one answer"
    return [
        *figures,
        Figure(f"the table's rows, all jobs: {n_pages} pages of 1,000 one after the other", seconds, None, "s"),
        Figure("matrix, all jobs: p95", percentile([spent for spent, _ in matrices], 0.95) / 1000, GOAL_MATRIX_S, "s"),
        Figure("  size", matrices[0][1] / 1000, GOAL_MATRIX_KB, "kB"),
    ]


def _cursors(client: httpx.Client, limit: int) -> list[str]:
    """What the pages of that size begin with."""
    cursors = [""]
    while True:
        page = client.get(f"{RUN}/jobs", params={"limit": limit, "cursor": cursors[-1]}).raise_for_status().json()
        if page["next_cursor"] is None:
            return cursors
        cursors.append(page["next_cursor"])


def _timed(client: httpx.Client, path: str, parameters: dict[str, Any]) -> tuple[float, int]:
    """Milliseconds until the whole answer is here, and its bytes (as JSON, not packed)."""
    began = time.perf_counter()
    answer = client.get(path, params=parameters).raise_for_status()
    return (time.perf_counter() - began) * 1000, len(answer.content)
