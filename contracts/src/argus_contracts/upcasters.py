"""Older forms, turned into the present one at the door.

The only older form today is `schema_version "1.1"`, which stock `argus-reporter` 0.1.3 posts.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, cast

from argus_contracts.errors import Malformed, UnknownKind, WrongSchemaVersion

REPORTER_SCHEMA_VERSION = "1.1"
REPORTER_HEARTBEAT_S = 300.0
_MIB = 1024 * 1024
_KINDS = frozenset({
    "batch_start", "batch_done", "batch_failed", "batch_heartbeat", "env_snapshot", "job_start", "job_epoch",
    "job_done", "job_failed", "resource_snapshot", "log_line",
})  # fmt: skip
_NOT_METRICS = frozenset({"epoch", "step"})


def is_reporter_event(raw: Any) -> bool:
    """True where `raw` is of the older form (it says `schema_version` or `event_type`), whatever its version."""
    return isinstance(raw, dict) and ("schema_version" in raw or "event_type" in raw)


def upcast_reporter_event(raw: dict[str, Any], arrival_order: int) -> dict[str, Any]:
    """The event of the present form that says the same as `raw`, an event of `schema_version` 1.1.

    arrival_order: a number that grows with every event that one door takes in. The older form's timestamps have whole
    seconds only, so log lines keep their order by it (`data.order`, microseconds of the sender's clock + arrival_order
    mod 10**6); it travels inside the event, so a replay or a shuffle gives the same order.
    Errors: `WrongSchemaVersion`, `UnknownKind`, `Malformed`.
    """
    if raw.get("schema_version") != REPORTER_SCHEMA_VERSION:
        raise WrongSchemaVersion(f"schema_version is {str(raw.get('schema_version'))[:32]!r}; this door takes '1.1'")
    kind = raw.get("event_type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UnknownKind(f"unknown event_type {str(kind)[:64]!r}")
    source, data = _fields(raw, "source"), _fields(raw, "data")
    occurred_at = _utc(raw.get("timestamp"))
    convert = _CONVERTERS.get(kind, _keep)
    event: dict[str, Any] = {
        "event_id": raw.get("event_id"),
        "kind": kind,
        "version": 1,
        "batch_id": raw.get("batch_id"),
        "job_id": raw.get("job_id"),
        "attempt": 1,
        "occurred_at": occurred_at.isoformat().replace("+00:00", "Z"),
        "data": convert(dict(data), source),
    }
    if kind.startswith("batch_") or kind == "env_snapshot" or event["job_id"] == event["batch_id"]:
        # The reporter names the batch as job where a line belongs to no job.
        event["job_id"] = None
    if kind == "log_line":
        event["data"]["order"] = int(occurred_at.timestamp()) * 1_000_000 + arrival_order % 1_000_000
    return event


def _utc(text: Any) -> datetime:
    if not isinstance(text, str):
        raise Malformed("timestamp: a text of ISO 8601 is missing")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Malformed(f"timestamp: not ISO 8601: {text[:64]!r}") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _fields(raw: dict[str, Any], name: str) -> dict[str, Any]:
    value: Any = raw.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"{name}: a JSON object is missing")
    return cast("dict[str, Any]", value)


def _keep(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    return data


def _batch_start(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """The older form puts host, user, commit and command into `source`; they are kept as `environment`."""
    name = data.pop("name", None) or data.pop("experiment_name", None)
    return _present(
        {
            **data,
            "name": name,
            "type": "training",
            "project": source.get("project"),
            "runner": "argus-reporter",
            "n_jobs_expected": _whole(data.get("n_total_jobs")),
            "heartbeat_interval_s": REPORTER_HEARTBEAT_S,
            "environment": _present(
                {
                    "command": data.get("command") or source.get("command"),
                    "host": source.get("host"),
                    "user": source.get("user"),
                    "commit": source.get("commit"),
                }
            ),
        }
    )


def _batch_end(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    totals = {key: data[key] for key in ("n_done", "n_failed") if key in data}
    return _present(
        {
            **data,
            "elapsed_s": _positive(data.get("total_elapsed_s")),
            "reason": _text(data.get("reason")),
            "totals": totals,
        }
    )


def _env_snapshot(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    command = data.get("command") or source.get("command")
    git = {
        "commit": data.get("git_sha") or data.get("git_commit") or data.get("commit") or source.get("commit"),
        "branch": data.get("git_branch"),
        "remote": data.get("git_remote"),
        "dirty": data.get("git_dirty"),
    }
    return _present(
        {
            **{key: value for key, value in data.items() if key not in ("command", "git", "gpus", "env_names")},
            "command": command if isinstance(command, list) else ([command] if isinstance(command, str) else []),
            "host": data.get("hostname") or data.get("host") or source.get("host"),
            "user": data.get("user") or source.get("user"),
            "cwd": data.get("cwd"),
            "python": data.get("python_version") or data.get("python"),
            "git": data["git"] if isinstance(data.get("git"), dict) else _present(git),
        }
    )


def _job_start(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    return _present({**data, "host": data.get("host") or source.get("host")})


def _job_epoch(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Every number beside `epoch` and `step` is a metric; what is no number stays an extra field."""
    metrics = {key: _metric(value) for key, value in data.items() if key not in _NOT_METRICS and _is_number(value)}
    rest = {key: value for key, value in data.items() if key not in metrics and key not in _NOT_METRICS}
    return _present({
        **rest, "epoch": _whole(data.get("epoch")), "step": _whole(data.get("step")), "metrics": metrics,
    })  # fmt: skip


