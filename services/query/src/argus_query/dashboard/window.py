"""Days, weeks and months of the dashboard's charts. Pure; all days are UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

Unit = Literal["day", "week", "month"]
_ONE = timedelta(days=1)


class Days(NamedTuple):
    """Both inclusive."""

    first: date
    last: date


def window_of(n_days: int | None, now: datetime) -> Days | None:
    """Today and the days before it; None: all time. now: in UTC."""
    today = now.date()
    return None if n_days is None else Days(today - (n_days - 1) * _ONE, today)


def unit_of(n_days: int | None) -> Unit:
    if n_days is None:
        return "month"
    return "week" if n_days > 31 else "day"


def buckets(unit: Unit, days: Days) -> Iterator[Days]:
    """Days, weeks (from Monday) or months that follow each other without a gap; those at the edges of `days` are cut."""
    first = days.first
    while first <= days.last:
        last = min(_last_of(unit, first), days.last)
        yield Days(first, last)
        first = last + _ONE


def _last_of(unit: Unit, day: date) -> date:
    if unit == "day":
        return day
    if unit == "week":
        return day + (6 - day.weekday()) * _ONE
    return (day.replace(day=28) + 4 * _ONE).replace(day=1) - _ONE
