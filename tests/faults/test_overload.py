"""O1: senders offer many times what Argus can carry. Nothing grows without end, and what is dropped is counted to the unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from argus_testkit import LocalStack
from argus_testkit.faults import Workload, pick, seeded
from argus_testkit.faults.checker import MAX_RSS_BYTES
from argus_testkit.faults.flood import SMALL, flood


@pytest.fixture
def small_stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A whole Argus whose broker holds little."""
    with LocalStack(tmp_path / "home", SMALL) as stack:
        yield stack


def test_a_flood_is_carried_or_dropped_and_counted(small_stack: LocalStack, tmp_path: Path) -> None:
    environment = Workload(small_stack, tmp_path, seeded("overload")).environment
    flooded = flood(
        small_stack, tmp_path, environment, n_senders=pick(2, 4), seconds=pick(10.0, 300.0), within=pick(150.0, 900.0)
    )
    answers = sorted(flooded.answers_s)
    print(
        f"offered {flooded.offered_per_s:,.0f}/s, carried {flooded.carried_per_s:,.0f}/s, drained in {flooded.drained_s:.1f} s"
        f" (goal 600); {flooded.lines_dropped:,} lines dropped; answers p95 {answers[len(answers) * 95 // 100]:.2f} s (goal 2)"
    )
    assert flooded.lines_dropped > 0, "it was no flood"
    assert flooded.points_lost == 0
    assert flooded.jobs_not_ended == 0
    assert flooded.lines_unaccounted == 0
    assert max(flooded.rss_bytes.values()) <= MAX_RSS_BYTES, flooded.rss_bytes
