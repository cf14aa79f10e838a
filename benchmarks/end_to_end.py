"""From SDK calls in four processes to the read models: events a second, and whether all of them arrived, once.

The senders print what they said; the log and the read models are compared with that, unit by unit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from argus_testkit.pages import await_projected, counts_of
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure
from benchmarks.processor import processor_seconds

N_SENDERS = 4
SECONDS = float(os.environ.get("ARGUS_BENCH_SECONDS", "60"))
RATE = float(os.environ.get("ARGUS_BENCH_RATE", "80000"))
"""Events a second that the senders offer together."""
DEADLINE_S = 600.0
GOAL_PROCESSOR = 2 / 75_000 * 1e6
"""Seconds of processor per million events, senders included: what two cores have at 75,000 events a second."""

PROFILE = """
Seconds of processor per million events tell more than the rate, which falls with whatever else runs on the machine. The goal is
what two cores have at 75,000 events a second, senders included. By py-spy, where they went and what became of it:

- ingest: two thirds went into an object per event to check it; now all events of a message are checked at once, without objects
  (4.1 to 2.5 µs an event), and a commit keeps the bytes of its messages instead of 50,000 decoded events.
- projector: six passes over every event, a text per point for its order, a datetime per event; now a record's events are put
  together by job and attempt once, for all read models (5.1 to 3.0 µs an event).
- senders: the `write` of each call is a third of theirs and stays: it is the promise. Forming messages took 1.0 µs an event and
  takes 0.8, counting a segment when it is rolled 0.5 and takes 0.15.
- Next: the projector decodes (0.9 µs) what ingest has decoded before; columns in the log instead of events would spare both.
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as folder:
        stack = LocalStack(Path(folder) / "home")
        stack.start()
        try:
            return _measure(stack, Path(folder))
        finally:
            stack.stop()


def _measure(stack: LocalStack, folder: Path) -> list[Figure]:
    environment = {
        **os.environ,
        "ARGUS_URL": stack.facts.nats.url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(folder / "spool"),
        "ARGUS_BENCH_RATE": str(RATE / N_SENDERS),
    }
    assert stack.process is not None
    before = processor_seconds(stack.process.pid)
    began = time.monotonic()
    senders = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sender", str(SECONDS), f"bench-{n}"],
            env=environment,
            stdout=subprocess.PIPE,
        )
        for n in range(N_SENDERS)
    ]
    ledgers = [json.loads(sender.communicate()[0]) for sender in senders]
    subprocess.run([sys.executable, "-m", "argus.cli", "sync"], env=environment, check=False, stdout=subprocess.DEVNULL)
    said = sum(sum(ledger["epochs"].values()) * 2 for ledger in ledgers)
    with stack.client() as client:
        await_projected(client, within=DEADLINE_S)
        seconds = time.monotonic() - began
        lost, doubled = _differences(client, ledgers)
    used = {name: after - before.get(name, 0.0) for name, after in processor_seconds(stack.process.pid).items()}
    used["senders"] = sum(ledger["processor_seconds"] for ledger in ledgers)
    each = sorted(((n / said * 1e6, name) for name, n in used.items()), reverse=True)
    return [
        Figure("end to end, 4 senders, everything on this machine", said / seconds, 75_000, "events/s", "higher"),
        Figure("  events said", said, None, "events"),
        Figure("  senders' own time", max(ledger["seconds"] for ledger in ledgers), None, "s"),
        Figure("  lost", lost, 0, "events"),
        Figure("  doubled", doubled, 0, "events"),
        Figure("  processor, per million events", sum(n for n, _ in each), GOAL_PROCESSOR, "s"),
        *(Figure(f"    {name}", n, None, "s") for n, name in each if n > 0.05),
    ]


def _differences(client: httpx.Client, ledgers: list[dict[str, Any]]) -> tuple[int, int]:
    """(lost, doubled): what the read models have too few of, and too many."""
    differences: list[int] = []
    for ledger in ledgers:
        for job_id, said in ledger["epochs"].items():
            job = counts_of(client, ledger["batch_id"], job_id)
            counts = (job.points.get("train_loss", 0), job.points.get("val_loss", 0), job.lines)
            differences += [found - said for found in counts]
    return -sum(d for d in differences if d < 0), sum(d for d in differences if d > 0)
