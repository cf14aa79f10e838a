"""P3: a process is killed at each step of an event's way, from the call in a training script to the browser.

The processes die by `argus_testkit.failpoints`: no line of the product knows of it, and a function that is renamed fails here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from argus_testkit import LocalStack, eventually
from argus_testkit.failpoints import Failpoints
from argus_testkit.faults import SOON_AGAIN, LiveCapture, Workload, check, is_full, seeded, settle

pytestmark = [pytest.mark.timeout(600), pytest.mark.rare]


@dataclass(frozen=True)
class Step:
    """`number`: of the call, from the moment on when the test is ready for it. dies: whose process it is."""

    name: str
    point: str
    when: Literal["before", "after"]
    number: int
    dies: Literal["sender", "sender at its end", "sync", "gateway", "ingest", "query", "rebuild"]


STEPS = [
    Step("spool written, the call not returned", "argus.spool:Lane.append", "after", 50, "sender"),
    Step("bounds of a message written", "argus.bounds:Bounds.fix", "after", 2, "sender"),
    Step("message formed, not sent", "argus.transport.nats:NatsTransport.publish", "before", 2, "sender"),
    Step("taken by the broker, not trimmed", "argus.transport.nats:NatsTransport.publish", "after", 2, "sender"),
    Step("known as stored, not trimmed", "argus.outbox:Outbox.stored", "after", 2, "sender"),
    Step("a new segment begun", "argus.rolling:open_next", "after", 1, "sender"),
    Step("a segment trimmed", "argus.tracks:Track.remove", "after", 1, "sender"),
    Step("all stored, the folder there", "argus.folders:give_back", "before", 1, "sender at its end"),
    Step("argus sync has sent something", "argus.courier:Courier._send", "after", 1, "sync"),
    Step("posted, not published", "argus_gateway.publish:Publisher.publish", "before", 3, "gateway"),
    Step("published, not answered", "argus_gateway.publish:Publisher.publish", "after", 3, "gateway"),
    Step("received, not parsed", "argus_ingest.accept:accept", "before", 3, "ingest"),
    Step("parsed, not in a transaction", "argus_ingest.accept:accept", "after", 3, "ingest"),
    Step("inserted, not committed", "argus_ingest.log:LogAppender._remember_received", "after", 3, "ingest"),
    Step("committed, not acknowledged", "argus_ingest.receive:Receiver._acknowledge", "before", 3, "ingest"),
    Step("acknowledged, not told", "argus_ingest.receive:Receiver._publish_watermarks", "before", 3, "ingest"),
    Step("read, not folded", "argus_query.log_reader:read_chunk", "after", 3, "query"),
    Step("folded into some, not committed", "argus_query.isolate:fold_into", "after", 6, "query"),
    Step("committed, no hint", "argus_query.hints:Hints.publish", "before", 3, "query"),
    Step("a question arrived, not answered", "argus_query.answers:Answers.answer", "before", 5, "query"),
    Step("a frame of the live stream sent", "argus_gateway.live_response:_send", "after", 3, "gateway"),
    Step("shadow tables made", "argus_query.schemas:make_tables", "after", 1, "rebuild"),
    Step("shadow filled, not swapped", "argus_query.schemas:swap_tables", "before", 1, "rebuild"),
    Step("swapped, not committed", "argus_query.schemas:swap_tables", "after", 1, "rebuild"),
]


class ArmedWorkload(Workload):
    """Its senders, and `argus sync`, die at failpoints too. Their segments are small."""

    def __init__(self, points: Failpoints, stack: LocalStack, folder: Path, name: str) -> None:
        settings = {**points.environment, "ARGUS_SPOOL_MAX_BYTES": "1000000"}
        super().__init__(stack, folder, seeded(name), n_jobs=1, events_per_s=200, settings=settings)


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Failpoints:
    return Failpoints(tmp_path_factory.mktemp("failpoints"), sorted({step.point for step in STEPS}))


@pytest.fixture(scope="module")
def stack_env(points: Failpoints) -> dict[str, str]:
    return {**points.environment, **SOON_AGAIN}


SERVICES = ("gateway", "ingest", "query")
ROWS = [{"sender"}, {"sender at its end", "sync"}, *({name} for name in SERVICES), {"rebuild"}]
"""In the short form the checker is asked once, after a row of kills; in the long one after each of them."""
MAX_SENDERS = 20
CHECKED = [[step] for step in STEPS] if is_full() else [[step for step in STEPS if step.dies in row] for row in ROWS]


def test_every_place_to_die_is_there(points: Failpoints) -> None:
    """A function that was renamed is named here at once, and not by senders that never begin."""
    modules = ", ".join(sorted({step.point.partition(":")[0] for step in STEPS}))
    environment = {**os.environ, **points.environment}
    done = subprocess.run(
        [sys.executable, "-c", f"import {modules}"], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("steps", CHECKED, ids=lambda steps: steps[0].name.replace(" ", "-"))
def test_a_kill_at_each_step_loses_doubles_and_invents_nothing(
    steps: list[Step], points: Failpoints, faulty_stack: LocalStack, tmp_path: Path
) -> None:
    stack, work = faulty_stack, ArmedWorkload(points, faulty_stack, tmp_path / "work", steps[0].name)
    try:
        with LiveCapture(stack, work.topics(MAX_SENDERS)) as capture:
            work.start()
            if steps[0].dies in SERVICES:
                work.start_raw("http")
            for step in steps:
                work.wait_for_more(30)
                points.arm(step.point, step.when, step.number)
                died_at = _provoke(step, points, work)
                stack.wait_ready(180)
                print(f"{step.name}: served again after {time.monotonic() - died_at:.1f} s", flush=True)
            if steps[-1].dies != "sync":
                work.wait_for_more(50)
            said = work.finish()
            settle(stack)
            check(stack, said, captures=[capture]).require()
            assert points.missing == []
    finally:
        points.disarm()
        work.kill()


def _provoke(step: Step, points: Failpoints, work: ArmedWorkload) -> float:
    """A process has died at the step; when that was seen. Whatever nobody starts again by itself is started again."""
    newest = list(work.senders.values())[-1]
    match step.dies:
        case "sender":
            points.wait_fired()
            assert newest.wait(60) == -signal.SIGKILL
            work.start()  # the next run sends what the dead one left
        case "sender at its end":
            newest.terminate()
            assert newest.wait(60) == -signal.SIGKILL
            work.start()
        case "sync":
            work.kill()
            died = subprocess.run(
                [sys.executable, "-m", "argus.cli", "sync"], env=work.environment, capture_output=True, check=False
            )
            assert died.returncode == -signal.SIGKILL, died.stderr
        case "rebuild":
            assert _rebuild(work.stack, points).returncode == -signal.SIGKILL
            eventually(lambda: _rebuild(work.stack, points).returncode == 0, 180, "the next rebuild succeeds")
        case "gateway" | "ingest" | "query":
            points.wait_fired()
    assert points.has_fired
    return time.monotonic()


def _rebuild(stack: LocalStack, points: Failpoints) -> subprocess.CompletedProcess[bytes]:
    program = Path(sys.executable).with_name("argus-query")
    environment = {**os.environ, **stack.environment_of("query"), **points.environment}
    return subprocess.run([program, "rebuild", "all"], env=environment, capture_output=True, check=False, timeout=120)
