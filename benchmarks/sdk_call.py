"""One `job.epoch` and one `job.log` call, at full speed with a whole Argus at work beside it, and at a training's pace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure

N_CALLS = 200_000
N_PACED = 2_000

SCRIPT = f"""
import json, time
import argus

def timed(call, n, pause_s):
    clock, spans = time.perf_counter_ns, []
    for number in range(n):
        began = clock()
        call(number)
        spans.append(clock() - began)
        if pause_s:
            time.sleep(pause_s)
    spans.sort()
    return [spans[n // 2] / 1000, spans[n * 99 // 100] / 1000]

run = argus.init(project="bench", batch_id="sdk-call")
job = run.job("job")
epoch = lambda n: job.epoch(n, train_loss=0.5, val_loss=0.25, lr=0.001)
log = lambda n: job.log("epoch 17: train_loss 0.5, val_loss 0.25, 3.2 s")
time.sleep(1)
found = {{}}
for name, call in (("job.epoch", epoch), ("job.log", log)):
    found[f"{{name}}, without a pause"] = timed(call, {N_CALLS}, 0)
    found[f"{{name}}, every ms"] = timed(call, {N_PACED}, 0.001)
print(json.dumps(found))
run.finish()
"""

PROFILE = """
Without a pause a call is `orjson`, a checksum and one `write`. After a pause of a millisecond the same call needs several times as
much processor time (`time.thread_time_ns` around it says the same as the clock): caches and branch predictors are cold. That is also
so where nothing is sent at all: at a load of 25, median 18 and p99 61 µs without a URL, 20 and 85 µs with one. So the sender's
thread costs the call a third at p99; one in a thousand waits for the interpreter lock while that thread holds it (1.2 ms, 0.1 without).
It makes 20 turns a second; publishing takes one task a message now instead of three, which took a quarter off its time.
"""


def measure() -> list[Figure]:
    """Median and 99th percentile of each call, in µs; on disk when it returns."""
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as name:
        folder = Path(name)
        stack = LocalStack(folder / "home")
        stack.start()
        try:
            environment = {
                **os.environ,
                "ARGUS_URL": stack.facts.nats.url,
                "ARGUS_TOKEN": stack.credentials.token,
                "ARGUS_SPOOL_DIR": str(folder / "spool"),
            }
            done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, check=True)
        finally:
            stack.stop()
    figures: list[Figure] = []
    for what, (median, p99) in json.loads(done.stdout).items():
        goals = (
            (6, 50) if "without" in what else (None, None)
        )  # with pauses it is the other processes that one measures
        figures += [Figure(f"{what}: median", median, goals[0], "µs"), Figure(f"{what}: p99", p99, goals[1], "µs")]
    return figures
