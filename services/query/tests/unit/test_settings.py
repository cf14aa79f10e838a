"""What storage costs is set from outside; a wrong value stops the start with one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from argus_query.settings import Settings, problem_of

NAMES = {name: f"STORAGE_COST_PER_GB_YEAR_{name}" for name in ("MIN", "INFREQUENT", "MAX")}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGUS_DATABASE_URL", "postgres://")
    for name in NAMES.values():
        monkeypatch.delenv(name, raising=False)


def settings() -> Settings:
    return Settings()  # pyright: ignore[reportCallIssue] the environment fills it


def test_rates_are_as_usual_or_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = settings().rates
    assert (rates.min_usd, rates.infrequent_usd, rates.max_usd) == (0.048, 0.15, 0.276)
    monkeypatch.setenv(NAMES["MIN"], "0")
    monkeypatch.setenv(NAMES["MAX"], "1.5")
    rates = settings().rates
    assert (rates.min_usd, rates.max_usd) == (0, 1.5)


@pytest.mark.parametrize(("name", "value", "said"), [
    ("MIN", "-1", "STORAGE_COST_PER_GB_YEAR_MIN: "), ("MAX", "much", "STORAGE_COST_PER_GB_YEAR_MAX: "),
    ("INFREQUENT", "nan", "STORAGE_COST_PER_GB_YEAR_INFREQUENT: "), ("MAX", "inf", "STORAGE_COST_PER_GB_YEAR_MAX: "),
    ("MIN", "0.3", "STORAGE_COST_PER_GB_YEAR_MIN is above STORAGE_COST_PER_GB_YEAR_MAX"),
])  # fmt: skip
def test_a_wrong_rate_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(NAMES[name], value)
    with pytest.raises(ValidationError) as caught:
        settings()
    assert problem_of(caught.value).startswith(said)
    assert "\n" not in problem_of(caught.value)


def test_another_setting_is_told_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGUS_FOLD_EVENTS", "0")
    with pytest.raises(ValidationError) as caught:
        settings()
    assert problem_of(caught.value).startswith("ARGUS_FOLD_EVENTS: ")
