"""A curve thinned from any cut of its points is the same curve, and the one that plain arithmetic gives."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from argus_query.series.points import POINT, decode_points, encode_points, joined, sorted_points
from argus_query.series.thinning import Pieces, thin
from argus_query.series.tiers import boundary_bits, bucket_counts, not_finite_of, tier_of

STEPS = st.one_of(
    st.integers(0, 40), st.integers(0, 40).map(lambda k: k * 10**9), st.integers(2**53 - 40, 2**53), st.integers(0, 2**53)
)  # fmt: skip
VALUES = st.one_of(st.floats(), st.sampled_from([0.1, 1e300, -1e300, 1.7e308, -1.7e308, 5e-324, math.nan, math.inf]))


def lists_of_points(steps: st.SearchStrategy[int]) -> st.SearchStrategy[list[tuple[int, int, int, int, float]]]:
    """(attempt, step, time, tie, value)"""
    point = st.tuples(st.integers(1, 3), steps, st.integers(0, 5), st.integers(-3, 3), VALUES.map(lambda v: v + 0.0))
    return st.lists(point, max_size=60)


POINTS = st.one_of(lists_of_points(STEPS), lists_of_points(st.integers(0, 5)))


def as_array(points: list[tuple[int, int, int, int, float]]) -> Any:
    return np.array([point[1:] for point in points], dtype=POINT)


class Block:
    """Points of one attempt as a block would hold them: with a tier of at most `n_buckets`, or (0) without."""

    def __init__(self, points: list[Any], n_buckets: int) -> None:
        self.attempt = points[0][0]
        self.points = sorted_points(as_array(points))
        self.tier = tier_of(self.points, n_buckets) if n_buckets else None


def blocks_of(points: list[Any], cuts: list[int], n_buckets: list[int]) -> list[Block]:
    blocks: list[Block] = []
    for start, end, n in zip([0, *cuts], [*cuts, len(points)], n_buckets, strict=True):
        for attempt in sorted({point[0] for point in points[start:end]}):
            blocks.append(Block([point for point in points[start:end] if point[0] == attempt], n))
    return blocks


def pieces_of(blocks: list[Block], widest: int) -> Pieces:
    """What reading finds: tiers up to `widest`, and the points of the other blocks."""
    raw: dict[int, list[Any]] = {}
    tiers, not_finite = [], []
    for block in blocks:
        if block.tier and block.tier[0] <= widest:
            width, buckets = block.tier
            tiers.append((block.attempt, width, buckets.rows.tobytes(), buckets.sums.tobytes()))
            not_finite.append((block.attempt, not_finite_of(block.points)))
        else:
            raw.setdefault(block.attempt, []).append(block.points)
    return Pieces({attempt: joined(arrays) for attempt, arrays in raw.items()}, tiers, not_finite)


def thinned(blocks: list[Block], max_points: int) -> dict[str, Any]:
    """As `read_series` asks, and as its JSON says it: tiers that are too wide are given up for their points."""
    widest = 2**62
    while True:
        answer = thin(pieces_of(blocks, widest), max_points)
        if not isinstance(answer, int):
            return orjson.loads(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
        assert answer < widest
        widest = answer


def naive(points: list[Any], max_points: int) -> dict[str, Any]:
    """The same from the words of the contract: sort, take the first width that is enough, do the sums exactly."""
    order = sorted(points, key=lambda p: (*p[:4], math.isnan(p[4]), 0.0 if math.isnan(p[4]) else p[4]))
    bad = [p for p in order if not math.isfinite(p[4])][-1000:]
    answer: dict[str, Any] = {
        "n_points": len(order),
        "not_finite": [(p[1], p[2] // 1000, "NaN" if math.isnan(p[4]) else f"{'-' * (p[4] < 0)}Infinity") for p in bad],
    }
    if len(order) <= max_points:
        values = [p[4] if math.isfinite(p[4]) else None for p in order]
        return answer | {"step": [p[1] for p in order], "attempt": [p[0] for p in order], "value": values}
    most = max(max_points, len({p[0] for p in order}))
    width = next(2**k for k in range(60) if len({(p[0], p[1] // 2**k) for p in order}) <= most)
    buckets = [list(group) for _, group in groupby(order, key=lambda p: (p[0], p[1] // width))]
    answer |= {"attempt": [b[-1][0] for b in buckets], "step": [b[-1][1] for b in buckets]}
    finite = [[p[4] for p in bucket if math.isfinite(p[4])] for bucket in buckets]
    answer["value"] = [float(sum(map(Fraction, f)) / len(f)) if f else None for f in finite]
    answer["min"] = [float(f"{min(f):.7g}") if f else None for f in finite]
    answer["max"] = [float(f"{max(f):.7g}") if f else None for f in finite]
    answer["last"] = [float(f"{b[-1][4]:.7g}") if math.isfinite(b[-1][4]) else None for b in buckets]
    return answer


def assert_same_as_naive(answer: dict[str, Any], expected: dict[str, Any], points: list[Any]) -> None:
    assert [(n["step"], n["time_ms"], n["value"]) for n in answer["not_finite"]] == expected["not_finite"]
    for name in expected.keys() - {"value", "not_finite"}:
        assert answer[name] == expected[name], name
    largest = max((abs(p[4]) for p in points if math.isfinite(p[4])), default=0.0)
    for got, wanted in zip(answer["value"], expected["value"], strict=True):
        if got is None or wanted is None:
            assert got is wanted
        elif not answer["bucketed"]:
            assert got == wanted
        else:  # where huge values cancel each other, what stays is rounded in the units of the huge ones
            close = largest * 1e-15 if largest >= 2.0**960 else 0.0
            assert got == pytest.approx(wanted, rel=6e-7, abs=max(close, 5e-324))


@settings(max_examples=400, deadline=None)
@given(POINTS, st.data(), st.integers(2, 12))
@example([(1, 5, 0, n, 1.7e308) for n in range(40)], None, 2)
@example([(a, 2**53 - a, 0, 0, math.nan) for a in (1, 2, 3)], None, 2)
@example([(1, 5, 0, 0, -1e15), (1, 5, 0, 1, 1e15), (1, 5, 0, 2, 0.1)], None, 2)  # 0.1 is lost unless sums are exact
def test_any_cut_gives_the_curve_of_plain_arithmetic(points: list[Any], data: Any, max_points: int) -> None:
    whole = thinned(blocks_of(points, [], [0]), max_points)
    assert_same_as_naive(whole, naive(points, max_points), points)
    if data is None:
        cuts, n_buckets, shuffled = [len(points) // 3], [2, 2], points
    else:
        shuffled = data.draw(st.permutations(points))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), max_size=8)))
        n_buckets = data.draw(st.lists(st.integers(0, 8), min_size=len(cuts) + 1, max_size=len(cuts) + 1))
    assert thinned(blocks_of(shuffled, cuts, n_buckets), max_points) == whole


@given(POINTS, st.integers(1, 20))
def test_packed_points_come_back_exactly(points: list[Any], times: int) -> None:
    array = sorted_points(as_array(points * times))
    assert decode_points(encode_points(array)).tobytes() == array.tobytes()


@given(st.lists(st.integers(0, 2**53), min_size=1, max_size=30))
def test_buckets_are_counted_right_for_every_width(steps: list[int]) -> None:
    array = np.array(sorted(steps), dtype=np.int64)
    counts = bucket_counts(boundary_bits(array), 1)
    assert counts.tolist() == [len({step >> k for step in steps}) for k in range(len(counts))]
