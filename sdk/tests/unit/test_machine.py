"""On what a run runs, and what it cost, as scripts say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import argus
from argus.machine import machine, usable_cpus
from argus_contracts.registry import parse_event

Said = list[tuple[str, str | None, dict[str, Any]]]
NAMES = ("ARGUS_INSTANCE_TYPE", "ARGUS_CAPACITY", "ARGUS_CPUS")


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """What runs say, each checked against its class."""
    for name in ("ARGUS_URL", "ARGUS_TOKEN", "ARGUS_DISABLE", *NAMES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("ARGUS_SPOOL_DIR", str(tmp_path / "spool"))
    found: Said = []
    say = argus.Run.say

    def hear(run: argus.Run, kind: str, job_id: str | None, data: dict[str, Any]) -> None:
        envelope = {"event_id": "0193f000-0000-7000-8000-000000000000", "occurred_at": "2026-11-21T03:00:00Z"}
        parse_event({**envelope, "kind": kind, "batch_id": run.batch_id, "job_id": job_id, "data": data})
        found.append((kind, job_id, data))
        say(run, kind, job_id, data)

    monkeypatch.setattr(argus.Run, "say", hear)
    return found


def of(said: Said, kind: str) -> list[dict[str, Any]]:
    words = ("instance_type", "capacity", "cpus")
    return [{name: data[name] for name in words if name in data} for told, _, data in said if told == kind]


def test_a_run_says_nothing_of_a_machine_that_nobody_has_named(said: Said) -> None:
    with argus.init(resource_interval_s=0) as run, run.job("j"):
        pass
    assert (of(said, "batch_start"), of(said, "job_start")) == ([{}], [{}])


def test_the_environment_names_the_machine_of_a_script_that_does_not(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(NAMES, ("p4d", "spot", "8"), strict=True):
        monkeypatch.setenv(name, value)
    with argus.init(resource_interval_s=0, capacity="on-demand") as run, run.job("j"), run.job("k", cpus=0.5):
        pass
    whole = {"instance_type": "p4d", "capacity": "on-demand", "cpus": 8.0}
    assert of(said, "batch_start") == [whole]
    assert of(said, "job_start") == [whole, {**whole, "cpus": 0.5}]
    assert [data["host"] for kind, _, data in said if kind == "batch_start"]


def test_whoever_names_a_machine_has_the_cpus_that_he_may_use(said: Said) -> None:
    with argus.init(resource_interval_s=0) as run, run.job("j", instance_type="p4d"):
        pass
    assert of(said, "job_start") == [{"instance_type": "p4d", "cpus": float(usable_cpus())}]


def test_odd_words_about_a_machine_are_left_out(said: Said) -> None:
    assert machine("p4d", "cheap", "many", {}) == {"instance_type": "p4d", "cpus": float(usable_cpus())}
    assert machine(7, "spot", float("nan"), {"cpus": 2.0}) == {"instance_type": "7", "capacity": "spot", "cpus": 2.0}
    assert machine(None, None, -1, {}) == {}


def test_a_bill_of_a_run_and_of_a_job(said: Said) -> None:
    with argus.init(resource_interval_s=0) as run, run.job("j") as job:
        job.cost(0.5)
        run.cost(1.25, "invoice 2026-11")
        for odd in (None, "much", float("inf"), -1):
            run.cost(odd)  # type: ignore[arg-type]
    bills = [(job_id, data) for kind, job_id, data in said if kind == "cost_recorded"]
    assert bills == [("j", {"amount_usd": 0.5}), (None, {"amount_usd": 1.25, "basis": "invoice 2026-11"})]
