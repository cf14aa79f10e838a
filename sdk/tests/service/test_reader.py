"""`argus.Reader` against a real Argus: what was said comes back, all of it."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any
from uuid import uuid4

import pytest

import argus
from argus_testkit.stack import LocalStack

N_STEPS = 25_000
SAID = """
with argus.init(batch_id={batch_id!r}, project="read", labels=["ä b"], resource_interval_s=0) as run:
    with run.job("a/b", params={{"lr": 0.1}}) as job:
        for step in range({n_steps}):
            job.epoch(step, loss=1 / (step + 1))
            if step % 5_000 == 0:
                job.epoch(step, odd=[float("nan"), float("inf"), -float("inf"), 1.5, 2][step // 5_000])
            if step % 5 == 0:
                job.epoch(step, hot=float("inf"))
        for n in range(12_000):
            job.epoch(7, same=n)
        job.epoch(1, **{{"a,b": 1.0, "a": 2.0, "b": 3.0, "cpu_pct": 4.0}})
    for n in range(3):
        run.job(f"job-{{n}}").finish()
assert argus.flush(60)
"""


@pytest.fixture
def reader(stack: LocalStack) -> Any:
    with argus.Reader(stack.url, stack.credentials.token) as reader:
        yield reader


def test_what_was_said_comes_back(stack: LocalStack, scripts: Any, until: Any, reader: argus.Reader) -> None:
    batch_id = f"read-{uuid4().hex[:8]}"
    script = SAID.format(batch_id=batch_id, n_steps=N_STEPS)
    code, _, err = scripts.run(script, ARGUS_URL=stack.url, ARGUS_TOKEN=stack.credentials.token)
    assert (code, scripts.complaints(err)) == (0, [])
    log = reader.get("/api/position")["log"]
    assert until(lambda: reader.get("/api/position")["projected"] >= log)

    assert reader.run(batch_id)["status"] == "succeeded"
    assert [run["batch_id"] for run in reader.runs(project="read", label="ä b", search=batch_id)] == [batch_id]
    assert list(reader.runs(status="failed", search=batch_id)) == []
    assert [job["job_id"] for job in reader.jobs(batch_id)] == ["a/b", "job-0", "job-1", "job-2"]
    assert reader.job(batch_id, "a/b")["params"] == {"lr": 0.1}

    loss = reader.history(batch_id, "a/b", "loss")
    assert loss.step == list(range(N_STEPS))
    assert loss.value == [1 / (step + 1) for step in range(N_STEPS)]
    assert len(loss) == len(loss.attempt) == len(loss.time_ms) == N_STEPS
    assert sorted(loss.time_ms) == loss.time_ms
    hot = reader.history(batch_id, "a/b", "hot")
    assert (hot.step, set(hot.value)) == (list(range(0, N_STEPS, 5)), {float("inf")})
    for key, value in (("a,b", 1.0), ("a", 2.0), ("cpu_pct", 4.0)):
        assert reader.history(batch_id, "a/b", key).value == [value]
    assert len(reader.history(batch_id, "a/b", "")) == 0
    odd = reader.history(batch_id, "a/b", "odd")
    assert isnan(odd.value[0])
    assert odd.value[1:] == [float("inf"), -float("inf"), 1.5, 2.0]
    assert len(reader.history(batch_id, "a/b", "nobody said this")) == 0

    with pytest.raises(argus.ReadError, match="step 7 of 'same' has 12000 points"):
        reader.history(batch_id, "a/b", "same")
    asked: list[Callable[[], object]] = [
        lambda: reader.run("nobody"), lambda: reader.history(batch_id, "nobody", "loss"), lambda: reader.run(".."),
        lambda: reader.job(batch_id, ""), lambda: reader.run("\ud800"),
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(argus.ReadError) as refused:
            ask()
        assert refused.value.status == 404


def test_all_pages_are_walked(stack: LocalStack, scripts: Any, until: Any, reader: argus.Reader) -> None:
    project = f"many-{uuid4().hex[:8]}"
    n_runs = 450
    code, _, _ = scripts.run(
        f"for n in range({n_runs}):\n    argus.init(project={project!r}, resource_interval_s=0).finish()\n"
        "assert argus.flush(60)",
        ARGUS_URL=stack.facts.nats.url,
        ARGUS_TOKEN=stack.credentials.token,
    )
    assert code == 0
    assert until(lambda: len({run["batch_id"] for run in reader.runs(project=project)}) == n_runs)


def test_attempts_follow_each_other_however_their_steps_lie(
    stack: LocalStack, scripts: Any, until: Any, reader: argus.Reader
) -> None:
    """The second attempt has begun anew, and both have more points than one answer holds."""
    batch_id, n_steps = f"again-{uuid4().hex[:8]}", 9_000
    for attempt, steps in ((1, range(n_steps, 2 * n_steps)), (2, range(n_steps))):
        code, _, _ = scripts.run(
            f"with argus.init(batch_id={batch_id!r}, resume={attempt}, resource_interval_s=0) as run, run.job('j') as job:\n"
            f"    for step in {steps!r}:\n        job.epoch(step, loss=step)\nassert argus.flush(60)",
            ARGUS_URL=stack.url, ARGUS_TOKEN=stack.credentials.token,
        )  # fmt: skip
        assert code == 0
    assert until(lambda: len(reader.history(batch_id, "j", "loss")) == 2 * n_steps)
    loss = reader.history(batch_id, "j", "loss")
    assert loss.attempt == [1] * n_steps + [2] * n_steps
    assert loss.step == [*range(n_steps, 2 * n_steps), *range(n_steps)]
    assert loss.value == loss.step
