"""Records of the log, turned into the points that they state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from argus_query.read_model import Record
from argus_query.series.points import POINT, Points
from argus_query.shares import Measured
from argus_query.wire_values import tie_of

SeriesKey = tuple[str, str, str, str]
"""batch_id, job_id ('' for the run's own), family, key."""

_OF_MACHINE = (
    "cpu_pct", "rss_bytes", "memory_used_bytes", "disk_free_bytes", "net_rx_bytes", "net_tx_bytes",
)  # fmt: skip
_OF_GPU = ("util_pct", "memory_used_bytes", "temperature_c", "power_w")


@dataclass(frozen=True, slots=True)
class Gathered:
    """`points[starts[i]:starts[i + 1]]` are those of curve and attempt `owners[i]`, sorted."""

    owners: list[tuple[SeriesKey, int]]
    starts: list[int]
    points: Points


@dataclass(slots=True)
class _Columns:
    """Plain lists, one entry per event, and the values and owners of all its points one after the other."""

    owner_numbers: dict[tuple[SeriesKey, int], int] = field(default_factory=dict)
    steps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    ties: list[int] = field(default_factory=list)
    n_values: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, place: tuple[str, str, int], family: str, measured: Measured) -> None:
        """place: run, job and attempt. Without a step and an epoch the seconds of the clock are the steps."""
        batch_id, job_id, attempt = place
        numbers = self.owner_numbers
        owners = [numbers.setdefault(((batch_id, job_id, family, key), attempt), len(numbers)) for key in measured.keys]
        xs, n_events = measured.xs, len(measured.times)
        self.steps += [time // 1_000_000 for time in measured.times] if xs is None else xs
        self.times += measured.times
        self.ties += map(tie_of, measured.ids)
        self.n_values += [len(owners)] * n_events
        self.owners += owners * n_events
        self.values += chain.from_iterable(metrics.values() for metrics in measured.metrics)


def gather(records: Sequence[Record]) -> Gathered:
    """All points of `records`."""
    columns = _Columns()
    for record in records:
        if record.retention_class not in ("metrics", "snapshots"):
            continue
        for share in record.shares():
            place = (record.batch_id, share.job_id or "", share.attempt)
            if share.kind == "job_epoch":
                for measured in share.measured():
                    columns.add(place, "metric", measured)
            elif share.kind == "resource_snapshot":
                for event, time in zip(share.events, share.times, strict=True):
                    readings = readings_of(event["data"])
                    columns.add(
                        place, "system", Measured(tuple(readings), None, None, [time], [event["event_id"]], [readings])
                    )
    return _sorted(columns)


def readings_of(data: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one snapshot by their key, such as `gpu.0.util_pct`; what it does not say is left out."""
    readings = {name: data[name] for name in _OF_MACHINE if data.get(name) is not None}
    utils: list[float] = []
    for gpu in data.get("gpus") or ():
        index = gpu["index"]
        for name in _OF_GPU:
            if gpu.get(name) is not None:
                readings[f"gpu.{index}.{name}"] = gpu[name]
        if gpu.get("util_pct") is not None:
            utils.append(gpu["util_pct"])
    if utils:
        readings["gpu.util_pct"] = sum(utils) / len(utils)
    return readings


def _sorted(columns: _Columns) -> Gathered:
    n_points = len(columns.values)
    owners = np.array(columns.owners, dtype=np.int64)
    order = np.argsort(owners, kind="stable")
    owners = owners[order]
    event_of = np.repeat(np.arange(len(columns.steps)), columns.n_values)[order]
    points = np.empty(n_points, dtype=POINT)
    points["step"] = np.array(columns.steps, dtype=np.int64)[event_of]
    points["time_us"] = np.array(columns.times, dtype=np.int64)[event_of]
    points["tie"] = np.array(columns.ties, dtype=np.int64)[event_of]
    points["value"] = _floats(columns.values)[order] + 0.0  # -0.0 would be another order than Postgres has
    same = owners[1:] == owners[:-1]
    if bool(np.any(same & (points["step"][1:] <= points["step"][:-1]))):
        order = np.lexsort((points["value"], points["tie"], points["time_us"], points["step"], owners))
        points = points[order]  # owners stay as they are: they are the first to sort by
    starts = np.concatenate(([0], np.flatnonzero(~same) + 1)).tolist() if n_points else []
    return Gathered(list(columns.owner_numbers), starts, points)


def _floats(values: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """ "NaN", "Infinity" and "-Infinity" are texts on the wire; a whole number may be too large for a float."""
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        return np.array([_float(value) for value in values], dtype=np.float64)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
