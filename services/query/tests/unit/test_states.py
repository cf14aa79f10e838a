"""What is remembered of runs and jobs does not depend on the order in which events arrive, nor on when it was stored."""

from __future__ import annotations

import uuid
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus_contracts.envelope import AnyEvent, JobEvent
from argus_contracts.freeze import golden_samples
from argus_contracts.registry import EVENT_CLASSES
from argus_query.facts import all_micros, like_pattern, micros, natural_key
from argus_query.jobs.losses import MAX_BUCKETS, Losses, Track
from argus_query.jobs.state import BatchState, JobState
from argus_query.lifecycle import is_lifecycle_kind
from argus_query.runs.activity import MAX_LATE_JOBS
from argus_query.runs.ended import ended_row
from argus_query.runs.folders import MAX_FOLDERS, Folder, folders_of, unmeasured
from argus_query.runs.state import RunState, makes_a_run
from argus_query.shares import shares_of

RECEIVED = 1_800_000_000_000_000
SAMPLES = {sample["kind"]: sample for sample in golden_samples().values()}
KINDS = sorted(kind for kind in SAMPLES if makes_a_run(kind))
"""All that there are: a new kind is asked for without a line here."""
VALUES = st.one_of(st.floats(-9, 9), st.sampled_from(["NaN", "Infinity"]))


