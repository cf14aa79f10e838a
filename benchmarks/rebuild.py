"""All read models built anew from the log: how fast, and what those notice who read and train meanwhile.

First with nothing else running; then while a training logs and its pages are asked for.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from argus_testkit.faults.observe import log_end
from argus_testkit.stack import LocalStack
from argus_testkit.waiting import eventually
from benchmarks.figures import Figure, percentile
from benchmarks.wire import fill_log

N_EVENTS = int(os.environ.get("ARGUS_BENCH_REBUILD_EVENTS", "2000000"))
LIVE_RATE = 1_000.0
"""Events a second of the training beside it."""

PROFILE = """
A rebuild folds 20,000 events a transaction, one after the other in one process: reading and decoding them, putting them together
by job, and each read model's rows. It uses the fold of the projector, so what helps one helps the other.
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as name:
        folder = Path(name)
        stack = LocalStack(folder / "home")
        try:
            stack.start()
            return _measure(stack, folder)
        finally:
            if stack.process is not None:
                stack.stop()


def _measure(stack: LocalStack, folder: Path) -> list[Figure]:
    with stack.client() as client:
        me = client.get("/api/auth/me").raise_for_status().json()
    fill_log(stack.facts.role_url("argus_ingest"), me["workspace"], me["user"], N_EVENTS)
    eventually(lambda: _behind(stack) == 0, 600, "the live read models have all of it")
    alone, processor = _rebuild(stack)
    with _training(stack, folder), _Watched(stack) as watched:
        beside, _ = _rebuild(stack)
    return [
        Figure("all read models, nothing else running", N_EVENTS / alone, 75_000, "events/s", "higher"),
        Figure("  events", log_end(stack), None, "events"),
        Figure("  processor of the rebuild, per million events", processor / N_EVENTS * 1e6, None, "s"),
        Figure(
            f"all read models, beside {LIVE_RATE:,.0f} events/s and readers",
            N_EVENTS / beside,
            None,
            "events/s",
            "higher",
        ),
        Figure("  longest pause of the live pages", watched.longest_pause, 2, "s"),
        Figure("  answers of a page meanwhile, p95", percentile(watched.answers, 0.95) * 1000, None, "ms"),
        Figure("  slowest answer meanwhile", max(watched.answers) * 1000, None, "ms"),
        Figure("  questions without an answer", watched.failures, 0, "questions"),
    ]


def _rebuild(stack: LocalStack) -> tuple[float, float]:
    """Seconds by the clock, and of the processor without PostgreSQL's."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "argus_query", "rebuild", "all"],
        env={**stack.env, **stack.environment_of("query")}, check=True, capture_output=True,
    )  # fmt: skip
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - began, used.ru_utime - before.ru_utime + used.ru_stime - before.ru_stime


def _behind(stack: LocalStack) -> int:
    """How many events the live read models lack."""
    with stack.database() as database:
        row = database.execute(_BEHIND).fetchone()
    return row[0] if row else N_EVENTS


_BEHIND = "SELECT next_position - 1 - position FROM log.head, read.projection_positions WHERE name = 'live'"


@contextmanager
def _training(stack: LocalStack, folder: Path) -> Iterator[None]:
    """A training logs `LIVE_RATE` events a second."""
    environment = {
        **os.environ,
        "ARGUS_URL": stack.facts.nats.url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(folder / "spool"),
        "ARGUS_BENCH_RATE": str(LIVE_RATE),
    }
    command = [sys.executable, "-m", "benchmarks.sender", "3600", "beside"]
    sender = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        with stack.client() as client:
            eventually(lambda: client.get(_JOB).status_code == 200, 60, "the training is on its page")
        yield
    finally:
        sender.kill()
        sender.wait()


_JOB = "/api/batches/beside/jobs/job-0"


class _Watched:
    """In a `with` block: pages are asked for, and the newest point of the training is looked for on its page."""

    def __init__(self, stack: LocalStack) -> None:
        self.answers: list[float] = []
        self.failures = 0
        self.longest_pause = 0.0
        self._stack, self._ended = stack, threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> _Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        newest, moved = -1, time.monotonic()
        with self._stack.client() as client:
            while not self._ended.wait(0.05):
                for path in (_JOB, "/api/batches", "/api/batches/filled-0/jobs/job-0/series?keys=val_loss"):
                    began = time.monotonic()
                    try:
                        answer = client.get(path).raise_for_status().json()
                    except httpx.HTTPError:
                        self.failures += 1
                        continue
                    self.answers.append(time.monotonic() - began)
                    if path == _JOB and (n_lines := answer["job"]["n_log_lines"]) > newest:
                        newest, moved = n_lines, time.monotonic()
                self.longest_pause = max(self.longest_pause, time.monotonic() - moved)
