"""Far more than Argus can carry: training processes that log as fast as the SDK takes it, and what became of all that.

`python -m argus_testkit.faults.flood BATCH_ID SECONDS` is one such process; it prints what it said (`Told`) as JSON.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import psutil

import argus
from argus_testkit.faults.observe import log_end
from argus_testkit.faults.watch import Watch
from argus_testkit.pages import await_projected, counts_of
from argus_testkit.stack import LocalStack

N_JOBS = 2
LINES_PER_EPOCH = 20
"""Lines may be dropped and points never: mostly lines, so that points alone do not fill a disk."""
SPOOL_BYTES = 8 * 1024 * 1024
"""What each sender may keep on disk,"""
STREAM_BYTES = 32 * 1024 * 1024
"""and the broker (set it for the stack: `SMALL`): both are full after seconds, not after a day."""
SMALL = {"ARGUS_EVENTS_MAX_BYTES": str(STREAM_BYTES)}
INGEST_SHARE = 0.02
"""Of the time ingest may run while the flood lasts, as in a container with a small part of a core."""
ASK_EVERY_S = 0.5
_TURN_S = 0.2


@dataclass(frozen=True, slots=True)
class Told:
    """What one process said, per job."""

    batch_id: str
    epochs: int
    lines: int
    seconds: float
    rss_bytes: int

    @property
    def n_events(self) -> int:
        return (self.epochs + self.lines) * N_JOBS


@dataclass(slots=True)
class Flooded:
    """What was offered, what was carried meanwhile, and where every event is."""

    told: list[Told]
    carried_per_s: float
    """Events that entered the log while the flood lasted."""
    drained_s: float
    """From its end until everything that was kept is in the read models."""
    points_lost: int
    jobs_not_ended: int
    lines_stored: int
    lines_dropped: int
    """As the pages of the runs say."""
    answers_s: list[float]
    """How long a page's requests took meanwhile. All of them were answered, or the flood would have raised."""
    rss_bytes: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def offered_per_s(self) -> float:
        return sum(told.n_events / told.seconds for told in self.told)

    @property
    def lines_unaccounted(self) -> int:
        """Lines said that are neither stored nor counted as dropped; negative: counted twice."""
        return sum(told.lines for told in self.told) * N_JOBS - self.lines_stored - self.lines_dropped


def flood(
    stack: LocalStack, folder: Path, environment: dict[str, str], *, n_senders: int, seconds: float, within: float
) -> Flooded:
    """`n_senders` processes log for `seconds` as fast as they can; then all that they kept is sent and projected.

    stack: started with `SMALL`. environment: of the senders; their spools hold at most `SPOOL_BYTES` each. Raises `NeverHappened` where it is not drained
    `within` so many seconds, and `httpx.HTTPError` where a page did not answer.
    """
    environment = {**environment, "ARGUS_SPOOL_MAX_BYTES": str(SPOOL_BYTES), "ARGUS_SPOOL_DIR": str(folder / "spool")}
    before = log_end(stack)
    with Watch(stack) as watch, stack.client() as client, throttled(stack.pid("ingest"), INGEST_SHARE) as throttle:
        senders = [
            subprocess.Popen(
                [sys.executable, "-m", __name__, f"flood-{n}", str(seconds)], env=environment, stdout=subprocess.PIPE
            )
            for n in range(n_senders)
        ]
        answers: list[float] = []
        try:
            while any(sender.poll() is None for sender in senders):
                answers.append(_ask(client))
                time.sleep(ASK_EVERY_S)
        finally:
            for sender in senders:
                sender.kill()
        carried = log_end(stack) - before
        throttle.set()
        told = [Told(**json.loads(sender.communicate()[0])) for sender in senders]
        ended = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "argus.cli", "sync", "--timeout", str(within)], env=environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        await_projected(client, log_end(stack), ended + within - time.monotonic())
        return Flooded(
            told, carried / max(one.seconds for one in told), time.monotonic() - ended, **_shown(client, told), answers_s=answers,
            rss_bytes={**watch.peak_rss, **{f"sender {one.batch_id}": one.rss_bytes for one in told}},
        )  # fmt: skip


@contextmanager
def throttled(pid: int, share: float) -> Iterator[threading.Event]:
    """The process runs for `share` of the time only, until the event is set or the block is left."""
    free, process = threading.Event(), psutil.Process(pid)

    def work() -> None:
        while not free.wait(_TURN_S * share):
            process.suspend()
            free.wait(_TURN_S * (1 - share))
            process.resume()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield free
    finally:
        free.set()
        worker.join()


def _ask(client: httpx.Client) -> float:
    began = time.monotonic()
    client.get("/api/batches").raise_for_status()
    return time.monotonic() - began


def _shown(client: httpx.Client, told: list[Told]) -> dict[str, int]:
    """What the pages say, beside what was told to them."""
    points_lost = jobs_not_ended = stored = dropped = 0
    for one in told:
        run = client.get(f"/api/batches/{one.batch_id}").raise_for_status().json()
        dropped += run["run"]["dropped"].get("log_lines", 0)
        for n in range(N_JOBS):
            job = counts_of(client, one.batch_id, f"job-{n}")
            points_lost += abs(one.epochs - job.points.get("loss", 0))
            jobs_not_ended += job.status != "succeeded"
            stored += job.lines
    return {
        "points_lost": points_lost, "jobs_not_ended": jobs_not_ended, "lines_stored": stored, "lines_dropped": dropped
    }  # fmt: skip


def main(batch_id: str, seconds: float) -> None:
    run = argus.init(project="flood", name=batch_id, batch_id=batch_id, resource_interval_s=0)
    jobs = [run.job(f"job-{n}") for n in range(N_JOBS)]
    began, epochs = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for job in jobs:
            job.epoch(epochs, step=epochs, loss=1.0 / (epochs + 1))
            for line in range(LINES_PER_EPOCH):
                job.log(f"epoch {epochs}, batch {line}: nothing that anybody will ever read")
        epochs += 1
    spent = time.monotonic() - began
    for job in jobs:
        job.finish()
    run.finish()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(asdict(Told(batch_id, epochs, epochs * LINES_PER_EPOCH, spent, rss))))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
