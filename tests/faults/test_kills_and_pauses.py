"""P1, P2, P5, X3: processes are killed, told to end, frozen and doubled while training goes on. Nobody's hand is needed."""

from __future__ import annotations

import random
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from argus_local.ports import free_port
from argus_testkit import LocalStack, ServiceProcess, eventually
from argus_testkit.faults import SOON_AGAIN, LiveCapture, Verdict, Watch, Workload, check, pick, settle
from argus_testkit.faults.observe import log_end

PROGRAMS = ("ingest", "query", "projector", "deleter", "gateway", "nats", "postgres", "s3")
SENDER = "a training process"
N_JOBS = 2
RECOVERED_WITHIN_S = 180.0
"""The goal is 10 s on a machine that has nothing else to do; the figures are printed."""
Workloads = Callable[..., Workload]


@dataclass
class Report:
    """What happened, and how long it took until an event that was said afterwards could be seen."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def note(self, what: str, seconds: float) -> None:
        self.times[what].append(seconds)
        print(f"{what}: serving again after {seconds:.1f} s", flush=True)

    def __str__(self) -> str:
        rows = [f"{'fault':<28} {'times':>5} {'median s':>9} {'longest s':>9}"]
        for what, times in sorted(self.times.items()):
            ordered = sorted(times)
            rows.append(f"{what:<28} {len(times):>5} {ordered[len(times) // 2]:>9.1f} {ordered[-1]:>9.1f}")
        return "\n".join(rows)


class Day:
    """A day of training on one stack: senders, somebody who watches, and a checker at its end."""

    def __init__(self, stack: LocalStack, work: Workload, entered: ExitStack) -> None:
        self.stack, self.work, self.report = stack, work, Report()
        self.max_senders = 20
        topics = [f"job:{work.name}-{sender}/job-{n}" for sender in range(self.max_senders) for n in range(N_JOBS)]
        self.capture = entered.enter_context(LiveCapture(stack, topics))
        self.watch = entered.enter_context(Watch(stack))
        work.start(2, n_jobs=N_JOBS)
        work.start_raw("http", n_jobs=N_JOBS)
        work.start_raw("nats", n_jobs=N_JOBS)
        eventually(lambda: self._has_begun(), 180, "every sender has begun")

    def _has_begun(self) -> bool:
        return {key.batch_id for key in self.work.said().ok} == set(self.work.senders)

    def wait_serving(self, what: str) -> None:
        """An event that was said after this call is on its page, and every program is ready."""
        began, end = time.monotonic(), log_end_or_none(self.stack)
        eventually(lambda: self._serves(end), RECOVERED_WITHIN_S, f"after {what} everything works again")
        self.report.note(what, time.monotonic() - began)

    def _serves(self, end: int | None) -> bool:
        if not all(program.is_ready() for program in self.stack.facts.programs()):
            return False
        try:
            with self.stack.client() as client:
                said = client.get("/api/position").raise_for_status().json()
        except httpx.HTTPError:
            return False
        return said["projected"] > (end if end is not None else -1)

    def end(self) -> Verdict:
        said = self.work.finish()
        settle(self.stack)
        verdict = check(self.stack, said, captures=[self.capture], watch=self.watch)
        print(f"{self.report}\nlargest process: {self.watch.largest}")
        return verdict.require()


def log_end_or_none(stack: LocalStack) -> int | None:
    try:
        return log_end(stack)
    except Exception as error:  # Postgres has just been killed: whatever is projected will do
        print(f"  (the log cannot be asked: {type(error).__name__})")
        return None


def process_of(stack: LocalStack, name: str) -> psutil.Process:
    """The process of a program; the projector is the child of query."""
    if name != "projector":
        return psutil.Process(eventually(lambda: stack.pid(name)))
    query = psutil.Process(eventually(lambda: stack.pid("query")))
    return eventually(lambda: next(iter(query.children()), None), what="query has its projector")


@pytest.fixture(scope="module")
def stack_env() -> dict[str, str]:
    return SOON_AGAIN


@pytest.fixture
def day(faulty_stack: LocalStack, workload: Workloads) -> Callable[[ExitStack], Day]:
    """`day(entered)`: senders run, and somebody watches until `entered` is left."""
    faulty_stack.wait_ready(120)
    return lambda entered: Day(faulty_stack, workload(n_jobs=N_JOBS, events_per_s=pick(100.0, 500.0)), entered)


def test_kill_storm(day: Callable[[ExitStack], Day], storm_seconds: float) -> None:
    """P1. Each of them is killed at least once, then whichever chance says, at moments that chance says."""
    with ExitStack() as entered:
        today = day(entered)
        dice = today.work.dice
        ends_at, row = time.monotonic() + storm_seconds, _shuffled(dice)
        while row or time.monotonic() < ends_at:
            victim = row.pop() if row else dice.choice([*PROGRAMS, SENDER])
            if victim == SENDER:
                _kill_a_sender(today, dice)
            else:
                process_of(today.stack, victim).kill()
            today.wait_serving(f"kill -9 {victim}")
            time.sleep(dice.uniform(*pick((0.2, 1.5), (2.0, 10.0))))
        today.end()


@pytest.fixture
def storm_seconds() -> float:
    """ARGUS_FAULTS_STORM_SECONDS, or what the form of the run says."""
    import os

    return float(os.environ.get("ARGUS_FAULTS_STORM_SECONDS") or pick(0.0, 600.0))


def _shuffled(dice: random.Random) -> list[str]:
    row = [*PROGRAMS, SENDER]
    dice.shuffle(row)
    return row


def _kill_a_sender(today: Day, dice: random.Random) -> None:
    """The host of a training run goes down; the next run on it finds the spool. Raw senders have none: they are left alone."""
    with_spool = [
        name for name, sender in today.work.senders.items() if sender.poll() is None and _has_sdk(sender.args)
    ]
    sender = today.work.senders[dice.choice(with_spool)]
    sender.kill()
    sender.wait()
    if len(today.work.senders) < today.max_senders:
        today.work.start(n_jobs=N_JOBS)


def _has_sdk(arguments: object) -> bool:
    return "argus_testkit.faults.sender" in str(arguments)


@pytest.mark.rare
def test_rolling_restart(day: Callable[[ExitStack], Day]) -> None:
    """P2. SIGTERM to one service after the other: what is in flight is finished, and nobody who watches misses anything."""
    with ExitStack() as entered:
        today = day(entered)
        for _ in range(pick(1, 10)):
            for name in ("ingest", "query", "gateway"):
                process, began = process_of(today.stack, name), time.monotonic()
                process.terminate()
                process.wait(120)
                print(f"{name} ended {time.monotonic() - began:.1f} s after SIGTERM")
                today.wait_serving(f"SIGTERM {name}")
        today.end()
        assert today.capture.connections > 1


@pytest.mark.rare
def test_a_frozen_process_wakes_up_and_nothing_is_lost_or_done_twice(day: Callable[[ExitStack], Day]) -> None:
    """X3. A long pause of a machine: longer than the broker waits for an acknowledgement, in the long form."""
    with ExitStack() as entered:
        today = day(entered)
        before = {name: process_of(today.stack, name).pid for name in PROGRAMS}
        for name in PROGRAMS:
            process = process_of(today.stack, name)
            family = [process, *process.children(recursive=True)]
            for member in family:
                member.send_signal(signal.SIGSTOP)
            time.sleep(pick(2.0, 90.0))
            for member in family:
                member.send_signal(signal.SIGCONT)
            today.wait_serving(f"SIGSTOP {name}")
        today.end()
        after = {name: process_of(today.stack, name).pid for name in PROGRAMS}
        print({name: "the same process" if before[name] == after[name] else "restarted" for name in PROGRAMS})


@pytest.mark.rare
def test_two_of_everything_by_mistake(day: Callable[[ExitStack], Day], tmp_path: Path) -> None:
    """P5. Nothing is done twice; and when the first of two goes, the second does its work."""
    doubles: list[ServiceProcess] = []
    with ExitStack() as entered:
        today = day(entered)
        stack = today.stack
        try:
            for name in ("ingest", "query", "gateway"):
                port = str(free_port())
                health = {"ARGUS_PORT": port} if name == "gateway" else {"ARGUS_HEALTH_PORT": port}
                double = ServiceProcess(f"argus-{name}", {**stack.environment_of(name), **health}, tmp_path)
                doubles.append(double)
                double.start(120)
            eventually(lambda: "another projector works on this database" in doubles[1].logs())
            for name in ("ingest", "query", "gateway"):
                stack.put_down(name)
                _wait_for_more(today, doubles[2].url, name)
                stack.put_up(name)
                today.wait_serving(f"{name} is back beside its double")
        finally:
            for double in doubles:
                double.stop()
        stack.wait_ready(120)
        today.end()


def _wait_for_more(today: Day, url: str, gone: str) -> None:
    """The double alone takes events, folds and answers: what is said now is seen through the second gateway."""
    began, end = time.monotonic(), log_end(today.stack)
    headers = {"Authorization": f"Bearer {today.stack.credentials.token}"}

    def is_further() -> bool:
        answer = httpx.get(f"{url}/api/position", headers=headers, timeout=10)
        return answer.status_code == 200 and answer.json()["projected"] > end + 50

    def looks() -> bool:
        try:
            return is_further()
        except httpx.HTTPError:
            return False

    eventually(looks, RECOVERED_WITHIN_S, f"the double of {gone} has taken over")
    today.report.note(f"takeover of {gone}", time.monotonic() - began)
