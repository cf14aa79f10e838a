"""Curves of one job, thinned to what the pixels need."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from argus_contracts.queries.common import Answer, Asked

Finite = float | None


class GetSeries(Asked):
    """`first` and `last` bound the x (both inclusive): steps, or epoch milliseconds where `x` is `time`."""

    batch_id: str
    job_id: str
    keys: Annotated[list[str], Field(max_length=50)] = []
    """Empty: the losses (or, where there are none, the first metric)."""
    max_points: Annotated[int, Field(ge=2, le=10_000)] = 1000
    """Of each curve; where it has more, at most 5,000 buckets. Several curves share 3,000, with at least 50 for each, so that an answer stays small."""
    x: Literal["step", "time"] = "step"
    first: float | None = None
    last: float | None = None


class NotFinite(BaseModel):
    """A value that is data and cannot be drawn as a number."""

    step: int
    time_ms: int
    value: Literal["NaN", "Infinity", "-Infinity"]


class Series(BaseModel):
    """One curve, sorted by (attempt, step, time). All arrays have the same length.

    `bucketed` false: every point, and `min`, `max`, `last` are empty. True: one entry per bucket of
    neighbouring points; `value` is the mean of its finite values, `step` and `time_ms` those of its last point.
    """

    key: str
    family: Literal["metric", "system"]
    n_points: int
    """How many points the asked range has before thinning."""
    bucketed: bool
    attempt: list[int]
    step: list[int]
    time_ms: list[int]
    value: list[Finite]
    min: list[Finite] = []
    max: list[Finite] = []
    last: list[Finite] = []
    not_finite: list[NotFinite] = []
    """At most 1,000 of them, the newest."""


class SeriesAnswer(Answer):
    batch_id: str
    job_id: str
    series: list[Series]
