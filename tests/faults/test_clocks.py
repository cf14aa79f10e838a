"""C1, C2: clocks that are wrong or step, of training machines and of Argus' own services.

PostgreSQL keeps the true time: events are received by its clock. That it steps back too is what a head of the log in the future says.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from argus_testkit import LocalStack, eventually
from argus_testkit.failpoints import Clock
from argus_testkit.faults import LiveCapture, Said, Workload, check, pick, seeded, settle

pytestmark = pytest.mark.rare
HOUR_S, DAY_S = 3_600.0, 86_400.0
SKEWS = {"a day behind": -DAY_S, "a day ahead": DAY_S, "ten minutes ahead": 600.0, "steps back in the middle": 0.0}

FLAGGED = {"a day behind": -1, "a day ahead": 1, "ten minutes ahead": 1, "steps back in the middle": 0}
"""The sign of the flag. A clock that steps back during a run goes on from where it was (`argus.clock`)."""


@pytest.fixture(scope="module")
def servers_clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """Of ingest, query, deleter and gateway."""
    return Clock(tmp_path_factory.mktemp("clock") / "offset")


@pytest.fixture(scope="module")
def stack_env(servers_clock: Clock) -> dict[str, str]:
    return servers_clock.environment


def get(stack: LocalStack, path: str) -> Any:
    with stack.client() as client:
        return client.get(path).raise_for_status().json()


def run_of(stack: LocalStack, batch_id: str) -> dict[str, Any]:
    return get(stack, f"/api/batches/{batch_id}")["run"]


def flagged(run: dict[str, Any]) -> int:
    offset = run["clock_offset_s"]
    return 0 if offset is None else 1 if offset > 0 else -1


def status_of(stack: LocalStack, batch_id: str) -> str | None:
    """None while the run is not there. OSError while Argus cannot answer: that says nothing of the run."""
    with stack.client() as client:
        answer = client.get(f"/api/batches/{batch_id}")
    if answer.status_code == 404:
        return None
    if answer.status_code != 200:
        raise OSError(answer.text)
    run = answer.json()["run"]
    return "disconnected" if run["disconnected_since"] else run["status"]


def test_senders_whose_clocks_are_wrong(faulty_stack: LocalStack, tmp_path: Path) -> None:
    """C1. Order is by number, no duration is negative, and whether a run is alive is told by Argus' clock."""
    stack = faulty_stack
    works: dict[str, Workload] = {}
    clocks = {name: Clock(tmp_path / f"clock-{number}", skew) for number, (name, skew) in enumerate(SKEWS.items())}
    try:
        for number, (name, clock) in enumerate(clocks.items()):
            works[name] = Workload(
                stack, tmp_path / f"work-{number}", seeded(name), n_jobs=2, events_per_s=50, settings=clock.environment
            )
        topics = [f"job:{work.name}-0/job-{n}" for work in works.values() for n in range(2)]
        with LiveCapture(stack, topics) as capture:
            for work in works.values():
                work.start()
            for work in works.values():
                work.wait_for_more(50)
            for work in works.values():
                eventually(lambda work=work: status_of(stack, f"{work.name}-0") == "running", 90)
            clocks["steps back in the middle"].set(-HOUR_S)
            for work in works.values():
                work.wait_for_more(50)
            began = {name: run_of(stack, f"{work.name}-0") for name, work in works.items()}
            for name, run in began.items():
                last_seen = datetime.fromisoformat(run["last_seen_at"])
                assert abs(datetime.now(UTC) - last_seen) < timedelta(minutes=5), f"{name}: seen by Argus' own clock"
                assert (run["status"], run["disconnected_since"]) == ("running", None), name
                assert flagged(run) == FLAGGED[name], f"{name}: the page says it"
            said = Said()
            for work in works.values():
                part = work.finish()
                said.ok |= part.ok
                said.unknown |= part.unknown
            settle(stack)
            check(stack, said, captures=[capture]).require()
        for name, work in works.items():
            run = run_of(stack, f"{work.name}-0")
            jobs = get(stack, f"/api/batches/{work.name}-0/jobs")["items"]
            assert {run["status"], *(job["status"] for job in jobs)} == {"aborted"}, f"{name}: told to end by SIGTERM"
            assert run["elapsed_s"] >= 0, name
            assert all(0 <= job["elapsed_s"] < HOUR_S / 2 for job in jobs), (name, jobs)
    finally:
        for work in works.values():
            work.kill()


def test_the_clocks_of_the_services_step(faulty_stack: LocalStack, servers_clock: Clock, tmp_path: Path) -> None:
    """C2. An hour ahead, an hour behind, and back: no run is called dead that beats, nobody is locked out or let in, nothing is lost."""
    stack = faulty_stack
    work = Workload(stack, tmp_path / "work", seeded("steps"), n_jobs=2, events_per_s=100)
    try:
        topics = [f"job:{work.name}-{sender}/job-{n}" for sender in range(4) for n in range(2)]
        with LiveCapture(stack, topics) as capture:
            work.start()
            work.wait_for_more(50)
            eventually(lambda: status_of(stack, f"{work.name}-0") == "running", 90)
            for seconds in (HOUR_S, -HOUR_S, 0.0):
                servers_clock.set(seconds)
                time.sleep(pick(0.5, 60.0))
                work.start()  # a new connection to the broker, with rights that the gateway signs by its own clock
                newest = list(work.senders)[-1]
                eventually(lambda newest=newest: status_of(stack, newest) == "running", 90, f"{seconds:+.0f} s: let in")
                statuses = {one: eventually(lambda one=one: status_of(stack, one)) for one in work.senders}
                assert set(statuses.values()) == {"running"}, f"{seconds:+.0f} s: {statuses}"
                work.wait_for_more(50)
                # The object store has its own clock, and takes no signature of another hour: the deleter says so, and waits.
                stack.wait_ready(120, but_for={"deleter"} if seconds else ())
            said = work.finish()
            settle(stack)
            check(stack, said, captures=[capture]).require()
    finally:
        servers_clock.set(0)
        work.kill()


def test_the_clock_of_the_database_has_stepped_back(faulty_stack: LocalStack, tmp_path: Path) -> None:
    """C2. Events were received an hour in the future: later ones are not received before them, and nobody is called dead for it."""
    stack = faulty_stack
    work = Workload(stack, tmp_path / "work", seeded("database"), n_jobs=2, events_per_s=100)
    try:
        work.start()
        work.wait_for_more(50)
        with stack.database() as database:
            database.execute("UPDATE log.head SET received_at = received_at + interval '1 hour'")
        work.wait_for_more(100)
        (batch_id,) = work.senders
        eventually(lambda: status_of(stack, batch_id) == "running", 90)
        said = work.finish()
        settle(stack)
        check(stack, said).require()
        with stack.database() as database:
            fell = database.execute(
                "SELECT count(*) FROM (SELECT received_at < lag(received_at) OVER (ORDER BY first_position) AS fell"
                " FROM log.record_batches) AS rows WHERE fell"
            ).fetchone()
        assert fell == (0,), "the time of receipt never falls"
        assert status_of(stack, batch_id) == "aborted", "told to end by SIGTERM"
    finally:
        work.kill()
