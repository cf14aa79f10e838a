"""Sets of whole numbers as sorted, disjoint, non-touching half-open ranges. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Range = tuple[int, int]
"""First number, and the first number after the last."""


def add(ranges: Iterable[Range], new: Range) -> list[Range]:
    """The union of `ranges` and `new`."""
    low, high = new
    result: list[Range] = []
    for a, b in ranges:
        if b < low or a > high:
            result.append((a, b))
        else:
            low, high = min(low, a), max(high, b)
    result.append((low, high))
    result.sort()
    return result


def subtract(ranges: Iterable[Range], other: Iterable[Range]) -> list[Range]:
    """The numbers of `ranges` that are in no range of `other`."""
    left = list(ranges)
    for low, high in other:
        left = [piece for a, b in left for piece in ((a, min(b, low)), (max(a, high), b)) if piece[0] < piece[1]]
    return left


def overlaps(ranges: Sequence[Range], other: Range) -> bool:
    """True where any number of `other` is in `ranges`. O(log n)."""
    low, high = other
    index = bisect_right(ranges, low, key=lambda known: known[0])
    return (index > 0 and ranges[index - 1][1] > low) or (index < len(ranges) and ranges[index][0] < high)


def contains(ranges: Sequence[Range], number: int) -> bool:
    return overlaps(ranges, (number, number + 1))


def missing(ranges: list[Range]) -> int:
    """How many numbers from 0 up to the last known one are in no range."""
    return ranges[-1][1] - sum(b - a for a, b in ranges) if ranges else 0
