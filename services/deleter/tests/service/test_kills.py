"""L5: kill -9 wherever it hurts, two deleters, double clicks, replays, restarts: one deletion, exactly the manifest."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from argus_testkit import eventually, eventually_async
from argus_testkit.failpoints import Failpoints

POINTS = {
    "plan": "argus_deleter.deleting:Deleting._save_plan",
    "start": "argus_deleter.deleting:Deleting._start",
    "begin": "argus_deleter.parts:Parts._begin",
    "delete": "argus_deleter.object_store:ObjectStore._delete_once",
    "finish": "argus_deleter.parts:Parts._finish",
    "end": "argus_deleter.deleting:Deleting._end",
    "command": "argus_deleter.decisions:Decisions.save",
}
PLACES = [
    ("plan", "before", 1), ("plan", "after", 1), ("start", "after", 1), ("begin", "after", 2), ("delete", "after", 1),
    ("delete", "after", 3), ("finish", "after", 2), ("end", "before", 1), ("end", "after", 1),
]  # fmt: skip
N = 4


@pytest.mark.parametrize(("point", "when", "number"), PLACES, ids=lambda value: str(value))
async def test_a_kill_anywhere(rig: Any, tmp_path: Path, point: str, when: str, number: int) -> None:
    failpoints = Failpoints(tmp_path / "failpoints", list(POINTS.values()))
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put(*(f"lab/run-1/c{i % N}/o{i:04d}" for i in range(N * 600)), "lab/run-10/a", "lab/run-1x")
    rest = rig.canary(without="lab/run-1/")
    first = rig.start(**failpoints.environment)
    failpoints.arm(POINTS[point], when, number)
    command = rig.deletion_of(run)
    decision = await rig.command("delete", command)
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    rig.start()
    end = await rig.end_of(decision.results[0].deletion_id, "run-1", within=30)
    assert (end["outcome"], end["objects"], end["objects_deleted"], end["bytes_freed"]) == (
        "deleted", N * 600, N * 600, N * 6000,
    ), end  # fmt: skip
    assert rig.canary() == rest
    kinds = [kind for kind in await rig.kinds("run-1") if kind != "progressed"]
    assert kinds == ["requested", "planned", "started", "finished"]
    assert await rig.command("delete", command) == decision


@pytest.mark.parametrize("change", [{"lifecycle_position": 200}, {"status": "running"}, {"user": "eve"}])
async def test_a_run_that_is_another_when_the_deleter_comes_back_keeps_the_rest(
    rig: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    """What was not deleted yet stays, and so does an upload of whoever writes there now."""
    failpoints = Failpoints(tmp_path / "failpoints", list(POINTS.values()))
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a", "lab/run-1/b")
    upload = rig.s3.create_multipart_upload(Bucket="outputs", Key="lab/run-1/half")
    rest = rig.canary()
    first = rig.start(**failpoints.environment)
    failpoints.arm(POINTS["begin"], "after", 1)
    decision = await rig.delete(run)
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    rig.query.change("run-1", **change)
    rig.start()
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"], end["uploads_aborted"], end["remaining_objects"]) == (
        "failed", 0, 0, 2,
    ), end  # fmt: skip
    assert end["reason"].startswith("checked again")
    assert rig.canary() == rest
    rig.s3.list_parts(Bucket="outputs", Key="lab/run-1/half", UploadId=upload["UploadId"])


@pytest.mark.parametrize("point", ["plan", "begin"])
async def test_what_an_earlier_version_was_asked_ends_with_a_reason_and_a_fact(
    rig: Any, tmp_path: Path, point: str
) -> None:
    """It has not written down which beginning or end of the run was the last."""
    failpoints = Failpoints(tmp_path / "failpoints", list(POINTS.values()))
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a", "lab/run-1/b")
    rest = rig.canary()
    first = rig.start(**failpoints.environment)
    failpoints.arm(POINTS[point], "after", 1)
    decision = await rig.delete(run)
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    with rig.database.connect("deleter") as connection:
        topic = "outputs_deletion_requested"
        ((raw,),) = connection.execute("SELECT state FROM deleter.decisions WHERE topic = %s", [topic])
        stored = orjson.loads(raw)
        del stored["data"]["lifecycle_position"]
        stored["run_ended_at"] = None
        connection.execute("UPDATE deleter.decisions SET state = %s WHERE topic = %s", [orjson.dumps(stored), topic])
    rig.start()
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"], "lifecycle_position" in end) == ("failed", 0, False), end
    assert "asked for before an upgrade" in end["reason"]
    assert rig.canary() == rest
    again = await rig.delete(run)
    assert (await rig.end_of(again.results[0].deletion_id, "run-1"))["objects_deleted"] == 2


@pytest.mark.parametrize("n_folders", [1, 3])
async def test_what_a_killed_call_has_deleted_is_counted_where_the_rest_is_kept(
    rig: Any, tmp_path: Path, n_folders: int
) -> None:
    """The answer of the call died with the deleter, and the run goes on when the next one comes: its outputs are not called deleted."""
    failpoints = Failpoints(tmp_path / "failpoints", list(POINTS.values()))
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put(*(f"lab/run-1/c{i % n_folders}/o{i:04d}" for i in range(n_folders * 600)), "lab/run-10/a")
    rest = rig.canary(without="lab/run-1/")
    first = rig.start(ARGUS_S3_CALLS_AT_ONCE="1", **failpoints.environment)
    failpoints.arm(POINTS["delete"], "after", 1)
    decision = await rig.delete(run)
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    rig.query.change("run-1", status="running")
    left = rig.keys("lab/run-1/")
    rig.start()
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"], end["bytes_freed"], end["remaining_objects"]) == (
        "partial", 600, 6000, (n_folders - 1) * 600,
    ), end  # fmt: skip
    assert end["reason"] == "checked again: not_terminal"
    assert rig.keys("lab/run-1/") == left
    assert rig.canary(without="lab/run-1/") == rest


async def test_a_kill_between_a_decision_and_its_answer(rig: Any, tmp_path: Path) -> None:
    failpoints = Failpoints(tmp_path / "failpoints", [POINTS["command"]])
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    settings = {"ARGUS_COMMANDS_ACK_WAIT_S": "2", "ARGUS_DELETION_GRACE_S": "1"}
    first = rig.start(**failpoints.environment, **settings)
    failpoints.arm(POINTS["command"], "after")
    asked = asyncio.create_task(rig.delete(run))
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    rig.start(**settings)
    decision = await asked
    assert (await rig.end_of(decision.results[0].deletion_id, "run-1"))["objects_deleted"] == 1
    assert (await rig.kinds("run-1")).count("requested") == 1


async def test_two_deleters_and_many_clicks(rig: Any) -> None:
    runs = [rig.query.add(f"run-{i}", f"s3://outputs/lab/run-{i}") for i in range(6)]
    rig.put(*(f"lab/run-{i}/c{j % 3}/o{j}" for i in range(6) for j in range(150)), "lab/run-/x")
    rig.start(ARGUS_DELETION_GRACE_S="1")
    rig.start(ARGUS_DELETION_GRACE_S="1")
    command = rig.deletion_of(*runs)
    clicks = await asyncio.gather(
        *(rig.delete(*runs) for _ in range(4)), *(rig.command("delete", command) for _ in range(3))
    )
    for i in range(6):
        ids = {click.results[i].deletion_id for click in clicks}
        assert len(ids) == 1, ids
        assert {click.results[i].skipped for click in clicks} == {None, "in_flight"}
        end = await rig.end_of(ids.pop(), f"run-{i}")
        assert (end["outcome"], end["objects_deleted"]) == ("deleted", 150)
        assert (await rig.kinds(f"run-{i}")).count("started") == 1
    assert rig.keys() == {"lab/run-/x"}
    assert clicks[-1] == clicks[-2] == clicks[-3]
    again = await rig.delete(*runs)
    assert {one.skipped for one in again.results} == {"already_deleted"}


async def test_grace_cancel_and_too_late(rig: Any) -> None:
    run, other = rig.query.add("run-1", "s3://outputs/lab/run-1"), rig.query.add("run-2", "s3://outputs/lab/run-2")
    rig.put("lab/run-1/a", "lab/run-2/a")
    service = rig.start(ARGUS_DELETION_GRACE_S="4")
    decision = await rig.delete(run, other)
    one, two = (result.deletion_id for result in decision.results)
    assert all(result.due_at is not None for result in decision.results)
    service.kill()
    rig.start(ARGUS_DELETION_GRACE_S="4")
    stranger = other.model_copy(update={"user": "eve"})
    assert (await rig.cancel(two, stranger)).results[0].skipped == "not_found"
    assert (await rig.cancel(one, other)).results[0].skipped == "not_found"
    assert (await rig.cancel(one, run)).outcome == "accepted"
    assert (await rig.end_of(one, "run-1"))["cancelled_by"] == "eve"
    assert (await rig.end_of(two, "run-2"))["outcome"] == "deleted"
    assert rig.keys() == {"lab/run-1/a"}
    assert (await rig.cancel(two, other)).results[0].skipped == "too_late"
    assert await rig.kinds("run-1") == ["requested", "cancelled"]
    assert (await rig.delete(run)).outcome == "accepted"


async def test_a_cancellation_that_was_given_while_the_deleter_was_away_comes_first(rig: Any) -> None:
    """Its grace time has ended meanwhile, and a deleter has died with it in its hands; nothing is touched all the same."""
    settings = {"ARGUS_DELETION_GRACE_S": "4", "ARGUS_COMMANDS_ACK_WAIT_S": "8"}
    runs = [rig.query.add(f"run-{i}", f"s3://outputs/lab/run-{i}") for i in range(3)]
    rig.put(*(f"lab/run-{i}/a" for i in range(3)))
    rest = rig.canary()
    service = rig.start(**settings)
    decision = await rig.delete(*runs)
    service.pause()
    for run, result in zip(runs, decision.results, strict=True):
        await rig.cancel(result.deletion_id, run, waits=False)
    due_at = max(result.due_at for result in decision.results)
    await asyncio.sleep(max(0.0, (due_at - datetime.now(UTC)).total_seconds()))
    service.kill()
    rig.start(**settings)
    for result in decision.results:
        assert (await rig.end_of(result.deletion_id, result.batch_id))["outcome"] == "cancelled"
    assert rig.canary() == rest


async def test_everything_is_checked_again_when_the_time_has_come(rig: Any) -> None:
    """The run goes on, has ended anew, belongs to somebody else, shares its folder or says another one: nothing is touched."""
    changes: dict[str, dict[str, Any]] = {
        "resumed": {"status": "running"}, "moved": {"output_dir": "s3://outputs/lab/elsewhere"}, "sold": {"user": "eve"},
        "gone": {}, "shared": {}, "again": {"lifecycle_position": 200},
    }  # fmt: skip
    runs = [rig.query.add(name, f"s3://outputs/lab/{name}") for name in changes]
    rig.put(*(f"lab/{name}/a" for name in changes))
    rest = rig.canary()
    rig.start(ARGUS_DELETION_GRACE_S="2")
    decision = await rig.delete(*runs)
    for name, fields in changes.items():
        rig.query.change(name, **fields)
    del rig.query.runs["gone"]
    rig.query.add("intruder", "s3://outputs/lab/shared/deeper")
    for result in decision.results:
        end = await rig.end_of(result.deletion_id, result.batch_id)
        assert end["outcome"] == "failed", result
        assert end["reason"].startswith("checked again"), end
        assert await rig.kinds(result.batch_id) == ["requested", "failed"]
    assert rig.canary() == rest


async def test_a_run_that_still_speaks_is_waited_for(rig: Any) -> None:
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rig.start(ARGUS_DELETION_QUIET_S="4")
    spoke = datetime.now(UTC)
    rig.query.change("run-1", last_seen_at=spoke)
    decision = await rig.delete(run)
    assert (await rig.end_of(decision.results[0].deletion_id, "run-1"))["outcome"] == "deleted"
    planned = next(fact for fact in await rig.facts("run-1") if fact["kind"] == "outputs_deletion_planned")
    assert datetime.fromisoformat(planned["occurred_at"]) >= spoke + timedelta(seconds=4)


async def test_query_that_is_away_or_behind_is_waited_for(rig: Any) -> None:
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rig.query.behind = 1
    service = rig.start()
    asked = asyncio.create_task(rig.delete(run))
    await asyncio.to_thread(eventually, lambda: "has read the log up to" in service.logs())
    assert not asked.done()
    rig.query.behind = 0
    assert (await asked).outcome == "accepted"


async def test_what_is_no_command_is_kept_and_refused(rig: Any) -> None:
    from uuid import uuid4

    import orjson

    from argus_contracts.commands import Decision

    rig.start()
    command_id = uuid4()
    raw = orjson.dumps({"command_id": str(command_id), "runs": "all of them"})
    decision = Decision.model_validate_json(await rig.say("delete", command_id, raw))
    assert (decision.outcome, decision.command_id) == ("refused", command_id)
    with rig.database.connect("deleter") as connection:
        assert connection.execute("SELECT raw FROM deleter.bad_commands").fetchall() == [(raw,)]
    await rig.nats.jetstream().publish("argus.commands.deleter.explode", b"\xff")
    state = rig.nats.jetstream()

    async def is_empty() -> bool:
        return (await state.stream_info("ARGUS_COMMANDS")).state.messages == 0

    await eventually_async(is_empty)


async def test_a_damaged_manifest_ends_in_words_and_may_be_asked_for_again(rig: Any, tmp_path: Path) -> None:
    failpoints = Failpoints(tmp_path / "failpoints", list(POINTS.values()))
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put(*(f"lab/run-1/c{i % N}/o{i:04d}" for i in range(N * 600)))
    first = rig.start(ARGUS_S3_CALLS_AT_ONCE="1", **failpoints.environment)
    failpoints.arm(POINTS["finish"], "after", 1)
    decision = await rig.delete(run)
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    with rig.database.connect("deleter") as connection:
        connection.execute("UPDATE deleter.manifest_parts SET sha256 = sha256('') WHERE done_at IS NULL")
        connection.execute("UPDATE deleter.deletions SET failures = 4")
    rig.start()
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert end["outcome"] == "partial"
    assert "given up after 5 tries: an error of ours: ValueError('a part of the manifest" in end["reason"]
    assert (end["objects"], end["objects_deleted"]) == (N * 600, N * 600 - len(rig.keys("lab/run-1/"))), end
    again = await rig.delete(run)
    assert (await rig.end_of(again.results[0].deletion_id, "run-1"))["outcome"] == "deleted"
