"""What resource snapshots tell: the newest one, and the peaks of GPU memory. Pure; order does not matter."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from argus_query.facts import rank

_GAUGES = ("cpu_pct", "rss_bytes", "memory_used_bytes", "memory_total_bytes", "disk_free_bytes")


@dataclass(slots=True)
class Machine:
    """`newest`: [rank, at, data]. `gpu_memory_peak_bytes`: the highest sum over the GPUs in any snapshot."""

    newest: list[Any] | None = None
    gpu_memory_peak_bytes: int | None = None
    peaks: dict[str, int] = field(default_factory=dict)
    """Per GPU index (as text), in bytes."""

    def add(self, data: dict[str, Any], attempt: int, at: int, event_id: str) -> None:
        event_rank = rank(attempt, at, event_id)
        if self.newest is None or event_rank > self.newest[0]:
            self.newest = [event_rank, at, data]
        used = [
            (str(gpu["index"]), gpu["memory_used_bytes"])
            for gpu in data.get("gpus") or []
            if gpu.get("memory_used_bytes") is not None
        ]
        if used:
            total = sum(size for _, size in used)
            self.gpu_memory_peak_bytes = max(self.gpu_memory_peak_bytes or 0, total)
        for index, size in used:
            if size > self.peaks.get(index, -1):
                self.peaks[index] = size

    @property
    def gpu_util_pct(self) -> float | None:
        """Mean over the visible GPUs of the newest snapshot."""
        values = [gpu["util_pct"] for gpu in self._gpus() if gpu.get("util_pct") is not None]
        return sum(values) / len(values) if values else None

    @property
    def at(self) -> int | None:
        return None if self.newest is None else self.newest[1]

    def gpus(self) -> list[dict[str, Any]]:
        """One entry per GPU of the newest snapshot, in the shape of the answer."""
        names = ("index", "uuid", "util_pct", "memory_used_bytes", "memory_total_bytes", "temperature_c", "power_w")
        return [
            {**{name: gpu.get(name) for name in names}, "memory_peak_bytes": self.peaks.get(str(gpu["index"]))}
            for gpu in sorted(self._gpus(), key=lambda gpu: gpu["index"])
        ]

    def gauges(self) -> dict[str, Any]:
        data = self.newest[2] if self.newest else {}
        return {name: data.get(name) for name in _GAUGES}

    def _gpus(self) -> list[dict[str, Any]]:
        return (self.newest[2].get("gpus") or []) if self.newest else []

    def to_json(self) -> list[Any]:
        return [self.newest, self.gpu_memory_peak_bytes, self.peaks]

    @classmethod
    def from_json(cls, raw: list[Any]) -> Machine:
        return cls(*raw)