@st.composite
def events(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of one run and one job, contradictory and with equal times."""
    made: list[dict[str, Any]] = []
    for index in range(draw(st.integers(0, 25))):
        kind = draw(st.sampled_from(KINDS))
        data: dict[str, Any] = other_numbers(SAMPLES[kind]["data"], draw(st.integers(0, 3)))
        if kind == "batch_start":
            data = {"name": draw(st.sampled_from(["a", "b", None])), "labels": draw(st.sampled_from([["x"], []]))}
        elif kind == "env_snapshot":
            data = {"host": draw(st.sampled_from(["h1", "h2"]))}
        elif kind == "job_start":
            data = {"model": draw(st.sampled_from(["m", None])), "n_epochs_expected": draw(st.sampled_from([None, 9]))}
        elif kind == "job_epoch":
            keys = draw(st.lists(st.sampled_from(["val_loss", "loss", "a_loss", "b_loss", "acc"]), unique=True))
            data = {"epoch": draw(st.integers(0, 9)), "metrics": {key: draw(VALUES) for key in keys}}
            if draw(st.booleans()):
                data["step"] = draw(st.integers(0, 500))
        elif kind == "resource_snapshot":
            data = {"gpus": [{"index": 0, "memory_used_bytes": draw(st.integers(0, 9)), "util_pct": 5.0}]}
        elif kind in ("batch_heartbeat", "batch_done"):
            data = {"dropped": {"log_lines": draw(st.integers(0, 5))}}
        elif kind == "job_failed":
            data = {"reason": draw(st.sampled_from(["oom", None])), "traceback": "x\ny"}
        about = EVENT_CLASSES[kind]
        of_job = issubclass(about, JobEvent) or (issubclass(about, AnyEvent) and draw(st.booleans()))
        made.append({
            "event_id": str(uuid.UUID(int=index)), "kind": kind, "batch_id": "b", "job_id": "j" if of_job else None,
            "attempt": draw(st.integers(1, 2)), "position": index, "data": data,
            "occurred_at": f"2026-11-21T03:00:0{draw(st.integers(0, 5))}Z",
        })  # fmt: skip
    return made


def other_numbers(value: Any, by: int) -> Any:
    """The same shape, so that two events of one kind need not say the same."""
    if isinstance(value, dict):
        return {key: other_numbers(item, by) for key, item in value.items()}
    return value + by if type(value) in (int, float) else value


def reloaded_run(run: RunState) -> RunState:
    return RunState.from_json("b", orjson.loads(orjson.dumps(run.to_json())), run.last_at, run.seen, run.progressed)


def run_of(told: list[dict[str, Any]], restarts: Random | None = None) -> RunState:
    run = RunState("b", "lab", "ada")
    for event in told:
        run.project_event(event, micros(event["occurred_at"]), RECEIVED, event["position"], "p")
        if restarts is not None and restarts.random() < 0.3:
            run = reloaded_run(run)
    return run


def job_of(told: list[dict[str, Any]], restarts: Random | None = None) -> JobState:
    job = JobState("b", "j")
    for event in told:
        if event["job_id"] is None:
            continue
        job.project_event(event, micros(event["occurred_at"]), event["position"])
        if restarts is not None and restarts.random() < 0.3:
            job = JobState.from_json("b", "j", orjson.loads(orjson.dumps(job.to_json())), "running")
    return job


@given(told=events(), random=st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_a_run_is_the_same_in_any_order(told: list[dict[str, Any]], random: Random) -> None:
    """But for what is told by the order of the log itself: whether something goes on, and so what became of outputs."""
    told = [event for event in told if not event["kind"].startswith("outputs_")]
    shuffled = list(told)
    random.shuffle(shuffled)
    expected, found = run_of(told), run_of(shuffled, random)
    if expected.first_at is not None:
        assert found.row(found.found_by()) == expected.row(expected.found_by())
        assert ended_row(found, found.found_by()) == ended_row(expected, expected.found_by())
    assert {**found.to_json(), "activity": None} == {**expected.to_json(), "activity": None}


@given(told=events(), random=st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_a_run_and_its_outputs_are_the_same_however_all_else_comes(told: list[dict[str, Any]], random: Random) -> None:
    """Starts and ends in the order of the log."""
    shuffled = list(told)
    random.shuffle(shuffled)
    in_order = iter(event for event in told if is_lifecycle_kind(event["kind"]))
    shuffled = [next(in_order) if is_lifecycle_kind(event["kind"]) else event for event in shuffled]
    expected, found = run_of(told), run_of(shuffled, random)
    if expected.first_at is not None:
        assert found.row(found.found_by()) == expected.row(expected.found_by())
        assert ended_row(found, found.found_by()) == ended_row(expected, expected.found_by())
        assert (folders_of(found), unmeasured(found)) == (folders_of(expected), unmeasured(expected))
    assert found.to_json() == expected.to_json()


def lifecycle(*told: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [
        {"event_id": str(uuid.UUID(int=n)), "kind": kind, "batch_id": "b", "job_id": job, "attempt": 1, "position": n,
         "occurred_at": f"2026-11-21T03:{n // 60:02d}:{n % 60:02d}Z", "data": {"output_dir": "s3://b/x"} if kind == "batch_start" else {}}
        for n, (kind, job) in enumerate(told)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("behind", "is_active"),
    [
        ([], False), ([("batch_start", None)], True), ([("job_start", "a")], True),
        ([("job_start", "a"), ("job_failed", "a")], False), ([("job_start", "a"), ("job_start", "b"), ("job_done", "a")], True),
        ([("batch_start", None), ("job_start", "a"), ("job_done", "a")], True), ([("job_start", "a"), ("batch_failed", None)], False),
        ([("batch_start", None), ("batch_done", None)], False), ([("job_done", "c")], False),
    ],
)  # fmt: skip
def test_something_goes_on_until_it_or_the_run_has_ended(behind: list[tuple[str, str | None]], is_active: bool) -> None:
    """Behind a good end, which is final for the status."""
    run = run_of(lifecycle(("batch_start", None), ("job_start", "z"), ("batch_done", None), *behind), Random(1))
    assert (run.status(), run.activity.is_active, run.activity.position) == ("succeeded", is_active, 2 + len(behind))


def test_where_more_jobs_begin_late_than_are_kept_something_goes_on_until_the_run_ends() -> None:
    jobs = [f"j{n}" for n in range(MAX_LATE_JOBS + 1)]
    late = [("job_start", job) for job in jobs] + [("job_done", job) for job in jobs[:-1]]
    told = lifecycle(("batch_start", None), ("batch_done", None), *late)
    assert run_of(told).activity.is_active
    assert not run_of([*told, lifecycle(*[("batch_done", None)] * (len(told) + 1))[-1]]).activity.is_active


def test_a_folder_that_a_run_has_named_once_stays_its_own_where_the_next_is_none() -> None:
    told = lifecycle(("batch_start", None), ("batch_failed", None), ("batch_start", None))
    told[2]["data"] = {"output_dir": "/scratch/x"}
    assert folders_of(run_of(told)) == {Folder("s3://b/x/", is_work_dir=False)}


def test_the_present_folders_are_a_runs_own_however_many_it_has_named_before() -> None:
    told = lifecycle(*[("batch_start", None)] * (MAX_FOLDERS // 2 + 2))
    for n, event in enumerate(told):
        event["data"] = {"output_dir": f"s3://b/{n:04d}", "work_dir": f"s3://b/{n:04d}/work"}
    found = folders_of(run_of(told))
    newest = f"s3://b/{len(told) - 1:04d}/"
    assert {Folder(newest, is_work_dir=False), Folder(f"{newest}work/", is_work_dir=True)} < found
    assert len(found) == MAX_FOLDERS + 2


def test_costs_and_what_became_of_outputs_survive_a_restart() -> None:
    told = [SAMPLES[kind] | {"position": n} for n, kind in enumerate(["batch_start", "outputs_measured", "batch_done"])]
    run = run_of(told)
    assert run.set_cost(1 / 3, None)
    assert not run.set_cost(1 / 3, None)
    found = reloaded_run(run)
    assert (found.cost_usd, found.wasted_usd, found.changed) == (1 / 3, None, False)
    assert found.stored_ended == ended_row(run, run.found_by()) is not None
    assert found.live_outputs() == run.live_outputs() is not None


@given(told=events(), random=st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_a_job_is_the_same_in_any_order(told: list[dict[str, Any]], random: Random) -> None:
    shuffled = list(told)
    random.shuffle(shuffled)
    expected, found = job_of(told), job_of(shuffled, random)
    assert found.row(BatchState("b")) == expected.row(BatchState("b"))
    assert orjson.loads(orjson.dumps(found.to_json())) == orjson.loads(orjson.dumps(expected.to_json()))


@st.composite
def epochs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """As trainings state them: hundreds, mostly ascending, some without a step or an epoch, a few of another attempt."""
    stride, texts = draw(st.integers(1, 9)), st.sampled_from([".000001", ".5", ""])
    made: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 300))):
        data: dict[str, Any] = {"epoch": index, "step": index * stride, "metrics": {"val_loss": index / 7, "acc": 1.0}}
        if draw(st.integers(0, 9)) == 0:
            del data[draw(st.sampled_from(["epoch", "step"]))]
            data["metrics"] = {"b_loss": "NaN"}
        made.append({
            "event_id": str(uuid.UUID(int=index)), "kind": "job_epoch", "batch_id": "b", "job_id": "j",
            "attempt": draw(st.sampled_from([1, 1, 1, 1, 2])), "data": data, "position": index,
            "occurred_at": f"2026-11-21T03:{index // 60:02d}:{index % 60:02d}{draw(texts)}Z",
        })  # fmt: skip
    return made


@given(told=epochs(), pieces=st.integers(1, 9), random=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_a_job_is_the_same_whether_its_epochs_come_alone_or_together(
    told: list[dict[str, Any]], pieces: int, random: Random
) -> None:
    if random.random() < 0.3:
        random.shuffle(told)
    job = JobState("b", "j")
    for piece in range(pieces):
        events = told[len(told) * piece // pieces : len(told) * (piece + 1) // pieces]
        for share in shares_of(events, all_micros([event["occurred_at"] for event in events])):
            job.project_share(share)
    assert orjson.loads(orjson.dumps(job.to_json())) == orjson.loads(orjson.dumps(job_of(told).to_json()))


@given(st.lists(st.sampled_from([
    "2026-11-21T06:18:29.123456Z", "2026-11-21T06:18:29.000000Z", "2026-11-21T06:18:30.5Z", "2026-11-21T06:18:30Z",
    "2026-11-21T06:18:30.123456+01:00", "2026-11-21 06:18:30.123456Z", "2026-11-21T06:18:30.99Z", 1795242000, "1795242000",
])))  # fmt: skip
def test_times_are_the_same_alone_and_together(moments: list[Any]) -> None:
    assert all_micros(moments) == [micros(moment) for moment in moments]


def see(track: Track, step: int, value: float | str) -> None:
    track.add_all(1, [step], [step], [value], ((1, step, ""), step, value))


@given(steps=st.lists(st.integers(0, 100_000), unique=True, max_size=400), random=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_a_sparkline_has_at_most_64_points_and_both_ends(steps: list[int], random: Random) -> None:
    random.shuffle(steps)
    track = Track()
    for step in steps:
        see(track, step, float(step))
    found, values = track.curve()
    assert len(found) <= MAX_BUCKETS + 1
    assert values == [float(step) for step in found]
    if steps:
        assert (found[0], found[-1]) == (min(steps), max(steps))
        assert len(found) >= min(len(steps), MAX_BUCKETS // 4 + 1) or max(steps) > len(steps) * 4


def test_steps_that_are_all_odd_or_far_apart_are_thinned_evenly() -> None:
    track = Track()
    for step in range(49, 100_000, 50):
        see(track, step, 1.0)
    assert 32 <= len(track.curve()[0]) <= 64


def test_the_loss_is_val_loss_then_train_loss_then_loss_then_the_first_that_has_it_in_its_name() -> None:
    losses = Losses()
    for at, key in enumerate(["z_loss", "aux_loss", "m_loss"]):
        assert losses.track("accuracy") is None
        if (track := losses.track(key)) is not None:
            see(track, at, 1.0)
    assert losses.key == "aux_loss"
    for key in ["loss", "train_loss", "val_loss"]:
        assert losses.track(key) is not None
        assert losses.key == key


def test_not_a_number_is_a_loss_and_a_hole_in_the_sparkline() -> None:
    losses = Losses()
    track = losses.track("loss")
    assert track is not None
    see(track, 0, 1.0)
    see(track, 1, "NaN")
    assert losses.newest("loss") == "NaN"
    assert losses.tracks["loss"].curve() == ([0, 1], [1.0, None])


def job_with(*, n_epochs: int, epochs: list[tuple[int, float]]) -> JobState:
    """epochs: (epoch, seconds after the start)."""
    job = JobState("b", "j")
    start = {"event_id": "s", "kind": "job_start", "attempt": 1, "data": {"n_epochs_expected": n_epochs}}
    job.project_event(start, 0, 0)
    for epoch, at in epochs:
        point = {"event_id": str(epoch), "kind": "job_epoch", "attempt": 1, "data": {"epoch": epoch, "metrics": {}}}
        job.project_event(point, int(at * 1e6), 0)
    return job


def test_eta_follows_the_pace_between_the_first_and_the_newest_epoch() -> None:
    summary = orjson.loads(job_with(n_epochs=10, epochs=[(0, 100), (1, 110), (2, 120)]).row(BatchState("b"))[-1])
    assert summary["progress"] == 0.3
    assert round(summary["eta_s"], 6) == 70  # 7 epochs of 10 s; the 100 s before the first do not count
    resumed = orjson.loads(job_with(n_epochs=10, epochs=[(8, 10), (9, 15)]).row(BatchState("b"))[-1])
    assert resumed["progress"] == 0.9
    assert round(resumed["eta_s"], 6) == 5


def test_jobs_are_in_natural_order() -> None:
    names = [
        "job-10",
        "job-2",
        "Job-1",
        "job-02b",
        "a",
        "10",
        "9",
        "lr=0.1",
        "lr=0.01",
        "lr=0.003",
        "v1.10.0",
        "v1.9.2",
    ]
    assert sorted(names, key=lambda name: (natural_key(name), name)) == [
        "9", "10", "a", "Job-1", "job-2", "job-02b", "job-10", "lr=0.003", "lr=0.01",
        "lr=0.1", "v1.9.2", "v1.10.0",
    ]  # fmt: skip


def test_wildcards_in_a_search_mean_themselves() -> None:
    assert like_pattern(r"50%_a\b") == r"%50\%\_a\\b%"
