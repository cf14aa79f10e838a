"""Answers from curves: a function of their points, never of the blocks that hold them."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple
from uuid import UUID

import numpy as np
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from argus_contracts.queries.jobs import MetricSummary
from argus_contracts.queries.series import GetSeries
from argus_query.series.blocks import SQL
from argus_query.series.points import POINT, Points, decode_points, joined
from argus_query.series.thinning import Pieces, thin

_LEAST, _MOST = -(2**63), 2**63 - 1
_LOSSES = ("val_loss", "train_loss", "loss")
_MOST_LOSSES = 4
_ANY_WIDTH = 2**62
SHARED_POINTS = 3_000
"""Of all curves of one answer together where there are several: about 60 bytes each, and charts side by side are small."""
LEAST_POINTS = 50
"""Of each, however many curves there are."""

Bounds = dict[str, int]


class _Curve(NamedTuple):
    key: str
    family: Literal["metric", "system"]
    series_id: UUID
    n_points: int


Fields = dict[str, Any]
"""Of a `Series`, with arrays where it has lists. They become JSON as they are: 10,000 points as Python's numbers, looked at
one by one, took 2 ms. A value that is not finite stands in them, and is `null` in JSON, as the contract wants it."""


async def read_series(connection: AsyncConnection[Any], question: GetSeries) -> list[Fields]:
    """The asked curves that the job has, in the order of `question.keys`; a key that is both a metric and a reading of
    the machine gives two. Who may see the job is the caller's business.

    job_id '': what the run itself reported.
    """
    cursor = await connection.execute(SQL["select_series_of_job"], [question.batch_id, question.job_id])
    curves: dict[str, list[_Curve]] = {}
    for row in await cursor.fetchall():
        curve = _Curve(*row[:4])
        curves.setdefault(curve.key, []).append(curve)
    metrics = [key for key, of_key in curves.items() if of_key[0].family == "metric"]
    keys = list(dict.fromkeys(question.keys)) or default_keys(metrics)
    bounds, chosen = bounds_of(question), [curve for key in keys for curve in curves.get(key, [])]
    most = question.max_points
    if len(chosen) > 1:
        most = min(most, max(LEAST_POINTS, SHARED_POINTS // len(chosen)))
    return [await _read_one(connection, curve, bounds, most) for curve in chosen]


async def read_metric_summaries(connection: AsyncConnection[Any], batch_id: str, job_id: str) -> list[MetricSummary]:
    """What each curve of the job comes to: metrics first, then readings of the machine, each by key."""
    cursor = await connection.execute(SQL["select_series_of_job"], [batch_id, job_id])
    return [
        MetricSummary(
            key=key,
            family=family,
            n_points=n_points,
            last=_word_or_number(last),
            last_step=last_step,
            min=low,
            max=high,
        )
        for key, family, _, n_points, low, high, last_step, last in await cursor.fetchall()
    ]


def default_keys(metrics: list[str]) -> list[str]:
    """The losses among `metrics`, at most 4, the validation loss first; without any the first metric."""
    others = sorted(key for key in metrics if "loss" in key.lower() and key not in _LOSSES)
    losses = [key for key in _LOSSES if key in metrics] + others
    return losses[:_MOST_LOSSES] or sorted(metrics)[:1]


def bounds_of(question: GetSeries) -> Bounds:
    """Smallest and largest step and time (microseconds) of the points asked for, all inclusive."""
    low = _LEAST if question.first is None else _clamped(question.first, math.ceil)
    high = _MOST if question.last is None else _clamped(question.last, math.floor)
    bounds = {"first_step": _LEAST, "last_step": _MOST, "first_time_us": _LEAST, "last_time_us": _MOST}
    if question.x == "step":
        return bounds | {"first_step": low, "last_step": high}
    low_us, high_us = max(low * 1000, _LEAST), min(high * 1000 + 999, _MOST)  # a point's time is its whole millisecond
    return bounds | {"first_time_us": min(low_us, _MOST), "last_time_us": max(high_us, _LEAST)}


def _clamped(bound: float, whole: Any) -> int:
    if math.isnan(bound):
        raise ValueError("a bound is no number")
    return max(_LEAST, min(_MOST, whole(bound))) if math.isfinite(bound) else (_MOST if bound > 0 else _LEAST)


async def _read_one(connection: AsyncConnection[Any], curve: _Curve, bounds: Bounds, max_points: int) -> Fields:
    """Tiers where they are fine enough, points where not. Each look is one statement, so it sees one state."""
    widest = 0 if curve.n_points <= max_points else _ANY_WIDTH
    while True:
        async with connection.cursor(binary=True) as cursor:
            asked = {"series_id": curve.series_id, "widest": widest, "max_points": max_points, **bounds}
            await cursor.execute(SQL["select_blocks"], asked)
            pieces = _pieces(await cursor.fetchall(), bounds)
        thinned = thin(pieces, max_points)
        if isinstance(thinned, int):
            widest = thinned
            continue
        return {"key": curve.key, "family": curve.family, **thinned}


def _pieces(rows: list[TupleRow], bounds: Bounds) -> Pieces:
    """What `select_blocks` has found: buckets of whole blocks, and the points in range of the others."""
    points: dict[int, list[Points]] = {}
    tiers: list[tuple[int, int, bytes, bytes]] = []
    not_finite: list[tuple[int, Points]] = []
    for _, attempt, _, packed, width, rows_of_tier, sums, odd in rows:
        if packed is None:
            tiers.append((attempt, width, rows_of_tier, sums))
            if odd:
                not_finite.append((attempt, np.frombuffer(odd, dtype=POINT)))
        else:
            points.setdefault(attempt, []).append(_in_range(decode_points(packed), bounds))
    return Pieces({attempt: joined(of_attempt) for attempt, of_attempt in points.items()}, tiers, not_finite)


def _in_range(points: Points, bounds: Bounds) -> Points:
    steps, times = points["step"], points["time_us"]
    inside = (steps >= bounds["first_step"]) & (steps <= bounds["last_step"])
    inside &= (times >= bounds["first_time_us"]) & (times <= bounds["last_time_us"])
    return points if bool(inside.all()) else points[inside]


def _word_or_number(value: float) -> Any:
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
