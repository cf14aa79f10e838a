"""What the events of a workload say: a number or a text, and a checksum over it and over its place."""

from __future__ import annotations

from typing import Any, NamedTuple
from zlib import crc32

POINT, LINE = "point", "line"
DAMAGED = -1


class Key(NamedTuple):
    """One event of a workload. stream: `point` or `line`, numbered apart."""

    batch_id: str
    job_id: str
    stream: str
    seq: int


class Seen(NamedTuple):
    """An event as it was found somewhere. crc: over what was found; `DAMAGED` where it does not bear out what it says."""

    key: Key
    crc: int
    position: int = 0
    row: int = 0
    """Of the log: which record it stands in."""


def point_crc(key: Key, value: float) -> int:
    return crc32(f"{key.batch_id}/{key.job_id}/{key.seq}/{value!r}".encode())


def point_metrics(key: Key, value: float) -> dict[str, float]:
    return {"value": value, "checksum": float(point_crc(key, value))}


def line_crc(key: Key, noise: str) -> int:
    return crc32(f"{key.batch_id}/{key.job_id}/{key.seq}/{noise}".encode())


def line_text(key: Key, noise: str) -> str:
    return f"{key.seq:08d} {noise} {line_crc(key, noise):08x}"


def seen_line(batch_id: str, job_id: str, text: str, position: int = 0, row: int = 0) -> Seen | None:
    """The event behind a log line; None where the line is none of a workload's."""
    parts = text.split(" ")
    if len(parts) != 3 or not parts[0].isdigit():
        return None
    key = Key(batch_id, job_id, LINE, int(parts[0]))
    crc = line_crc(key, parts[1])
    return Seen(key, crc if parts[2] == f"{crc:08x}" else DAMAGED, position, row)


def seen_event(event: dict[str, Any], position: int, row: int = 0) -> Seen | None:
    """The event of a workload that a stored or streamed event is; None for all others (starts, ends, heartbeats)."""
    data = event.get("data") or {}
    batch_id, job_id = event.get("batch_id") or "", event.get("job_id") or ""
    if event.get("kind") == "log_line":
        return seen_line(batch_id, job_id, data.get("line", ""), position, row)
    metrics = data.get("metrics") or {}
    if event.get("kind") != "job_epoch" or "checksum" not in metrics:
        return None
    key = Key(batch_id, job_id, POINT, int(data["step"]))
    crc = point_crc(key, metrics.get("value"))
    return Seen(key, crc if metrics["checksum"] == crc else DAMAGED, position, row)
