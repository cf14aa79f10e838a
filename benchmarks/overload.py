"""Many times more than Argus can carry, for half a minute, and what became of every event.

Four SDK senders log as fast as they can while ingest gets a small part of a core; broker and spools hold little, so that they
are full at once. Points may not be lost, lines may be dropped and are counted.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from argus_testkit.faults.checker import MAX_RSS_BYTES
from argus_testkit.faults.flood import SMALL, flood
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure, percentile

N_SENDERS = 4
SECONDS = float(os.environ.get("ARGUS_BENCH_OVERLOAD_SECONDS", "30"))

PROFILE = """
Nothing waits for anybody: a full stream refuses, a full spool refuses lines, and both are bounded, so that no process grows with
what is offered. The page is answered by `query`, which shares nothing with ingest but PostgreSQL.
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as name:
        folder = Path(name)
        stack = LocalStack(folder / "home", SMALL)
        try:
            stack.start()
            environment = {
                **{key: value for key, value in os.environ.items() if not key.startswith("ARGUS_")},
                "ARGUS_URL": stack.facts.nats.url,
                "ARGUS_TOKEN": stack.credentials.token,
            }
            flooded = flood(stack, folder, environment, n_senders=N_SENDERS, seconds=SECONDS, within=600)
        finally:
            if stack.process is not None:
                stack.stop()
    largest, size = max(flooded.rss_bytes.items(), key=lambda known: known[1])
    return [
        Figure("offered, times what is carried", flooded.offered_per_s / flooded.carried_per_s, 10, "times", "higher"),
        Figure("  offered", flooded.offered_per_s, None, "events/s"),
        Figure("  carried", flooded.carried_per_s, None, "events/s"),
        Figure("points lost", flooded.points_lost, 0, "points"),
        Figure("ends of jobs lost", flooded.jobs_not_ended, 0, "jobs"),
        Figure("lines dropped, as the pages say", flooded.lines_dropped, None, "lines"),
        Figure("lines neither stored nor counted as dropped", abs(flooded.lines_unaccounted), 0, "lines"),
        Figure(f"largest process ({largest.rpartition(' ')[0]})", size / 1e6, MAX_RSS_BYTES / 1e6, "MB"),
        Figure("list of runs meanwhile, p95", percentile(flooded.answers_s, 0.95), 2, "s"),
        Figure("drained after the end", flooded.drained_s, 600, "s"),
    ]
