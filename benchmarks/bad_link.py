"""A sender behind a long, thin link (256 kbit/s, 300 ms late, give or take 100): how much of it carries events, and none twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import orjson
import zstandard

from argus_testkit.proxy import FaultProxy
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure
from benchmarks.stacks import running_stack, sender_environment

BYTES_PER_S = 32_000
SECONDS = 40.0
WARM_UP_S = 8.0
SCRIPT = """
import argus, json, os, sys, time
with argus.init(batch_id=sys.argv[1], resource_interval_s=0) as run, run.job("job") as job:
    job.log("begun")
    argus.flush(60)
    print("ready", flush=True)
    sys.stdin.readline()
    n = 0
    until = time.monotonic() + float(sys.argv[2])
    while time.monotonic() < until:  # more than goes through the link
        for _ in range(40):
            job.epoch(n, train_loss=1 / (n + 1), val_loss=2 / (n + 1))
            n += 1
        time.sleep(0.1)
    before = os.times()
    print(json.dumps({"said": n, "processor_s": before.user + before.system}), flush=True)
    sys.stdin.readline()
    os._exit(0)  # what waits is not the question
"""

PROFILE = """
Counted is the JSON of the events as the log has it, so what NATS, HTTP, TCP and the numbers of a message add is not. 400 points a second are
said and about 140 fit; the rest waits on disk. Over HTTPS a bundle is sent and answered before the next, so the line is idle for a
round trip (0.6 to 1 s) each time; larger bundles would make up for it, and lose more where a link breaks.
"""


def measure() -> list[Figure]:
    figures: list[Figure] = []
    with running_stack() as stack:
        for door in ("nats", "http"):
            figures += _through(stack, door)
    return figures


def _through(stack: LocalStack, door: str) -> list[Figure]:
    port = stack.facts.nats.port if door == "nats" else stack.port
    with FaultProxy(port) as proxy:
        environment = {**sender_environment(stack), "ARGUS_URL": f"{door}://127.0.0.1:{proxy.port}"}
        asked = [sys.executable, "-c", SCRIPT, f"link-{door}", str(SECONDS + WARM_UP_S)]
        with subprocess.Popen(
            asked, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as sender:
            assert sender.stdin is not None
            assert sender.stdout is not None
            sender.stdout.readline()
            proxy.slow(delay_s=0.2, jitter_s=0.2, bytes_per_s=BYTES_PER_S)
            sender.stdin.write("\n")
            sender.stdin.flush()
            time.sleep(WARM_UP_S)
            before, began = _stored(stack, door), time.monotonic()
            time.sleep(SECONDS - 1)
            after, spent = _stored(stack, door), time.monotonic() - began
            said = json.loads(sender.stdout.readline())
            sender.stdin.write("\n")
    share = (after[1] - before[1]) / spent / BYTES_PER_S * 100
    return [
        Figure(f"{door}: events of all that the link carries", share, 60, "%", "higher"),
        Figure(f"  {door}: events stored", (after[0] - before[0]) / spent, None, "events/s", "higher"),
        Figure(f"  {door}: events said", said["said"] / (SECONDS + WARM_UP_S), None, "events/s"),
        Figure(f"  {door}: stored twice", after[0] - after[2], 0, "events"),
    ]


def _stored(stack: LocalStack, door: str) -> tuple[int, int, int]:
    """Events in the log of this sender, the bytes of their JSON, and how many different ones there are."""
    n_events, n_bytes, ids = 0, 0, set[str]()
    with stack.database() as database:
        rows = database.execute("SELECT payload FROM log.record_batches WHERE batch_id = %s", [f"link-{door}"])
        for (payload,) in rows:
            raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=64 << 20)
            events = orjson.loads(raw)["events"]
            n_events += len(events)
            n_bytes += len(raw)
            ids |= {event["event_id"] for event in events}
    return n_events, n_bytes, len(ids)
