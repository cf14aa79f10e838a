"""A training process with the real SDK, as a test asks for it: `python -m argus_testkit.faults.sender '{"batch_id": …}'`.

Says points and log lines in turn, at a steady rate, and keeps a ledger: `ok` means that the SDK's call returned. Ends after
`seconds` or on SIGTERM, as a script does (`finish`), and writes beside the ledger how long its calls took.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import argus.producer
import argus.reporter
from argus_testkit.faults.ledger import Ledger
from argus_testkit.faults.payloads import LINE, POINT, Key, line_crc, line_text, point_crc, point_metrics

TURN_S = 0.05


def main(asked: dict[str, Any]) -> None:
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    if "heartbeat_s" in asked:
        argus.producer.HEARTBEAT_S = argus.reporter.HEARTBEAT_S = asked["heartbeat_s"]
    path = Path(asked["ledger"])
    ledger, dice, calls = Ledger(path), random.Random(asked["seed"]), list[float]()
    run = argus.init(project="faults", name=asked["batch_id"], batch_id=asked["batch_id"], resource_interval_s=0)
    jobs = [run.job(f"job-{n}") for n in range(asked["n_jobs"])]
    began, said = time.monotonic(), 0
    while (spent := time.monotonic() - began) < asked["seconds"] and not stopped:
        due = int(spent * asked["events_per_s"]) - said
        events = [_event(asked["batch_id"], asked["n_jobs"], said + n, dice) for n in range(due)]
        if events:
            ledger.intend([(key, crc) for key, crc, _ in events])
        for key, _, what in events:
            job, at = jobs[int(key.job_id[4:])], time.perf_counter()
            if isinstance(what, str):
                job.log(what)
            else:
                job.epoch(key.seq, step=key.seq, **what)
            calls.append(time.perf_counter() - at)
            ledger.outcome([key], "ok")
            if asked.get("line_bytes"):
                run.log("x" * asked["line_bytes"])  # ballast, of no job and in no ledger
        said += len(events)
        time.sleep(TURN_S)
    ledger.close()
    before = time.monotonic()
    run.finish()
    calls.sort()
    figures = {
        "said": said,
        "finish_s": time.monotonic() - before,
        "call_p50_us": calls[len(calls) // 2] * 1e6 if calls else 0.0,
        "call_p99_us": calls[len(calls) * 99 // 100] * 1e6 if calls else 0.0,
        "call_max_ms": calls[-1] * 1e3 if calls else 0.0,
    }
    path.with_suffix(".figures").write_text(json.dumps(figures))


def _event(batch_id: str, n_jobs: int, number: int, dice: random.Random) -> tuple[Key, int, str | dict[str, float]]:
    """Event `number` of the sender: (key, crc, the line or the metrics)."""
    turn, job = divmod(number, n_jobs)
    seq, is_line = divmod(turn, 2)
    if is_line:
        key, noise = Key(batch_id, f"job-{job}", LINE, seq), f"{dice.getrandbits(64):016x}"
        return key, line_crc(key, noise), line_text(key, noise)
    key, value = Key(batch_id, f"job-{job}", POINT, seq), dice.random()
    return key, point_crc(key, value), point_metrics(key, value)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
