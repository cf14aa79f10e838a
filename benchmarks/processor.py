"""Processor time of a running stack, by program: what one event costs, whoever else is busy on the machine."""

from __future__ import annotations

import contextlib
from collections import defaultdict

import psutil

_PROGRAMS = (
    ("argus_query project", "projector"),
    ("argus-query", "query answers"),
    ("argus-ingest", "ingest"),
    ("argus-gateway", "gateway"),
    ("nats-server", "nats-server"),
    ("rclone", "s3"),
    ("argus_local", "supervisor"),
)
"""What a command line has in it, and what we call the program; the first that fits."""


def processor_seconds(root: int) -> dict[str, float]:
    """Seconds of processor time, system time included, that process `root` and all below it have used, by program.

    PostgreSQL's processes are told apart by the role that they work for; what has ended counts with its parent.
    """
    seconds: dict[str, float] = defaultdict(float)
    for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            name = _name_of(process)
            seconds[name] += used.user + used.system
            if name == "postgres":
                seconds[name] += used.children_user + used.children_system
    return seconds


def _name_of(process: psutil.Process) -> str:
    words = process.cmdline()
    line = " ".join(words)
    if line.startswith("postgres: "):
        role = line.removeprefix("postgres: ").split()[0].rstrip(":")
        return f"postgres for {role.removeprefix('argus_')}" if role.startswith("argus") else "postgres"
    if process.name() == "postgres":
        return "postgres"
    return next((name for part, name in _PROGRAMS if part in line), process.name())
