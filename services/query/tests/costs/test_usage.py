"""When an attempt used its machine, from what it and its run have said, in whatever order that came."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from random import Random
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from argus_query.costs.totals import Part, Recorded, Total, total_of
from argus_query.costs.usage import MAX_FACTS, Usage, in_vain, said_by, tries_of

KINDS_OF_JOB = ("job_submitted", "job_start", "job_done", "job_failed", "job_aborted", "job_cached")
KINDS_OF_RUN = ("batch_start", "env_snapshot", "batch_done", "batch_failed", "batch_aborted")
Story = Sequence[tuple[str, int]]


def told(job: Story, run: Story = (), later: Story = ()) -> tuple[Usage, dict[int, Usage]]:
    """What a job has said; its run in the same attempt; its run in the next. Each: kind and time."""
    usages = [Usage("b", "j", 1, "lab"), Usage("b", "", 1, "lab"), Usage("b", "", 2, "lab")]
    for number, (usage, story) in enumerate(zip(usages, (job, run, later), strict=True)):
        for n, (kind, at) in enumerate(story):
            event = {"kind": kind, "event_id": str(uuid.UUID(int=1000 * number + n)), "data": {"host": f"h{n}"}}
            usage.add(said_by(event, at, received=at))
    return usages[0], {1: usages[1], 2: usages[2]}


def spans(
    job: Story, run: Story = (), later: Story = (), until: int | None = None
) -> list[tuple[int, int | None, str | None]]:
    return [(one.start, one.end, one.outcome) for one in tries_of(*told(job, run, later), until)]


def test_a_start_opens_a_try_and_an_end_closes_it() -> None:
    assert spans([("job_submitted", 1), ("job_start", 5), ("job_done", 9)]) == [(5, 9, "succeeded")]
    assert spans([("job_start", 5)]) == [(5, None, None)]
    assert spans([("job_cached", 5)]) == []


def test_who_starts_again_without_counting_pays_for_each_try_and_not_for_the_time_between() -> None:
    story = [("job_start", 1), ("job_failed", 3), ("job_start", 10), ("job_start", 11), ("job_done", 20)]
    assert spans(story) == [(1, 3, "failed"), (10, 20, "succeeded")]


def test_who_begins_again_behind_a_good_end_pays_again() -> None:
    story = [("job_start", 1), ("job_done", 3), ("job_failed", 4), ("job_start", 5), ("job_failed", 9)]
    assert spans(story[:3]) == [(1, 3, "succeeded")]
    assert spans(story) == [(1, 3, "succeeded"), (5, 9, "failed")]


def test_what_has_no_end_ends_with_its_run_or_with_the_next_attempt_of_it() -> None:
    start = [("job_start", 5)]
    assert spans(start, [("batch_start", 1), ("batch_done", 9)]) == [(5, 9, "aborted")]
    assert spans(start, [("batch_start", 1), ("batch_failed", 3)]) == [(5, 5, "aborted")]
    assert spans(start, [("batch_start", 1), ("batch_failed", 3), ("batch_start", 4)]) == [(5, None, None)]
    assert spans(start, [("batch_start", 1)], [("batch_start", 7)]) == [(5, 7, "aborted")]
    assert spans(start, [("batch_start", 1), ("batch_failed", 6)], [("batch_start", 7)]) == [(5, 6, "aborted")]


def test_what_was_known_earlier_is_known_still() -> None:
    story = [("job_start", 1), ("job_failed", 3), ("job_start", 10), ("job_done", 20)]
    assert [spans(story, until=until) for until in (0, 2, 5, 12)] == [
        [], [(1, None, None)], [(1, 3, "failed")], [(1, 3, "failed"), (10, None, None)],
    ]  # fmt: skip


def test_a_job_says_more_of_its_machine_than_its_run_does() -> None:
    job, of_run = told([("job_start", 5), ("job_done", 9)], [("batch_start", 1)])
    assert tries_of(job, of_run)[0].host == "h0"
    of_run[1].add(said_by({"kind": "batch_start", "event_id": "x", "data": {"cpus": 2.5, "capacity": "spot"}}, 2, 2))
    job.add(said_by({"kind": "job_start", "event_id": "y", "data": {"instance_type": "big"}}, 6, 6))
    one = tries_of(job, of_run)[0]
    assert (one.host, one.instance_type, one.capacity, one.milli_cpus) == ("h0", "big", "spot", 2500)


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[str, str, int, int, int]]:
    """Kind, job, attempt, time and number of contradictory facts."""
    made: list[tuple[str, str, int, int, int]] = []
    for number in range(draw(st.integers(0, 20))):
        job = draw(st.sampled_from(["", "j"]))
        kind = draw(st.sampled_from(KINDS_OF_JOB if job else KINDS_OF_RUN))
        made.append((kind, job, draw(st.integers(1, 2)), draw(st.integers(0, 12)), number))
    return made


@given(stories(), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_order_and_restarts_do_not_matter_and_tries_of_an_attempt_never_overlap(
    story: list[tuple[str, str, int, int, int]], random: Random
) -> None:
    def all_tries(facts: list[tuple[str, str, int, int, int]], restarts: bool) -> list[Any]:
        usages: dict[tuple[str, str, int], Usage] = {}
        for kind, job, attempt, at, number in facts:
            key = ("b", job, attempt)
            usage = usages.setdefault(key, Usage(*key, "lab"))
            event = {"kind": kind, "event_id": str(uuid.UUID(int=number)), "data": {"host": f"h{number % 3}"}}
            usage.add(said_by(event, at, number))
            if restarts:
                usages[key] = Usage.from_json(key, "lab", orjson.loads(orjson.dumps(usage.to_json())))
        of_run = {key[2]: usage for key, usage in usages.items() if not key[1]}
        found = [one for key in sorted(usages) for one in tries_of(usages[key], of_run)]
        return [*found, in_vain(of_run)]

    shuffled = list(story)
    random.shuffle(shuffled)
    *tries, _ = expected = all_tries(story, restarts=False)
    assert all_tries(shuffled, restarts=True) == expected
    for one in tries:
        assert one.end is None or one.end >= one.start
        for other in tries:
            if other.key[:3] == one.key[:3] and other.number > one.number:
                assert one.end is not None and one.end <= other.start


def test_of_very_many_facts_the_earliest_are_kept_whatever_comes_first() -> None:
    story = [("job_start", at) for at in range(2 * MAX_FACTS)]
    assert told(story)[0].facts[-1].at == told(story[::-1])[0].facts[-1].at == MAX_FACTS - 1


def bill(nano: int, job: str = "", attempt: int | None = None, at: int = 0) -> Recorded:
    return Recorded(f"e{at}", job, attempt, at, at, at, nano, None)


def test_every_attempt_is_paid_once_by_the_widest_bill_that_there_is() -> None:
    parts = [Part("j", 1, 60, 60, True), Part("j", 2, 40, 0, False), Part("k", 1, None, 0, False)]
    assert total_of(parts, [], False) == Total(100, 60)
    assert total_of(parts, [bill(30, "j", 1)], False) == Total(70, 30)
    assert total_of(parts, [bill(30, "j", 1), bill(10, "k", 1)], False) == Total(80, 30)
    assert total_of(parts, [bill(30, "j", 1), bill(50, "j")], False) == Total(50, 21)
    assert total_of(parts, [bill(7, "j", 1), bill(50, "j"), bill(9)], False) == Total(9, 1)
    assert total_of(parts, [bill(9, at=2), bill(8, at=1)], False) == Total(9, 5)
    assert total_of([], [bill(9)], True) == Total(9, 9)
    assert total_of([Part("k", 1, None, 0, False)], [], False) == Total(None, None)
