"""Sets of numbers as ranges."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from argus_ingest import ranges

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 10)).map(lambda t: (t[0], t[0] + t[1])))


@given(spans)
def test_adding_ranges_is_the_union_of_their_numbers(added: list[tuple[int, int]]) -> None:
    known: list[tuple[int, int]] = []
    numbers: set[int] = set()
    for low, high in added:
        known = ranges.add(known, (low, high))
        numbers |= set(range(low, high))
    assert {n for n in range(80) if ranges.contains(known, n)} == numbers
    assert all(b < c for (_, b), (c, _) in pairwise(known))
    assert ranges.missing(known) == (max(numbers) + 1 - len(numbers) if numbers else 0)


@given(spans, spans)
def test_subtracting_ranges_is_the_difference_of_their_numbers(
    some: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    def numbers(of: list[tuple[int, int]]) -> set[int]:
        return {number for low, high in of for number in range(low, high)}

    assert numbers(ranges.subtract(some, other)) == numbers(some) - numbers(other)
