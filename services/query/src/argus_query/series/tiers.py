"""Tiers: what buckets of neighbouring points come to, in a form that merges exactly.

A bucket of width w (a power of two) holds the points of one attempt whose `step // w` is the same. What is kept of it
does not depend on how its points were split before: counts, the smallest and largest finite value, the last point, and
the exact sum (as floats whose `math.fsum` is the sum, correctly rounded). So a curve reads the same from any blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus_query.series.points import POINT, Points

TIER_BUCKETS = 64
"""The most buckets of a block's tier. More than half of it are used wherever the width is above 1."""
COARSE_BUCKETS = 4
"""Of its second tier: a curve of a million steps is then 1,000 buckets before it is thinned, not 16,000."""
TIER_FROM = 512
"""Blocks with fewer points have no tier: their points are as quick to read."""
MAX_NOT_FINITE = 1000

BUCKET = np.dtype([
    *POINT.descr, ("n", "<i8"), ("n_finite", "<i8"), ("min", "<f8"), ("max", "<f8"), ("n_sums", "<i4"), ("n_huge", "<i4"),
])  # fmt: skip
"""step, time_us, tie and value are the last point's. `min` > `max` where no value is finite."""

_HUGE = 2.0**960
_SHRINK = 2.0**-128
N_WIDTHS = 55

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """rows: of dtype `BUCKET`. sums: for each row `n_sums` floats and then `n_huge` floats, which stand for 2**128 times
    themselves: values from 2**960 on are summed apart, so that no sum overflows."""

    rows: NDArray[np.void]
    sums: Floats


def boundary_bits(steps: Integers) -> Integers:
    """For each pair of neighbours in `steps` (ascending): two buckets hold them exactly where the width is < 2**bits."""
    differing = steps[1:] ^ steps[:-1]
    # Without its adjacent ones the number is below 4/3 of its highest bit: the float cannot round up to the next bit.
    return np.frexp((differing & ~(differing >> 1)).astype(np.float64))[1].astype(np.int64)


def bucket_counts(bits: Integers, always: int) -> Integers:
    """How many buckets there are with width 2**k, for k = 0, 1, …; `always` of them whatever the width."""
    histogram = np.bincount(bits, minlength=N_WIDTHS + 1)[: N_WIDTHS + 1]
    return always + len(bits) - np.cumsum(histogram)[:N_WIDTHS]


def smallest_width(counts: Integers, most: int) -> int:
    """The exponent of the first width with at most `most` buckets (there is one where `most` >= the attempts)."""
    return int(np.argmax(counts <= most))


def tier_of(points: Points, most_buckets: int = TIER_BUCKETS) -> tuple[int, Buckets]:
    """The smallest width with at most `most_buckets` buckets, and these of `points` (sorted, one attempt, not empty)."""
    bits = boundary_bits(points["step"])
    exponent = smallest_width(bucket_counts(bits, 1), most_buckets)
    starts = np.concatenate(([0], np.flatnonzero(bits > exponent) + 1))
    return 1 << exponent, bucketed(points, starts)


def bucketed(points: Points, starts: Integers) -> Buckets:
    """One bucket for `points[starts[i]:starts[i + 1]]` each."""
    ends = np.concatenate((starts[1:], [len(points)]))
    values = points["value"]
    finite = np.isfinite(values)
    rows = np.empty(len(starts), dtype=BUCKET)
    last = points[ends - 1]
    for name in POINT.names or ():
        rows[name] = last[name]
    rows["n"] = ends - starts
    rows["n_finite"] = np.add.reduceat(finite.astype(np.int64), starts)
    rows["min"] = np.minimum.reduceat(np.where(finite, values, np.inf), starts)
    rows["max"] = np.maximum.reduceat(np.where(finite, values, -np.inf), starts)
    sums: list[float] = []
    plain = np.where(finite, values, 0.0).tolist()
    n_parts = [_sum_exactly(plain[start:end], sums) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    rows["n_sums"], rows["n_huge"] = np.array(n_parts, dtype=np.int32).T
    return Buckets(rows, np.array(sums, dtype=np.float64))


def single_points(points: Points) -> Buckets:
    """A bucket for each point."""
    values = points["value"]
    finite = np.isfinite(values)
    huge = finite & (np.abs(np.where(finite, values, 0.0)) >= _HUGE)
    rows = np.empty(len(points), dtype=BUCKET)
    for name in POINT.names or ():
        rows[name] = points[name]
    rows["n"] = 1
    rows["n_finite"] = finite
    rows["min"] = np.where(finite, values, np.inf)
    rows["max"] = np.where(finite, values, -np.inf)
    rows["n_sums"] = finite & ~huge
    rows["n_huge"] = huge
    return Buckets(rows, np.where(huge, values * _SHRINK, values)[finite])


def mean_of(sums: list[float], huge: list[float], n_finite: int, low: float, high: float) -> float | None:
    """The mean of `n_finite` values between `low` and `high`; the same floats for the same values, in any order."""
    if not n_finite:
        return None
    mean = math.fsum(sums) / n_finite
    if huge:
        mean += math.fsum(huge) / n_finite / _SHRINK
    return min(max(mean, low), high)


def not_finite_of(points: Points) -> Points:
    """The newest of `points` (sorted) that are no numbers."""
    return points[~np.isfinite(points["value"])][-MAX_NOT_FINITE:]


def _sum_exactly(values: list[float], sums: list[float]) -> tuple[int, int]:
    """Appends to `sums` floats that together are the exact sum of `values`; how many, plain and huge."""
    try:
        if max(values) < _HUGE and min(values) > -_HUGE:
            return _append_parts(values, sums), 0
    except ValueError:
        return 0, 0
    huge = [value * _SHRINK for value in values if abs(value) >= _HUGE]
    return _append_parts([value for value in values if abs(value) < _HUGE], sums), _append_parts(huge, sums)


def _append_parts(values: list[float], sums: list[float]) -> int:
    """fsum rounds the exact sum once; what it has rounded away is the next part, until nothing is."""
    n_parts = 0
    part = math.fsum(values)
    while part:
        sums.append(part)
        values.append(-part)
        n_parts += 1
        part = math.fsum(values)
    return n_parts
