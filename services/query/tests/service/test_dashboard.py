"""The dashboard on a real Postgres: every section is what counting by hand gives, for whoever asks, under any filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from typing import Any

import pytest
from psycopg import AsyncCursor

from argus_contracts.queries.authority import Authority
from argus_contracts.queries.common import Viewer
from argus_contracts.queries.dashboard import (
    GIB,
    SIZE_LIMITS,
    DashboardRun,
    DashboardRuns,
    GetDashboardChoices,
    GetDashboardSpend,
    GetDashboardStorage,
    GetDashboardSummary,
    ListDashboardRuns,
)
from argus_query.dashboard.listing import list_runs
from argus_query.dashboard.rates import DEFAULT_RATES
from argus_query.dashboard.reads import get_choices, get_spend, get_storage, get_summary
from argus_query.models import models_named
from argus_query.rebuild import differences
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
N_RUNS = 150
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
EVERYTHING = Authority(everything=True)
ROOT = (Viewer(user="root", all_workspaces=True), EVERYTHING)
WHO = (
    (Viewer(user="ada", workspaces=["lab"]), Authority()),
    (Viewer(user="ada", workspaces=["lab", "office"]), Authority(clusters=["alps"])),
    (Viewer(user="bob", workspaces=["office", "attic"]), Authority(workspaces=["attic"])),
    (Viewer(user="zoe", workspaces=["lab", "office"]), EVERYTHING),
    ROOT,
    (Viewer(user="eve"), Authority()),
    (Viewer(user="", all_workspaces=True), Authority()),
)  # fmt: skip
SIZES = (0, 5, GIB, GIB + 1, 100 * GIB + 1, 1024 * GIB, 1025 * GIB)


def models() -> list[Any]:
    return [*models_named("runs"), *models_named("deletions"), *models_named("jobs")]


@pytest.fixture
async def live(database: Database, log: Any, open_live: Any) -> AsyncIterator[Any]:
    async with open_live(database, models()) as tables:
        yield tables


def told_of(event: Event, random: Random, n: int) -> list[dict[str, Any]]:
    """What is said of one run: it ended or not, perhaps began anew; was measured, deleted and paid for, or not."""
    batch, began = (
        f"b{n:03}",
        -86_400 * random.choice([0, 1, 6, 7, 29, 30, 89, 90, 400]) + random.randrange(-9_000, 9_000),
    )
    told = [event(
        "batch_start", batch, at=began, name=random.choice(["Alpha", "alpha", "beta 50%", "Ünit_x", None, "n" * 900]),
        labels=random.sample(["fast", "slow", "ü", "50%", "a\0b"], random.randrange(3)), project=random.choice(["p1", None]),
        cluster=random.choice(["alps", "rhine", None]), type=random.choice(["training", "workflow"]),
        output_dir=random.choice([None, f"s3://Bucket/runs/{batch}", "/home/ada/out"]),
    )]  # fmt: skip
    end = random.choice(["batch_done", "batch_done", "batch_failed", "batch_aborted", None])
    if end:
        told.append(event(end, batch, at=began + 50, elapsed_s=random.choice([50, None])))
    for _ in range(random.randrange(3)):
        sizes = {"bytes": random.choice(SIZES), "objects": random.randrange(9)}
        told.append(event("outputs_measured", batch, at=began + random.randrange(60, 200), **sizes))
    if random.random() < 0.5:
        said = {"deletion_id": f"del-{batch}", "requested_by": "ada", "as_user": None}
        for kind in ("requested", "started", random.choice(["finished", "finished", "failed", "progressed"])):
            told.append(event(f"outputs_deletion_{kind}", batch, at=began + random.randrange(60, 200), **said))
    if random.random() < 0.2:
        attempt = random.choice([1, 2])
        told.append(event("batch_start", batch, at=began + random.randrange(100, 300), attempt=attempt))
        told.append(event("batch_done", batch, at=began + 400, attempt=attempt))
    if random.random() < 0.7:
        told.append(event("cost_recorded", batch, at=began + 900, amount_usd=random.choice([0.0, 0.1, 1 / 3, 12.5])))
    return told


def told_of_one(told: list[dict[str, Any]], batch_id: str) -> list[dict[str, Any]]:
    return [said for said in told if said["batch_id"] == batch_id]


async def many_runs(live: Any, log: Any, event: Event, random: Random, n_runs: int = N_RUNS) -> None:
    whose = {
        f"b{n:03}": (random.choice(["lab", "office", "attic"]), random.choice(["ada", "bob", "eve"]))
        for n in range(n_runs)
    }
    told = [said for n in range(n_runs) for said in told_of(event, random, n)]
    in_order = {f"b{n:03}": told_of_one(told, f"b{n:03}") for n in range(0, n_runs, 2)}
    random.shuffle(told)
    told = [in_order[said["batch_id"]].pop(0) if said["batch_id"] in in_order else said for said in told]
    for said in told:
        workspace, user = whose[said["batch_id"]]
        log.append([said], workspace=workspace, user=user)
    while random.random() < 0.9 and await live.project(max_events=random.choice([20, 100])):
        pass
    live.folder.forget()
    await live.project()


async def ask(live: Any, read: Any, question: Any, *more: Any) -> Any:
    async with live.writer.transaction():
        await live.writer.execute("SET LOCAL search_path = read")
        return await read(live.writer, question, 0, *more)


async def page(live: Any, **fields: Any) -> DashboardRuns:
    return await ask(live, list_runs, ListDashboardRuns(**fields), NOW, DEFAULT_RATES)


async def all_pages(live: Any, **fields: Any) -> list[DashboardRun]:
    """Forward, and back again: both ways show the same."""
    pages = [await page(live, **fields)]
    while pages[-1].next_cursor:
        pages.append(await page(live, **{**fields, "cursor": pages[-1].next_cursor}))
    back = pages[-1]
    for there in reversed(pages[:-1]):
        assert back.previous_cursor is not None
        back = await page(live, **{**fields, "cursor": back.previous_cursor})
        assert (back.items, back.first_number) == (there.items, there.first_number)
    assert back.previous_cursor is None
    numbers = [there.first_number for there in pages]
    assert numbers == [1 + sum(len(there.items) for there in pages[:n]) for n in range(len(pages))]
    return [run for there in pages for run in there.items]


def fits(run: DashboardRun, viewer: Viewer, authority: Authority, wanted: dict[str, Any]) -> bool:
    if not (viewer.all_workspaces or run.workspace in viewer.workspaces):
        return False
    mine = run.user == viewer.user
    if not mine and not authority.covers(run.workspace, run.cluster):
        return False
    if wanted.get("names"):
        return run.name in wanted["names"] or run.batch_id in wanted["names"]
    days, label, search = wanted.get("days", 30), wanted.get("label"), wanted.get("search", "").strip().casefold()
    assert run.started_at is not None
    ago = (NOW.date() - run.started_at.date()).days
    texts = [run.name, run.batch_id, run.project or "", run.output_dir or "", *run.labels]
    return (
        wanted.get("user") in (None, run.user)
        and wanted.get("cluster") in (None, run.cluster)
        and (days is None or 0 <= ago < days)
        and (wanted.get("status") is None or (run.status == "succeeded") == (wanted["status"] == "succeeded"))
        and (label is None or label.replace("\0", "�") in run.labels)
        and ("size" not in wanted or (run.bytes or 0) > SIZE_LIMITS[wanted["size"]])
        and any(search.replace("\0", "�") in text.casefold() for text in texts)
    )


def sort_key(sort: str) -> Callable[[DashboardRun], Any]:
    keys: dict[str, Callable[[DashboardRun], Any]] = {
        "newest": lambda run: run.started_at, "oldest": lambda run: run.started_at,
        "largest": lambda run: -1 if run.bytes is None else run.bytes,
        "smallest": lambda run: 2**63 if run.bytes is None else run.bytes,
        "name": lambda run: (run.name[:255] + "…" if len(run.name) > 256 else run.name).casefold(),
    }  # fmt: skip
    key = keys["name" if sort == "name_desc" else sort]
    return lambda run: (key(run), run.batch_id)


CHOICES: dict[str, list[Any]] = {
    "user": ["ada", "bob", "nobody"], "cluster": ["alps", "rhine", "none"], "days": [7, 30, 90, None],
    "status": ["succeeded", "failed"], "label": ["fast", "50%", "a\0b", "none", "x" * 2_000],
    "size": ["over_1_gib", "over_100_gib", "over_1_tib"],
    "search": ["ALPHA", "50%", "_x", "\\", "bucket/RUNS/b01", "p1", "slow", "nothing such", " ", "\0", "n" * 500],
    "names": [["Alpha", "b007", "none"], ["beta 50%", "n" * 900], [f"b{n:03}" for n in range(1000)]],
}  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
async def test_every_section_is_what_counting_gives(live: Any, log: Any, event: Event, seed: int) -> None:
    random = Random(seed)
    await many_runs(live, log, event, random)
    everything = await all_pages(live, viewer=ROOT[0], authority=ROOT[1], days=None, limit=100)
    ended = await live.rows("SELECT count(*) FROM read.runs WHERE status IN ('succeeded', 'failed', 'aborted')")
    assert len(everything) == ended[0][0] > N_RUNS / 2
    assert {run.bytes is None for run in everything} == {run.deleted_at is None for run in everything} == {True, False}
    for _ in range(25):
        wanted = {name: random.choice(CHOICES[name]) for name in random.sample(list(CHOICES), random.randrange(4))}
        for viewer, authority in WHO:
            runs = [run for run in everything if fits(run, viewer, authority, wanted)]
            asked = {"viewer": viewer, "authority": authority, **wanted}
            sort = random.choice(["newest", "oldest", "largest", "smallest", "name", "name_desc"])
            descending = sort in ("newest", "largest", "name_desc")
            expected = sorted(runs, key=sort_key(sort), reverse=descending)
            assert await all_pages(live, limit=7, sort=sort, **asked) == expected, asked
            await check_summary(live, asked, runs)
            await check_charts(live, asked, runs)
            if "names" in wanted:
                known = {run.name for run in runs} | {run.batch_id for run in runs}
                assert (await page(live, **asked)).not_found == [name for name in wanted["names"] if name not in known]


async def check_summary(live: Any, asked: dict[str, Any], runs: list[DashboardRun]) -> None:
    found = await ask(live, get_summary, GetDashboardSummary(**asked), NOW, DEFAULT_RATES)
    n_bytes = sum(run.bytes or 0 for run in runs)
    assert (found.n_runs, found.bytes, found.objects) == (len(runs), n_bytes, sum(run.objects or 0 for run in runs))
    assert found.n_failed == sum(run.status != "succeeded" for run in runs)
    assert found.n_aborted == sum(run.status == "aborted" for run in runs)
    assert found.n_without_cost == sum(run.cost_usd is None for run in runs)
    assert found.n_unmeasured == sum(run.output_dir is not None and run.bytes is None for run in runs)
    assert found.cost_usd == pytest.approx(sum(run.cost_usd or 0 for run in runs), abs=1e-4)
    assert found.wasted_usd == pytest.approx(sum(run.wasted_usd or 0 for run in runs), abs=1e-4)
    assert found.storage_usd_min == pytest.approx(n_bytes / GIB * 0.048)
    assert found.storage_usd_max == pytest.approx(n_bytes / GIB * 0.276)


async def check_charts(live: Any, asked: dict[str, Any], runs: list[DashboardRun]) -> None:
    spend = await ask(live, get_spend, GetDashboardSpend(**asked), NOW)
    storage = await ask(live, get_storage, GetDashboardStorage(**asked), NOW, DEFAULT_RATES)
    days = None if asked.get("names") else asked.get("days", 30)
    assert spend.unit == storage.unit == {7: "day", 30: "day", 90: "week", None: "month"}[days]
    assert [bucket.last_day for bucket in spend.buckets] == [point.last_day for point in storage.points]
    if days is not None:
        assert (spend.buckets[0].first_day, spend.buckets[-1].last_day) == (
            NOW.date() - timedelta(days - 1),
            NOW.date(),
        )
    assert sum(bucket.n_runs for bucket in spend.buckets) == len(runs)
    before: date | None = None
    total = 0
    for bucket, point in zip(spend.buckets, storage.points, strict=True):
        there = [run for run in runs if run.started_at and bucket.first_day <= run.started_at.date() <= bucket.last_day]
        total += sum(run.bytes or 0 for run in there)
        assert (bucket.n_runs, point.n_runs, point.bytes) == (len(there), len(there), total)
        assert bucket.cost_usd == pytest.approx(sum(run.cost_usd or 0 for run in there), abs=1e-4)
        assert bucket.wasted_usd == pytest.approx(sum(run.wasted_usd or 0 for run in there), abs=1e-4)
        assert point.usd_max == pytest.approx(total / GIB * 0.276)
        assert before is None or bucket.first_day == before + timedelta(1)
        assert spend.unit != "week" or before is None or bucket.first_day.weekday() == 0
        assert spend.unit != "month" or before is None or bucket.first_day.day == 1
        before = bucket.last_day
    assert storage.first_day == (spend.buckets[0].first_day if spend.buckets else None)


async def test_choices_are_of_ones_own_runs_and_for_an_admin_of_whom_he_leads(
    live: Any, log: Any, event: Event
) -> None:
    random = Random(7)
    await many_runs(live, log, event, random)
    everything = await all_pages(live, viewer=ROOT[0], authority=ROOT[1], days=None, limit=100)
    for viewer, authority in WHO:
        for user, cluster in ((None, None), ("bob", None), (None, "alps"), ("ada", "rhine")):
            question = GetDashboardChoices(viewer=viewer, authority=authority, user=user, cluster=cluster)
            found = await ask(live, get_choices, question)
            seen = [run for run in everything if viewer.all_workspaces or run.workspace in viewer.workspaces]
            led = [run for run in seen if authority.covers(run.workspace, run.cluster)]
            own = [run for run in seen if run.user == viewer.user]
            if user is None:
                of_one = [*own, *(run for run in led if run not in own)]
            else:
                of_one = [run for run in (seen if user == viewer.user else led) if run.user == user]
            counts: dict[str, int] = {}
            for label in [label for run in of_one if cluster in (None, run.cluster) for label in run.labels]:
                counts[label] = counts.get(label, 0) + 1
            assert found.labels == sorted(counts, key=lambda label: (-counts[label], label))
            assert found.clusters == sorted({run.cluster for run in led if run.cluster})
            assert found.users == sorted({run.user for run in led if cluster in (None, run.cluster)})


@pytest.mark.parametrize("seed", range(2))
async def test_rows_and_sums_are_the_same_in_any_order_and_built_anew(
    database: Database, live: Any, log: Any, event: Event, seed: int
) -> None:
    random = Random(seed)
    await many_runs(live, log, event, random, 60)
    log.append([event("run_purged", "b001", at=999, manifest_sha256="0" * 64)], user="argus", workspace="lab")
    await live.project()
    assert await differences(database.query_url, models()) == []
    sums = await live.rows(
        "SELECT sum(n_runs), sum(bytes), sum(cost_micros) FROM read.dashboard_days WHERE user_name <> ''"
    )
    of_all = await live.rows(
        "SELECT sum(n_runs), sum(bytes), sum(cost_micros) FROM read.dashboard_days WHERE user_name = ''"
    )
    rows = await live.rows("SELECT count(*), sum(bytes), sum(cost_micros) FROM read.dashboard_runs")
    assert sums == of_all == rows


async def test_reopened_and_purged_runs_vanish(live: Any, log: Any, event: Event) -> None:
    for batch in ("again", "gone"):
        log.append(
            [
                event("batch_start", batch, name=batch, labels=["l"], output_dir="s3://b/x/"),
                event("batch_done", batch, at=5),
            ]
        )
        log.append([event("outputs_measured", batch, at=6, bytes=7, objects=1)])
        log.append([event("outputs_deletion_requested", batch, at=7, deletion_id=batch, requested_by="ada")])
    await live.project()
    me = {"viewer": Viewer(user="ada", workspaces=["lab"])}
    assert len((await page(live, **me)).items) == 2
    log.append([event("batch_start", "again", at=9, attempt=2)])
    log.append([event("run_purged", "gone", at=9, manifest_sha256="0" * 64)], user="argus", workspace="lab")
    await live.project()
    assert (await page(live, **me)).items == []
    for table in ("dashboard_runs", "dashboard_days", "dashboard_choices"):
        assert await live.rows(f"SELECT * FROM read.{table}") == []
    assert await live.rows("SELECT batch_id FROM read.run_folders") == [("again",)]
    assert await live.rows("SELECT batch_id FROM read.deletions") == [("again",)]
    log.append([event("batch_failed", "again", at=20, attempt=2)])
    await live.project()
    (run,) = (await page(live, **me)).items
    assert (run.batch_id, run.status, run.bytes) == ("again", "failed", 7)


async def test_equal_keys_are_neither_skipped_nor_shown_twice(live: Any, log: Any, event: Event) -> None:
    for n in range(23):
        log.append([event("batch_start", f"b{n:02}", name="same", at=n // 10), event("batch_done", f"b{n:02}", at=50)])
    await live.project()
    for sort in ("newest", "oldest", "largest", "smallest", "name", "name_desc"):
        for limit in (1, 3, 22, 23, 24):
            found = await all_pages(live, viewer=Viewer(user="ada", workspaces=["lab"]), sort=sort, limit=limit)
            assert len({run.batch_id for run in found}) == 23


async def test_where_a_page_has_emptied_the_one_in_front_is_shown(live: Any, log: Any, event: Event) -> None:
    me = {"viewer": Viewer(user="ada", workspaces=["lab"]), "size": "over_1_gib", "limit": 2, "sort": "oldest"}
    for n in range(3):
        log.append([event("batch_start", f"b{n}", at=n), event("batch_done", f"b{n}", at=50)])
        log.append([event("outputs_measured", f"b{n}", at=60, bytes=2 * GIB, objects=1)])
    await live.project()
    cursor = (await page(live, **me)).next_cursor
    log.append([event("outputs_deletion_finished", "b2", at=70, deletion_id="d", requested_by="ada")])
    await live.project()
    left = await page(live, **me, cursor=cursor)
    assert [run.batch_id for run in left.items] == ["b0", "b1"]
    assert (left.first_number, left.next_cursor, left.previous_cursor) == (1, None, None)


async def test_the_number_of_statements_is_bounded(
    live: Any, log: Any, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many_runs(live, log, event, Random(3), 40)
    statements: list[str] = []
    execute = AsyncCursor.execute

    async def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        statements.append(str(query))
        return await execute(self, query, *args, **more)

    monkeypatch.setattr(AsyncCursor, "execute", counted)
    for filters in ({}, {"search": "a"}, {"names": ["Alpha"]}, {"label": "fast", "user": "bob"}):
        fields = {"viewer": ROOT[0], "authority": ROOT[1], **filters}
        for read, question, most, more in (
            (get_summary, GetDashboardSummary(**fields), 1, (NOW, DEFAULT_RATES)),
            (get_spend, GetDashboardSpend(**fields), 1, (NOW,)),
            (get_storage, GetDashboardStorage(**fields), 1, (NOW, DEFAULT_RATES)),
            (list_runs, ListDashboardRuns(**fields), 3 if "names" in filters else 2, (NOW, DEFAULT_RATES)),
            (get_choices, GetDashboardChoices(viewer=ROOT[0], authority=ROOT[1]), 2, ()),
        ):
            async with live.writer.transaction():
                await live.writer.execute("SET LOCAL search_path = read")
                statements.clear()
                await read(live.writer, question, 0, *more)
                assert len(statements) == most, statements


async def test_days_are_utc_days_wherever_the_clock_hangs(live: Any, log: Any, event: Event) -> None:
    """A server of one's own may tell times in a zone where it is still yesterday, or tomorrow already."""
    await many_runs(live, log, event, Random(3))
    fields = {"viewer": ROOT[0], "authority": ROOT[1], "days": 7}
    late = NOW.replace(hour=20)
    for of_day, hours in ((NOW, -8), (late, 10)):
        now = of_day.astimezone(timezone(timedelta(hours=hours)))
        assert now.date() != of_day.date()
        for read, question, more in (
            (get_spend, GetDashboardSpend(**fields), ()), (get_storage, GetDashboardStorage(**fields), (DEFAULT_RATES,)),
            (list_runs, ListDashboardRuns(**fields), (DEFAULT_RATES,)),
        ):  # fmt: skip
            assert await ask(live, read, question, now, *more) == await ask(live, read, question, of_day, *more)
