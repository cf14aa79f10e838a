"""The time at which things are said."""

from __future__ import annotations

from datetime import UTC, datetime


class SteadyClock:
    """The wall clock, but for its steps back: no end of a run or job is said to be before its start."""

    def __init__(self) -> None:
        self._last = datetime.now(UTC)

    def now(self) -> datetime:
        self._last = max(self._last, datetime.now(UTC))
        return self._last
