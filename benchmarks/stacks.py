"""The Argus that a benchmark measures: a whole one, in a folder of its own, gone afterwards whatever happens."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from argus_testkit.pages import await_projected
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure
from benchmarks.many_runs import append


@contextmanager
def running_stack(env: Mapping[str, str] | None = None) -> Iterator[LocalStack]:
    """A new, empty stack that is up; `env`: settings on top of the defaults. Stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as folder:
        stack = LocalStack(Path(folder) / "home", env)
        try:
            stack.start()
            yield stack
        finally:
            stop(stack)


def stop(stack: LocalStack) -> None:
    """It has ended, also where it had not come up yet."""
    if stack.process is not None:
        stack.stop()


def loaded_with_runs(stack: LocalStack, n_runs: int, with_outputs: bool = False) -> list[Figure]:
    """`n_runs` runs (many_runs.py) are in the log and in the read models, and PostgreSQL has looked at them and written them out (it
    does so itself within minutes). How long that took."""
    began = time.monotonic()
    last = append(stack.facts.role_url("argus_ingest"), n_runs, with_outputs)
    appended = time.monotonic() - began
    with stack.client() as client:
        await_projected(client, last, within=3600)
    projected = time.monotonic() - began
    with stack.database() as database:
        database.execute("VACUUM (ANALYZE)")
        database.execute("CHECKPOINT")
    return [
        Figure(f"appending {n_runs:,} runs while they are projected", n_runs / appended, None, "runs/s", "higher"),
        Figure("appending and projecting them", n_runs / projected, None, "runs/s", "higher"),
    ]


def sender_environment(stack: LocalStack) -> dict[str, str]:
    """What a process that uses the SDK must be told: whom to send to, and a spool of its own beside the stack."""
    return {
        **os.environ,
        "ARGUS_URL": stack.facts.nats.url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(stack.home.parent / "spool"),
    }