def _job_end(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    metrics = _fields(data, "metrics")
    return _present(
        {
            **{key: value for key, value in data.items() if key not in ("metrics", "resources")},
            "elapsed_s": _positive(data.get("elapsed_s")),
            "reason": _text(data.get("reason")),
            "metrics": {key: _metric(value) for key, value in metrics.items() if _is_number(value)},
            "resources": {},
            "reported_resources": data.get("resources"),
        }
    )


def _resource_snapshot(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    """Flat fields in MB and one GPU become bytes and a list of GPUs. The reporter's MB are MiB."""
    gpu = _present(
        {
            "index": 0,
            "util_pct": _positive(data.get("gpu_util_pct")),
            "memory_used_bytes": _mib(data.get("gpu_mem_mb")),
            "memory_total_bytes": _mib(data.get("gpu_mem_total_mb")),
            "temperature_c": data.get("gpu_temp_c"),
        }
    )
    return _present(
        {
            "gpus": [gpu] if len(gpu) > 1 else [],
            "cpu_pct": _positive(data.get("cpu_util_pct")),
            "rss_bytes": _mib(data.get("proc_ram_mb")),
            "memory_used_bytes": _mib(data.get("ram_mb")),
            "memory_total_bytes": _mib(data.get("ram_total_mb")),
            "disk_free_bytes": _mib(data.get("disk_free_mb")),
            "host": source.get("host"),
            **{
                key: data[key]
                for key in ("proc_cpu_pct", "proc_gpu_mem_mb", "disk_total_mb")
                if data.get(key) is not None
            },
        }
    )


def _log_line(data: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    return {**data, "stream": "log", "level": _text(data.get("level")), "line": str(data.get("line", ""))}


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def _is_number(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or value in ("NaN", "Infinity", "-Infinity")


def _metric(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    return int(value) if float(value).is_integer() else None


def _positive(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 else None


def _mib(value: Any) -> int | None:
    number = _positive(value)
    return None if number is None or math.isinf(number) else int(number * _MIB)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


_CONVERTERS = {
    "batch_start": _batch_start,
    "batch_done": _batch_end,
    "batch_failed": _batch_end,
    "env_snapshot": _env_snapshot,
    "job_start": _job_start,
    "job_epoch": _job_epoch,
    "job_done": _job_end,
    "job_failed": _job_end,
    "resource_snapshot": _resource_snapshot,
    "log_line": _log_line,
}
