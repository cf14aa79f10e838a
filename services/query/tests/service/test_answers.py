"""Answers on a real Postgres: who sees what, paging, search, replay, waiting, and the size of an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from psycopg import errors

from argus_contracts.queries.questions import QUESTIONS
from argus_query import paging
from argus_query.answers import MAX_ANSWER_BYTES, Answers, new_pool
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
ADA = {"user": "ada", "workspaces": ["lab"]}
BOB = {"user": "bob", "workspaces": ["office"]}
ADMIN = {"user": "root", "all_workspaces": True}


class Asker:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def raw(self, name: str, viewer: dict[str, Any] = ADA, **fields: Any) -> bytes:
        return await self._answers.answer(name, orjson.dumps({"viewer": viewer, **fields}))

    async def __call__(self, name: str, viewer: dict[str, Any] = ADA, **fields: Any) -> dict[str, Any]:
        envelope = orjson.loads(await self.raw(name, viewer, **fields))
        assert envelope["problem"] is None, envelope
        return envelope["answer"]

    async def problem(self, name: str, viewer: dict[str, Any] = ADA, **fields: Any) -> str:
        envelope = orjson.loads(await self.raw(name, viewer, **fields))
        assert envelope["answer"] is None
        return envelope["problem"]["code"]


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[Asker]:
    pool = new_pool(database.query_url, 2)
    await pool.open(wait=True, timeout=60)
    try:
        yield Asker(Answers(pool, timedelta(minutes=15)))
    finally:
        await pool.close()


@pytest.fixture
async def ask(database: Database) -> AsyncIterator[Asker]:
    async with opened(database) as asker:
        yield asker


@pytest.fixture
async def live(database: Database, log: Any, open_live: Any) -> AsyncIterator[Any]:
    async with open_live(database) as tables:
        yield tables


async def test_not_yours_and_does_not_exist_answer_alike(live: Any, log: Any, ask: Asker, event: Event) -> None:
    log.append([event("batch_start", "hers"), event("job_start", "hers", "j")])
    await live.project()
    for batch_id in ("hers", "nobodys"):
        for name, more in [
            ("get_run", {}), ("list_jobs", {}), ("get_job", {"job_id": "j"}), ("get_series", {"job_id": "j"}),
            ("list_log_lines", {}),
        ]:  # fmt: skip
            assert await ask.problem(name, BOB, batch_id=batch_id, **more) == "not_found"
    assert (await ask("list_runs", BOB))["items"] == []
    assert (await ask("get_facets", BOB))["workspaces"] == []
    assert (await ask("list_hosts", BOB))["items"] == []
    assert len((await ask("list_runs", ADMIN))["items"]) == 1
    replayed = await ask(
        "replay", BOB, topics=["batch:hers", "log:hers", "job:hers/j", "dashboard", "nonsense"], since=0
    )
    assert replayed["events"] == []
    assert replayed["refused"] == ["batch:hers", "job:hers/j", "log:hers", "nonsense"]


async def test_pages_of_runs_follow_on_from_each_other(live: Any, log: Any, ask: Asker, event: Event) -> None:
    for n in range(25):
        log.append([event("batch_start", f"b{n:02}", at=n // 2, name=f"run {n}")])
    await live.project()
    found: list[str] = []
    cursor = None
    while True:
        page = await ask("list_runs", limit=4, cursor=cursor)
        found += [run["batch_id"] for run in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == sorted((f"b{n:02}" for n in range(25)), key=lambda b: (int(b[1:]) // 2, b), reverse=True)
    assert await ask.problem("list_runs", cursor="nonsense") == "bad_question"
    assert await ask.problem("list_runs", limit=10**9) == "bad_question"


async def test_runs_are_filtered_and_searched_by_text_that_means_itself(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    log.append([event("batch_start", "b1", at=1, name="50% Done_now", project="Alpha", labels=["fast"])])
    log.append([event("batch_start", "b2", at=2, name="500 doneXnow", project="beta")])
    log.append([event("batch_done", "b2", at=3)])
    log.append([event("batch_start", "b3", at=3, type="workflow")], user="eve")
    await live.project()

    async def ids(**filters: Any) -> list[str]:
        return [run["batch_id"] for run in (await ask("list_runs", **filters))["items"]]

    assert await ids() == ["b3", "b2", "b1"]
    assert await ids(search="50%") == ["b1"]
    assert await ids(search="done_NOW") == ["b1"]
    assert await ids(search="d") == ["b2", "b1"]
    assert await ids(search="alp") == ["b1"]
    assert await ids(search="fast") == ["b1"]
    assert await ids(search="\\") == []
    assert await ids(status=["succeeded"]) == ["b2"]
    assert await ids(status=["running"]) == ["b3", "b1"]
    assert await ids(project="beta", user="ada") == ["b2"]
    assert await ids(user="eve") == ["b3"]
    assert await ids(type="workflow") == ["b3"]
    assert await ids(label="fast") == ["b1"]
    assert await ids(workspace="office") == []


async def test_silence_shows_as_disconnected_and_beating_without_progress_as_stalled(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    now = datetime.now(UTC)
    log.append(
        [event("batch_start", "stalled"), event("batch_start", "ended")], received_at=now - timedelta(minutes=20)
    )
    log.append([event("batch_done", "ended", at=9)], received_at=now - timedelta(minutes=19))
    log.append([event("batch_start", "silent", heartbeat_interval_s=30)], received_at=now - timedelta(seconds=95))
    log.append([event("batch_start", "patient", heartbeat_interval_s=300)], received_at=now - timedelta(seconds=95))
    log.append([event("batch_heartbeat", "stalled", at=1190), event("resource_snapshot", "stalled", at=1191)])
    await live.project()
    runs = {run["batch_id"]: run for run in (await ask("list_runs"))["items"]}
    assert {b for b, run in runs.items() if run["disconnected_since"]} == {"silent"}
    assert {b for b, run in runs.items() if run["stalled_since"]} == {"stalled"}
    assert [run["batch_id"] for run in (await ask("list_runs", status=["disconnected"]))["items"]] == ["silent"]
    log.append([event("batch_heartbeat", "silent", at=100)])
    await live.project()
    assert (await ask("get_run", batch_id="silent"))["run"]["disconnected_since"] is None


async def test_a_clock_that_is_wrong_by_more_than_a_minute_is_flagged(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    stated = datetime.fromisoformat(event("batch_start", "x")["occurred_at"])
    for batch_id, seconds in (("ahead", -61), ("near", -59), ("late", 59), ("behind", 61), ("sent later", 61)):
        name = batch_id.replace(" ", "-")
        log.append([event("batch_start", name)], received_at=stated + timedelta(seconds=seconds))
    log.append([event("batch_done", "sent-later")], received_at=stated + timedelta(days=1))
    await live.project()
    offsets = {run["batch_id"]: run["clock_offset_s"] for run in (await ask("list_runs"))["items"]}
    assert offsets == {"ahead": 61, "near": None, "late": None, "behind": -61, "sent-later": None}
    assert (await ask("get_run", batch_id="ahead"))["run"]["clock_offset_s"] == 61


async def test_jobs_come_in_natural_order_in_pages_and_are_counted(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    log.append([event("batch_start", "b1"), *[event("job_start", "b1", f"j{n}", model="MLP") for n in range(12)]])
    log.append([event("job_failed", "b1", "j10", at=5, traceback="Traceback\n  x\nValueError: bad")])
    await live.project()
    first = await ask("list_jobs", batch_id="b1", limit=10)
    second = await ask("list_jobs", batch_id="b1", limit=10, cursor=first["next_cursor"])
    assert [job["job_id"] for job in first["items"] + second["items"]] == [f"j{n}" for n in range(12)]
    assert (first["total"], second["next_cursor"]) == (12, None)
    failed = await ask("list_jobs", batch_id="b1", status=["failed"], search="mlp")
    assert [(job["job_id"], job["reason"]) for job in failed["items"]] == [("j10", "ValueError: bad")]
    assert failed["total"] == 1
    log.append([event("batch_aborted", "b1", at=9, reason="Ctrl-C")])
    await live.project()
    run = (await ask("get_run", batch_id="b1"))["run"]
    assert (run["jobs"]["aborted"], run["jobs"]["failed"], run["jobs"]["total"]) == (11, 1, 12)
    job = (await ask("get_job", batch_id="b1", job_id="j3"))["job"]
    assert (job["status"], job["reason"]) == ("aborted", "Ctrl-C")
    assert [fact["kind"] for fact in job["because"]] == ["job_start", "batch_aborted"]


async def test_snapshots_of_a_run_with_one_job_show_at_the_job(live: Any, log: Any, ask: Asker, event: Event) -> None:
    gpus = [
        {"index": 0, "util_pct": 40.0, "memory_used_bytes": 5},
        {"index": 1, "util_pct": 60.0, "memory_used_bytes": 6},
    ]
    log.append([event("job_start", "b1", "only"), event("resource_snapshot", "b1", at=1, gpus=gpus, cpu_pct=7.0)])
    await live.project()
    job = (await ask("get_job", batch_id="b1", job_id="only"))["job"]
    assert (job["gpu_util_pct"], job["gpu_memory_peak_bytes"], job["cpu_pct"], len(job["gpus"])) == (50.0, 11, 7.0, 2)
    assert "cpu_pct" in {metric["key"] for metric in job["series"]}
    series = (await ask("get_series", batch_id="b1", job_id="only", keys=["cpu_pct"]))["series"]
    assert series[0]["value"] == [7.0]
    log.append([event("job_start", "b1", "second", at=2)])
    await live.project()
    assert (await ask("get_job", batch_id="b1", job_id="only"))["job"]["gpu_util_pct"] is None


async def test_a_replay_in_small_steps_gives_every_event_once(live: Any, log: Any, ask: Asker, event: Event) -> None:
    for n in range(6):
        log.append([event("batch_start", f"other{n}")])
        log.append([event("job_epoch", "b1", "j", at=n * 10 + i, epoch=i, metrics={"loss": 1.0}) for i in range(10)])
        log.append([event("log_line", "b1", "j", at=n, line="x"), event("batch_heartbeat", "b1", at=n)])
    await live.project()
    seen: list[int] = []
    since, more = 0, True
    while more:
        answer = await ask("replay", topics=["job:b1/j"], since=since, limit=7)
        seen += [e["position"] for e in answer["events"]]
        since, more = answer["position"], answer["more"]
    assert since == live.cursor.position
    assert seen == sorted(set(seen))
    assert len(seen) == 6 * 12
    of_run = await ask("replay", topics=["batch:b1"], since=0, limit=5000)
    assert len(of_run["events"]) == 6 * 11
    lines = await ask("replay", topics=["log:b1"], since=0, limit=5000)
    assert [(e["topic"], e["kind"], e["job_id"]) for e in lines["events"]] == [("log:b1", "log_line", "j")] * 6
    page = await ask("replay", topics=["log:b1", "batch:b1"], since=0, limit=5000)
    assert len(page["events"]) == 6 * 12
    both = await ask("replay", topics=["dashboard", "batch:b1"], since=since - 26, limit=5000)
    assert {(e["topic"], e["kind"]) for e in both["events"]} == {
        ("batch:b1", "job_epoch"), ("batch:b1", "batch_heartbeat"), ("dashboard", "batch_start"),
    }, "that a run lives is no news for a list"  # fmt: skip
    assert (await ask("replay", topics=["batch:b1"], since=since + 1))["reset"]
    ahead = log.append([event("batch_heartbeat", "b1", at=99)])  # in the log, not projected
    answer = await ask("replay", topics=["batch:b1"], since=ahead)
    assert (answer["reset"], answer["position"], answer["events"]) == (False, ahead, [])


async def test_a_stream_tells_that_outputs_are_deleted_and_not_what_stands_in_the_receipt(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    log.append([event("batch_start", "b1")])
    log.append(
        [event("outputs_deletion_requested", "b1", at=9, deletion_id="d1", requested_by="ada", location="s3://b/x/")]
    )
    await live.project()
    told = (await ask("replay", topics=["dashboard", "batch:b1"], since=1, limit=50))["events"]
    assert {(e["topic"], e["kind"], str(e["data"])) for e in told} == {
        ("dashboard", "outputs_deletion_requested", "{}"), ("batch:b1", "outputs_deletion_requested", "{}"),
    }  # fmt: skip


async def test_who_is_too_far_behind_is_told_to_start_anew(live: Any, log: Any, ask: Asker, event: Event) -> None:
    log.append([event("batch_start", "b1")])
    await live.project()
    await live.writer.execute("UPDATE read.projection_positions SET position = 300000")
    answer = await ask("replay", topics=["dashboard"], since=1)
    assert (answer["reset"], answer["position"]) == (True, 300_000)


async def test_a_long_page_is_cut_to_what_a_message_holds_and_goes_on_behind(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    for start in range(0, 200, 20):
        lines = [event("log_line", "b1", "j", at=n, line_no=n, line="y" * 16_000) for n in range(start, start + 20)]
        log.append(lines)
    await live.project()
    found: list[int] = []
    before = None
    while True:
        raw = await ask.raw("list_log_lines", batch_id="b1", job_id="j", limit=200, before=before)
        assert len(raw) < MAX_ANSWER_BYTES
        page = orjson.loads(raw)["answer"]
        found = [line["line_no"] for line in page["lines"]] + found
        before = page["before"]
        if before is None:
            break
    assert found == list(range(200))
    replayed = await ask.raw("replay", topics=["job:b1/j"], since=0, limit=5000)
    assert len(replayed) < MAX_ANSWER_BYTES
    assert orjson.loads(replayed)["answer"]["more"]


async def test_an_answer_waits_for_the_position_that_it_names(live: Any, log: Any, ask: Asker, event: Event) -> None:
    position = log.append([event("batch_start", "b1")])
    answer = await ask("list_runs", after=position)  # nobody projects: after 2 s it answers with what there is
    assert (answer["position"], answer["items"]) == (0, [])
    await live.project()
    assert (await ask("list_runs", after=position))["position"] == position


async def test_a_purged_run_leaves_nothing(live: Any, log: Any, ask: Asker, event: Event) -> None:
    log.append([
        event("batch_start", "b1", project="secret"), event("env_snapshot", "b1", host="h1"),
        event("job_start", "b1", "j"), event("job_epoch", "b1", "j", epoch=1, metrics={"loss": 1.0}),
        event("log_line", "b1", "j", line="secret"),
    ])  # fmt: skip
    log.append([event("batch_start", "b2")])
    await live.project()
    log.append([event("run_purged", "b1", purged_by="root")])
    await live.project()
    assert [run["batch_id"] for run in (await ask("list_runs"))["items"]] == ["b2"]
    assert (await ask("get_facets"))["projects"] == []
    assert (await ask("list_hosts"))["items"] == []
    tables = await live.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'read' AND tablename NOT LIKE 'projection%'"
    )
    for (table,) in tables:
        text = str(await live.rows(f'SELECT t::text FROM read."{table}" t'.encode()))
        assert "secret" not in text
        assert "b1" not in text


async def test_gaps_and_drops_of_the_sender_are_known(
    live: Any, log: Any, ask: Asker, event: Event, database: Database
) -> None:
    log.append([event("batch_start", "b1"), event("batch_heartbeat", "b1", at=1, dropped={"log_lines": 4})])
    with database.connect("ingest") as connection:
        connection.execute(
            "INSERT INTO log.producers VALUES ('lab', 'ada', 'p1', 'metrics', 'b1', '{[0,812),[841,900)}', 29, now())"
        )
    await live.project()
    run = (await ask("get_run", batch_id="b1"))["run"]
    assert run["gaps"] == [{"producer_id": "p1", "retention_class": "metrics", "first_seq": 812, "last_seq": 840}]
    assert run["dropped"] == {"log_lines": 4}


async def test_questions_of_the_wrong_shape_are_told_so(ask: Asker, live: Any) -> None:
    assert await ask.problem("get_run", batch_id=5) == "bad_question"
    assert orjson.loads(await ask._answers.answer("get_run", b"\xff{"))["problem"]["code"] == "bad_question"


async def test_more_questions_than_connections_are_refused_in_time_and_the_next_is_answered(
    live: Any, database: Database, ask: Asker
) -> None:
    async with live.writer.transaction():
        await live.writer.execute("LOCK TABLE read.projection_swaps IN ACCESS EXCLUSIVE MODE")
        codes = await asyncio.gather(*[ask.problem("list_runs") for _ in range(6)])
        assert set(codes) == {"unavailable"}
    assert (await ask("list_runs"))["items"] == []


async def test_no_answer_keeps_the_database_for_long_or_changes_it(database: Database) -> None:
    """O5: by the settings of the connections that answers are made with."""
    pool = new_pool(database.query_url, 1)
    await pool.open()
    try:
        with pytest.raises(errors.QueryCanceled):
            async with pool.connection() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        async with pool.connection() as connection, connection.transaction():
            assert await (await connection.execute("SHOW transaction_read_only")).fetchone() == ("on",)
    finally:
        await pool.close()


async def test_a_job_counts_once_where_it_runs_whatever_it_says_of_its_machine(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    now = datetime.now(UTC)
    log.append([event("batch_start", "b1"), event("env_snapshot", "b1", host="h1")], received_at=now)
    await live.project()
    log.append([
        event("job_start", "b1", "says nothing"), event("job_start", "b1", "is asked"),
        event("resource_snapshot", "b1", "is asked", cpu_pct=7.0), event("job_start", "b1", "elsewhere", host="h2"),
        event("batch_start", "b2"), event("job_start", "b2", "j"),
    ], received_at=now + timedelta(minutes=1))  # fmt: skip
    await live.project()
    hosts = {host["host"]: host for host in (await ask("list_hosts"))["items"]}
    assert {name: host["running_jobs"] for name, host in hosts.items()} == {"h1": 2, "h2": 1}
    assert hosts["h1"]["cpu_pct"] == 7.0
    seen = datetime.fromisoformat(hosts["h1"]["last_seen_at"])
    assert seen == now + timedelta(minutes=1)
    sources = await live.rows("SELECT batch_id, job_id FROM read.host_sources ORDER BY job_id")
    assert sources == [("b1", ""), ("b1", "elsewhere"), ("b1", "is asked")]


def test_every_question_for_query_has_an_answer() -> None:
    answers = Answers(new_pool("postgres://", 1), timedelta(minutes=15))
    assert answers.answered == set(QUESTIONS) - {"get_position"}


async def test_questions_of_the_dashboard_are_answered_and_strange_ones_refused(
    live: Any, log: Any, ask: Asker, event: Event
) -> None:
    log.append([event("batch_start", "b1", name="one\0", output_dir="s3://b/x"), event("batch_done", "b1", at=5)])
    await live.project()
    long = {"label": "x\0" * 4_000, "search": "%_\\\0" * 2_000, "cluster": "ü" * 4_000, "days": None}
    for name in ("get_dashboard_summary", "get_dashboard_spend", "get_dashboard_storage", "list_dashboard_runs"):
        for fields in ({}, long, {"names": [f"n{n}\0" for n in range(1_000)]}, {"user": "\0"}, {"user": ""}):
            await ask(name, **fields)
        assert await ask.problem(name, names=["n"] * 1_001) == "bad_question"
        assert await ask.problem(name, days=8) == "bad_question"
    assert (await ask("list_dashboard_runs", days=None))["items"][0]["name"] == "one�"
    assert (await ask("list_dashboard_runs", names=["one\0", "two"]))["not_found"] == ["two"]
    await ask("get_dashboard_choices", user="\0", cluster="x" * 4_000)
    for cursor in ("nonsense", paging.encode_cursor("largest", "after", "1", str(2**70), "b"),
                   paging.encode_cursor("newest", "after", "1", "now", "b"), paging.encode_cursor("name", "in", "1", "", "b")):  # fmt: skip
        for sort in ("newest", "largest", "name"):
            assert await ask.problem("list_dashboard_runs", sort=sort, cursor=cursor) == "bad_question"
    assert await ask.problem("find_outputs", location="s3://") == "bad_question"
    assert await ask.problem("list_unmeasured", behind="x") == "bad_question"
    assert await ask.problem("get_deletion", deletion_id="none") == "not_found"
    assert len((await ask("list_unmeasured", ADMIN))["items"]) == 1
    assert (await ask("get_outputs", BOB, batch_ids=["b1"]))["items"] == []
