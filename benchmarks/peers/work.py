"""The work that Argus and its peers are given. Standard library only: each of them does it in an environment of its own.

A worker is `python -m benchmarks.peers.<name>_work` (or the file itself); it prints one JSON object, times in seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SHARE = float(os.environ.get("ARGUS_BENCH_PEERS_SHARE", "1"))
"""Of the whole work; less of it is for a quick look."""
N_STEPS = int(10_000 * SHARE)
KEYS = [f"metric-{n}" for n in range(5)]
"""One job: so many steps with so many metrics each."""
HISTORY_READS = 7
N_RUNS = max(8, int(60 * SHARE))
"""One after the other; and `RUNS_AT_ONCE` times as many by so many threads."""
RUNS_AT_ONCE = 8


def value(step: int, key: int) -> float:
    return 1 / (1 + step) + key


def values(step: int) -> dict[str, float]:
    return {name: value(step, key) for key, name in enumerate(KEYS)}


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median_of_reads(read: Callable[[], int]) -> float:
    """`read` answers how many points it got: all of them, each time."""
    spent: list[float] = []
    for _ in range(HISTORY_READS):
        began = time.perf_counter()
        found = read()
        spent.append(time.perf_counter() - began)
        if found != N_STEPS:
            raise RuntimeError(f"{found} points instead of {N_STEPS}")
    return sorted(spent)[len(spent) // 2]


def all_runs(one_run: Callable[[int], None], first: int, n_runs: int, at_once: int) -> None:
    """`n_runs` runs, numbered from `first`, were created, logged and ended."""
    if at_once == 1:
        for number in range(first, first + n_runs):
            one_run(number)
        return
    with ThreadPoolExecutor(at_once) as threads:
        for _ in threads.map(one_run, range(first, first + n_runs)):
            pass


def answer(found: dict[str, Any]) -> None:
    """The line that `benchmarks.peers` looks for: others may print what they like."""
    sys.stdout.write(f"\nFOUND {json.dumps(found)}\n")
