"""Fewer calls at once as soon as the store asks for it, and slowly more again."""

from __future__ import annotations

from argus_deleter.pace import Pace


def test_it_halves_once_for_complaints_of_the_same_moment_and_recovers() -> None:
    now = [0.0]
    pace = Pace(16, lambda: now[0])
    for _ in range(5):
        pace.slow_down()
    assert pace.at_once == 8
    for expected in (4, 2, 1, 1):
        now[0] += 1
        pace.slow_down()
        assert pace.at_once == expected
    for _ in range(200):
        pace.went_well()
    assert pace.at_once == 16
