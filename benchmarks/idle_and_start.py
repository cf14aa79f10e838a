"""The whole stack while nobody uses it, and how long it takes to start.

Memory is the proportional share (PSS): what processes share counts once. By program: the children of the supervisor.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import psutil

from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure
from benchmarks.stacks import running_stack

SECONDS = float(os.environ.get("ARGUS_BENCH_IDLE_SECONDS", "60"))
SETTLE_SECONDS = 15
N_STARTS = 2
MIB = 2**20

PROFILE = """
Most of the memory is Python's: five processes (ingest, query's answers and projector, gateway, supervisor) of 40 to 80 MiB
each, mostly modules; PostgreSQL's shared buffers grow with use up to 128 MiB. Idle time goes to polling once a second (log
position, health), and to one request a second by which ingest waits for messages. Before, ingest asked 33 times a second, in two
requests each, and looked twice a second whether somebody waits: 73 messages a second through the broker, now 1.5, and 5.5 % of a
core for both programs, now 0.8.
"""


def measure() -> list[Figure]:
    began = time.monotonic()
    with running_stack() as stack:
        figures = [Figure("start of a new, empty one", time.monotonic() - began, None, "s")]
        time.sleep(SETTLE_SECONDS)
        figures += _idle(stack)
        starts = [_restart(stack) for _ in range(N_STARTS)]
    return [Figure(f"start of one that exists, the slowest of {N_STARTS}", max(starts), 10, "s"), *figures]


def _idle(stack: LocalStack) -> list[Figure]:
    programs = _programs(stack)
    before = {name: _processor(processes) for name, processes in programs.items()}
    began = time.monotonic()
    time.sleep(SECONDS)
    seconds = time.monotonic() - began
    shares = {name: (_processor(processes) - before[name]) / seconds * 100 for name, processes in programs.items()}
    memory = {name: _memory(processes) / MIB for name, processes in programs.items()}
    return [
        Figure("memory of all processes (PSS)", sum(memory.values()), 1024, "MiB"),
        Figure(f"processor over {seconds:.0f} s", sum(shares.values()), 5, "% of a core"),
        *(Figure(f"  {name}: memory", memory[name], None, "MiB") for name in memory),
        *(Figure(f"  {name}: processor", shares[name], None, "% of a core") for name in shares),
    ]


def _programs(stack: LocalStack) -> dict[str, list[psutil.Process]]:
    """Each program with all processes below it; `supervisor` is the one that started them."""
    assert stack.process is not None
    supervisor = psutil.Process(stack.process.pid)
    families = {psutil.Process(stack.pid(name)): name for name in stack.status()}
    programs: dict[str, list[psutil.Process]] = {name: [] for name in (*families.values(), "supervisor")}
    for process in [supervisor, *supervisor.children(recursive=True)]:
        line = [process, *process.parents()]
        programs[next((families[one] for one in line if one in families), "supervisor")].append(process)
    return programs


def _processor(processes: Iterable[psutil.Process]) -> float:
    """Seconds, of those that are still there."""
    spent = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        spent += times.user + times.system
    return spent


def _memory(processes: Iterable[psutil.Process]) -> int:
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return total


def _restart(stack: LocalStack) -> float:
    """Seconds from the command until everything answers."""
    stack.stop()
    began = time.monotonic()
    stack.start()
    return time.monotonic() - began
