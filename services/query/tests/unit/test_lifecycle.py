"""The status of runs and jobs: pure rules."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_query.lifecycle import Fact, Lifecycle, job_view, lifecycle_of

BATCH_KINDS = ["batch_start", "batch_done", "batch_failed", "batch_aborted"]
JOB_KINDS = ["job_submitted", "job_start", "job_done", "job_failed", "job_aborted", "job_cached"]


def facts(*told: tuple[str, int] | tuple[str, int, int]) -> list[Fact]:
    """(kind, at[, attempt]) each."""
    return [
        Fact(f"{index:04d}", one[0], one[2] if len(one) == 3 else 1, one[1], index, {})  # type: ignore[misc]
        for index, one in enumerate(told)
    ]


def status_of(*told: tuple[str, int] | tuple[str, int, int]) -> str:
    return lifecycle_of(facts(*told)).status()


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ([], "queued"),
        ([("job_submitted", 0)], "queued"),
        ([("job_submitted", 0), ("job_start", 1)], "running"),
        ([("job_start", 1), ("job_done", 2)], "succeeded"),
        ([("job_cached", 2)], "cached"),
        # contradictions within an attempt: a good end is final, else the earliest end counts
        ([("job_start", 1), ("job_failed", 2), ("job_done", 3)], "succeeded"),
        ([("job_start", 1), ("job_aborted", 3), ("job_failed", 2)], "failed"),
        # an end that arrives before its start, and at the same second
        ([("job_failed", 5), ("job_start", 5)], "failed"),
        ([("job_done", 5), ("job_start", 9)], "succeeded"),
        # a later start of the same attempt resumes after a bad end
        ([("batch_start", 1), ("batch_failed", 2), ("batch_start", 3)], "running"),
        ([("batch_start", 1), ("batch_failed", 2), ("batch_start", 3), ("batch_aborted", 4)], "aborted"),
        # the highest attempt wins
        ([("batch_start", 1), ("batch_done", 2), ("batch_start", 3, 2)], "running"),
        ([("batch_failed", 9, 1), ("batch_start", 3, 2), ("batch_done", 4, 2)], "succeeded"),
    ],
)
def test_status_follows_from_the_facts(told: list[tuple[str, int]], status: str) -> None:
    assert status_of(*told) == status


def test_a_sign_of_life_of_an_ended_attempt_reopens_nothing_and_one_of_a_newer_attempt_does() -> None:
    life = lifecycle_of(facts(("job_start", 1), ("job_done", 2)))
    assert not life.hear(0)
    life.hear(1)
    assert life.status() == "succeeded"
    life.hear(2)
    assert life.status() == "running"


def test_an_open_job_of_an_ended_run_was_aborted_because_of_the_end_of_the_run() -> None:
    job, batch = lifecycle_of(facts(("job_start", 1))), lifecycle_of(facts(("batch_start", 0), ("batch_failed", 5)))
    view = job_view(job, batch)
    assert (view.status, view.since) == ("aborted", 5)
    assert [fact.kind for fact in view.because] == ["job_start", "batch_failed"]


def test_a_job_left_behind_by_a_newer_attempt_was_aborted_and_an_ended_one_stays() -> None:
    batch = lifecycle_of(facts(("batch_start", 0), ("batch_start", 10, 2)))
    assert job_view(lifecycle_of(facts(("job_start", 1))), batch).status == "aborted"
    assert job_view(lifecycle_of(facts(("job_start", 1), ("job_done", 2))), batch).status == "succeeded"
    assert job_view(lifecycle_of(facts(("job_start", 11, 2))), batch).status == "running"


@given(
    told=st.lists(st.tuples(st.sampled_from(JOB_KINDS), st.integers(0, 6), st.integers(1, 3)), max_size=12),
    seed=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(told: list[tuple[str, int, int]], seed: object) -> None:
    in_order: Sequence[Fact] = facts(*told)
    shuffled = list(in_order)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    assert lifecycle_of(shuffled).to_json() == lifecycle_of(in_order).to_json()


@given(told=st.lists(st.tuples(st.sampled_from(BATCH_KINDS), st.integers(0, 6), st.integers(1, 3)), max_size=8))
def test_a_lifecycle_survives_its_json(told: list[tuple[str, int, int]]) -> None:
    life = lifecycle_of(facts(*told))
    assert Lifecycle.from_json(life.to_json()).to_json() == life.to_json()
