"""A curve thinned to what the pixels need: every point, or one bucket for neighbouring points.

Buckets have the smallest width (a power of two, in steps) with which there are at most `max_points` of them, and 5,000.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argus_query.series.points import POINT, Points
from argus_query.series.tiers import (
    BUCKET,
    MAX_NOT_FINITE,
    N_WIDTHS,
    Integers,
    boundary_bits,
    bucket_counts,
    mean_of,
    single_points,
    smallest_width,
)

MOST_BUCKETS = 5_000
"""A bucket takes up to twice the bytes of a point."""
DIGITS = 7
"""Of the numbers of buckets; points are exact."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """All that there is in the asked range.

    points: by attempt, sorted. tiers: (attempt, width, rows, sums) of blocks that lie inside the range; their points are
    not in `points`. not_finite: (attempt, points) that the tiers count and cannot show.
    """

    points: dict[int, Points]
    tiers: list[tuple[int, int, bytes, bytes]]
    not_finite: list[tuple[int, Points]]


@dataclass(frozen=True, slots=True)
class _Entries:
    """Buckets and single points of all attempts, sorted by (attempt, last point)."""

    attempts: Integers
    widths: Integers
    rows: NDArray[np.void]
    sums: NDArray[np.float64]
    sums_of: Integers
    """Index of the entry that each of `sums` belongs to."""
    huge: NDArray[np.bool_]
    """Whether each of `sums` is one of the entry's huge ones."""


def thin(pieces: Pieces, max_points: int) -> dict[str, Any] | int:
    """The fields of a `Series`, as lists or arrays, a value that is not finite as it is; or, where the tiers are too wide to tell, the widest tiers to come back with (0: none).

    The number that comes back is smaller than the widest tier in `pieces`, so asking again comes to an end.
    """
    n_points = sum(map(len, pieces.points.values()))
    if n_points <= max_points and not pieces.tiers:
        return _raw(pieces.points, n_points)
    entries = _entries(pieces)
    n_points = int(entries.rows["n"].sum())
    if n_points <= max_points:
        return 0
    exponent = _exponent(entries, min(max_points, MOST_BUCKETS))
    widest = int(entries.widths.max())
    if pieces.tiers and widest > 1 << exponent:
        return widest // 2  # too few buckets may have been seen to know more than that
    return _bucketed(entries, exponent, n_points, _newest_not_finite(pieces))


