from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from argus import clock
from argus.clock import SteadyClock


def test_what_is_said_never_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [datetime(2026, 11, 21, 3, tzinfo=UTC) + timedelta(hours=hours) for hours in (0, 1, 0, 0.5, 2)]

    class Stepping:
        @staticmethod
        def now(_zone: object) -> datetime:
            return times.pop(0)

    monkeypatch.setattr(clock, "datetime", Stepping)
    steady = SteadyClock()
    assert [steady.now().hour for _ in range(4)] == [4, 4, 4, 5]
