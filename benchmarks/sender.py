"""One training process of the end-to-end benchmark: `python -m benchmarks.sender SECONDS RUN_NAME`.

Logs as fast as it is told (ARGUS_BENCH_RATE events/s, 0: as fast as it can) and prints, as its ledger, what it said:
one JSON object with batch_id, epochs (by job) and log lines (by job).
"""

from __future__ import annotations

import json
import os
import sys
import time

import argus

N_JOBS = 2
LINES_PER_EPOCH = 1


def main() -> None:
    seconds, name = float(sys.argv[1]), sys.argv[2]
    rate = float(os.environ.get("ARGUS_BENCH_RATE", "0"))
    run = argus.init(project="bench", name=name, batch_id=name)
    jobs = [run.job(f"job-{n}", epochs=10**9) for n in range(N_JOBS)]
    said = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for job in jobs:
            for _ in range(25):
                job.epoch(said, step=said, train_loss=1.0 / (said + 1), val_loss=2.0 / (said + 1))
                job.log(f"epoch {said} train_loss {1.0 / (said + 1):.5f} val_loss {2.0 / (said + 1):.5f}")
                said += 1
        if rate:
            ahead = said * (1 + LINES_PER_EPOCH) / rate - (time.perf_counter() - began)
            if ahead > 0:
                time.sleep(ahead)
    each = said // N_JOBS
    spent = time.perf_counter() - began
    for job in jobs:
        job.finish()
    run.finish()
    used = os.times()
    ledger = {
        "batch_id": name,
        "epochs": {f"job-{n}": each for n in range(N_JOBS)},
        "seconds": spent,
        "processor_seconds": used.user + used.system,
    }
    print(json.dumps(ledger))


if __name__ == "__main__":
    main()