def _entries(pieces: Pieces) -> _Entries:
    attempts, widths, rows, sums = [], [], [], []
    for attempt, points in pieces.points.items():
        buckets = single_points(points)
        rows.append(buckets.rows)
        sums.append(buckets.sums)
        attempts.append(np.full(len(points), attempt))
        widths.append(np.ones(len(points), dtype=np.int64))
    if pieces.tiers:
        size = BUCKET.itemsize
        n_rows = [len(packed) // size for _, _, packed, _ in pieces.tiers]
        rows.append(np.frombuffer(b"".join(packed for _, _, packed, _ in pieces.tiers), dtype=BUCKET))
        sums.append(np.frombuffer(b"".join(packed for _, _, _, packed in pieces.tiers), dtype=np.float64))
        attempts.append(np.repeat([attempt for attempt, *_ in pieces.tiers], n_rows))
        widths.append(np.repeat([width for _, width, _, _ in pieces.tiers], n_rows))
    if not rows:
        none = np.empty(0, dtype=np.int64)
        return _Entries(none, none, np.empty(0, dtype=BUCKET), np.empty(0), none, np.empty(0, dtype=bool))
    joined, attempt = np.concatenate(rows), np.concatenate(attempts)
    parts = np.column_stack((joined["n_sums"], joined["n_huge"])).reshape(-1)
    owners = np.repeat(np.repeat(np.arange(len(joined)), 2), parts)
    huge = np.repeat(np.tile([False, True], len(joined)), parts)
    order = _in_order(joined, attempt)
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return _Entries(
        attempt[order], np.concatenate(widths)[order], joined[order], np.concatenate(sums), places[owners], huge
    )


def _in_order(rows: NDArray[np.void], attempts: Integers) -> Integers:
    """The places of `rows` by (attempt, last point). Most curves come sorted: to see that costs a tenth of sorting them."""
    steps = rows["step"]
    further = (attempts[1:] > attempts[:-1]) | ((attempts[1:] == attempts[:-1]) & (steps[1:] > steps[:-1]))
    if bool(further.all()):
        return np.arange(len(rows))
    return np.lexsort((rows["value"], rows["tie"], rows["time_us"], steps, attempts))


def _exponent(entries: _Entries, max_points: int) -> int:
    """No width below 2**exponent will do; this one does where no entry is wider.

    For each width, only the entries that are no wider are counted: there are at least as many buckets as that, with
    this width and with every smaller one. An attempt needs a bucket at least, even above `max_points`.
    """
    together = entries.attempts[1:] == entries.attempts[:-1]
    most = max(max_points, 1 + int(np.count_nonzero(~together)))
    exponent = 0
    known = np.unique(entries.widths).tolist()
    for width, next_width in zip(known, [*known[1:], 2**N_WIDTHS], strict=True):
        fine = entries.widths <= width
        steps, attempts = entries.rows["step"][fine], entries.attempts[fine]
        together = attempts[1:] == attempts[:-1]
        counts = bucket_counts(boundary_bits(steps)[together], 1 + int(np.count_nonzero(~together)))
        enough = min(smallest_width(counts, most), next_width.bit_length() - 1)
        if enough > width.bit_length() - 1:
            exponent = enough
    return exponent


def _bucketed(entries: _Entries, exponent: int, n_points: int, not_finite: list[dict[str, Any]]) -> dict[str, Any]:
    rows = entries.rows
    buckets = rows["step"] >> exponent
    apart = (entries.attempts[1:] != entries.attempts[:-1]) | (buckets[1:] != buckets[:-1])
    starts = np.concatenate(([0], np.flatnonzero(apart) + 1))
    ends = np.concatenate((starts[1:], [len(rows)]))
    n_finite = np.add.reduceat(rows["n_finite"], starts).tolist()
    lows = np.minimum.reduceat(rows["min"], starts).tolist()
    highs = np.maximum.reduceat(rows["max"], starts).tolist()
    sums = _sums_of_buckets(entries, ends, huge=False)
    huge = _sums_of_buckets(entries, ends, huge=True)
    means = [mean_of(*of_bucket) for of_bucket in zip(sums, huge, n_finite, lows, highs, strict=True)]
    last = rows[ends - 1]
    return {
        "n_points": n_points,
        "bucketed": True,
        "attempt": entries.attempts[ends - 1],
        "step": np.ascontiguousarray(last["step"]),
        "time_ms": last["time_us"] // 1000,
        "value": [_short(mean) for mean in means],
        "min": [_short(low if n else None) for low, n in zip(lows, n_finite, strict=True)],
        "max": [_short(high if n else None) for high, n in zip(highs, n_finite, strict=True)],
        "last": [_short(value) for value in last["value"].tolist()],
        "not_finite": not_finite,
    }


def _sums_of_buckets(entries: _Entries, ends: Integers, huge: bool) -> list[list[float]]:
    chosen = entries.huge == huge
    if not bool(chosen.any()):
        return [[]] * len(ends)
    bucket = np.searchsorted(ends, entries.sums_of[chosen], side="right")
    order = np.argsort(bucket, kind="stable")
    sums = entries.sums[chosen][order].tolist()
    cuts = [0, *np.searchsorted(bucket[order], np.arange(len(ends)), side="right").tolist()]
    return [sums[start:end] for start, end in pairwise(cuts)]


def _raw(points: dict[int, Points], n_points: int) -> dict[str, Any]:
    attempts = sorted(points)
    every = np.concatenate([points[attempt] for attempt in attempts]) if attempts else np.empty(0, dtype=POINT)
    return {
        "n_points": n_points,
        "bucketed": False,
        "attempt": np.repeat(np.array(attempts, dtype=np.int64), [len(points[attempt]) for attempt in attempts]),
        "step": np.ascontiguousarray(every["step"]),
        "time_ms": every["time_us"] // 1000,
        "value": np.ascontiguousarray(every["value"]),
        "not_finite": _newest_not_finite(Pieces(points, [], [])),
    }


def _newest_not_finite(pieces: Pieces) -> list[dict[str, Any]]:
    """The fields of a `NotFinite` for each of the last `MAX_NOT_FINITE` by (attempt, step, time)."""
    odd = [(attempt, points[~np.isfinite(points["value"])]) for attempt, points in pieces.points.items()]
    odd += pieces.not_finite
    odd = [(attempt, points) for attempt, points in odd if len(points)]
    if not odd:
        return []
    attempts = np.repeat([attempt for attempt, _ in odd], [len(points) for _, points in odd])
    points = np.concatenate([points for _, points in odd])
    order = np.lexsort((points["value"], points["tie"], points["time_us"], points["step"], attempts))
    newest = points[order[-MAX_NOT_FINITE:]]
    return [
        {"step": step, "time_ms": time_us // 1000, "value": _word(value)} for step, time_us, _, value in newest.tolist()
    ]


def _word(value: float) -> str:
    return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")  # noqa: PLR0124


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
