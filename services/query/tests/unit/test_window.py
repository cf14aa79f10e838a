"""Days, weeks and months of the dashboard's charts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from argus_query.dashboard.window import Days, buckets, unit_of, window_of

NOW = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)  # a Saturday


@pytest.mark.parametrize(("n_days", "unit", "n_buckets"), [(7, "day", 7), (30, "day", 30), (90, "week", 13)])
def test_a_window_is_today_and_the_days_before_it(n_days: int, unit: str, n_buckets: int) -> None:
    days = window_of(n_days, NOW)
    assert days is not None
    assert (days.last, days.last - days.first) == (NOW.date(), timedelta(n_days - 1))
    assert unit_of(n_days) == unit
    assert len(list(buckets(unit_of(n_days), days))) == n_buckets


def test_weeks_begin_on_mondays_and_are_cut_at_the_edges() -> None:
    days = Days(date(2026, 11, 14), date(2026, 11, 24))
    assert list(buckets("week", days)) == [
        (date(2026, 11, 14), date(2026, 11, 15)), (date(2026, 11, 16), date(2026, 11, 22)),
        (date(2026, 11, 23), date(2026, 11, 24)),
    ]  # fmt: skip


def test_months_follow_each_other_over_leap_days_and_years() -> None:
    days = Days(date(2027, 12, 31), date(2028, 3, 1))
    assert list(buckets("month", days)) == [
        (date(2027, 12, 31), date(2027, 12, 31)), (date(2028, 1, 1), date(2028, 1, 31)),
        (date(2028, 2, 1), date(2028, 2, 29)), (date(2028, 3, 1), date(2028, 3, 1)),
    ]  # fmt: skip
    assert window_of(None, NOW) is None
    assert unit_of(None) == "month"
