"""Limits count in a sliding window."""

from __future__ import annotations

import pytest

from argus_gateway.problems import HttpProblem
from argus_gateway.rates import Limit, Rates
from argus_gateway.settings import Settings


def test_the_one_too_many_is_429_until_the_window_has_passed() -> None:
    now = 0.0
    limit = Limit(2, 60.0, lambda: now)
    limit.check("ada", "changes")
    limit.check("ada", "changes")
    limit.check("eve", "changes")
    with pytest.raises(HttpProblem) as refused:
        limit.check("ada", "changes")
    assert refused.value.status_code == 429
    now = 60.0
    limit.check("ada", "changes")


def test_sixty_changes_a_minute_is_the_default() -> None:
    assert Settings.model_fields["changes_per_minute"].default == 60
    assert Rates(7).writes.most == 7
