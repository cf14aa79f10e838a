"""Events of the older wire form (argus-reporter 0.1.3, schema_version 1.1) become present ones."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from argus_contracts.errors import Malformed, UnknownKind, WrongSchemaVersion
from argus_contracts.registry import parse_event
from argus_contracts.upcasters import is_reporter_event, upcast_reporter_event


def reported(event_type: str, data: dict[str, Any], job_id: str | None = None) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()),
        "schema_version": "1.1",
        "event_type": event_type,
        "timestamp": "2026-11-21T03:00:00Z",
        "batch_id": "bench-0123456789abcdef",
        "job_id": job_id,
        "source": {"project": "digits", "host": "gpu-07", "user": "ada", "commit": "b89fac3", "command": "python t.py"},
        "data": data,
    }


def upcast(raw: dict[str, Any], order: int = 0) -> dict[str, Any]:
    event = upcast_reporter_event(raw, order)
    parse_event(event)
    return event


def test_a_batch_start_keeps_project_host_and_command() -> None:
    data = upcast(reported("batch_start", {"experiment_type": "sweep", "n_total_jobs": 3}))["data"]
    assert data["project"] == "digits"
    assert data["n_jobs_expected"] == 3
    assert data["environment"]["host"] == "gpu-07"
    assert data["experiment_type"] == "sweep"


def test_flat_metrics_become_metrics() -> None:
    raw = reported("job_epoch", {"epoch": 2, "train_loss": 0.5, "val_loss": float("nan"), "note": "x"}, "j1")
    data = upcast(raw)["data"]
    assert data["metrics"] == {"train_loss": 0.5, "val_loss": "NaN"}
    assert (data["epoch"], data["note"]) == (2, "x")


def test_megabytes_become_bytes_and_one_gpu_a_list() -> None:
    raw = reported("resource_snapshot", {"gpu_util_pct": 93, "gpu_mem_mb": 1024, "ram_mb": 2, "proc_cpu_pct": 12.5})
    data = upcast(raw)["data"]
    assert data["gpus"] == [{"index": 0, "util_pct": 93, "memory_used_bytes": 1024 * 1024 * 1024}]
    assert data["memory_used_bytes"] == 2 * 1024 * 1024
    assert data["proc_cpu_pct"] == 12.5


def test_a_machine_without_a_gpu_has_an_empty_list() -> None:
    assert upcast(reported("resource_snapshot", {"gpu_util_pct": None, "ram_mb": 2}))["data"]["gpus"] == []


def test_lines_of_one_second_keep_the_order_of_their_arrival() -> None:
    orders = [upcast(reported("log_line", {"level": "INFO", "line": "x"}, "j"), n)["data"]["order"] for n in (7, 8, 9)]
    assert orders == sorted(set(orders))


@pytest.mark.parametrize("event_type", ["batch_done", "batch_failed", "env_snapshot"])
def test_an_event_of_the_batch_has_no_job(event_type: str) -> None:
    assert upcast(reported(event_type, {"total_elapsed_s": 3}, "j"))["job_id"] is None


def test_a_line_of_the_batch_has_no_job() -> None:
    line = reported("log_line", {"level": "info", "line": "x"}, "bench-0123456789abcdef")
    assert upcast(line)["job_id"] is None


def test_ends_keep_what_they_say() -> None:
    done = upcast(reported("job_done", {"elapsed_s": 3.5, "metrics": {"acc": 0.9, "tag": "x"}}, "j"))
    assert done["data"]["metrics"] == {"acc": 0.9}
    failed = upcast(reported("job_failed", {"reason": "OOM", "elapsed_s": 1}, "j"))
    assert failed["data"]["reason"] == "OOM"


def test_what_is_wrong_is_refused() -> None:
    with pytest.raises(WrongSchemaVersion):
        upcast({**reported("batch_start", {}), "schema_version": "1.0"})
    with pytest.raises(UnknownKind):
        upcast(reported("share_granted", {}))
    with pytest.raises(Malformed):
        upcast({**reported("batch_start", {}), "timestamp": "yesterday"})
    with pytest.raises(Malformed):
        upcast({**reported("batch_start", {}), "data": []})
    assert is_reporter_event(reported("batch_start", {}))
    assert not is_reporter_event({"kind": "batch_start"})
