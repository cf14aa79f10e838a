"""What it costs a training process that its output is captured while it prints far too much."""

from __future__ import annotations

import os
import subprocess
import sys

from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure
from benchmarks.stacks import running_stack, sender_environment

SECONDS = 15.0
LINE_BYTES = 100_000_000
SCRIPT = """
import contextlib, os, sys, time
import argus

def bars(seconds):
    until = time.monotonic() + seconds
    n = 0
    while time.monotonic() < until:  # a progress bar a thousand times a second
        sys.stdout.write(f"\\r{n:8d}/1000000 [{'=' * (n % 40):40}] loss 0.12345")
        sys.stdout.flush()
        n += 1
        time.sleep(0.001)

def one_line(n_bytes):
    for _ in range(n_bytes // 100_000):
        sys.stdout.write("x" * 100_000)

what = {"bars": bars, "line": one_line}[sys.argv[1]]
captured = sys.argv[2] == "captured"
with argus.init(capture_output=True) if captured else contextlib.nullcontext():
    time.sleep(1)
    before = os.times()
    what(float(sys.argv[3]) if what is bars else int(sys.argv[3]))
    after = os.times()
sys.stderr.write(f"\\nUSED {after.user + after.system - before.user - before.system}\\n")
"""

PROFILE = """
The processor time of the whole process while it prints, less that of the same script without Argus: the capture, the writing of the few
lines that it lets through (one a second of a bar that is drawn over itself), the samples of the machine, and the sender.
"""


def measure() -> list[Figure]:
    with running_stack() as stack:
        bars = _used(stack, "bars", SECONDS) - _used(stack, "bars", SECONDS, captured=False)
        line = _used(stack, "line", LINE_BYTES) - _used(stack, "line", LINE_BYTES, captured=False)
    return [
        Figure("progress bars, 1,000 a second: of one processor", bars / SECONDS * 100, 5, "%"),
        Figure("one line of 100 MB: processor time", round(line, 2), None, "s"),
    ]


def _used(stack: LocalStack, what: str, much: float, *, captured: bool = True) -> float:
    """Seconds of processor time."""
    asked = [sys.executable, "-c", SCRIPT, what, "captured" if captured else "plain", f"{much:.0f}"]
    environment = {**os.environ, **sender_environment(stack)}
    done = subprocess.run(
        asked, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True
    )
    return float(done.stderr.rsplit("USED ", 1)[1])
