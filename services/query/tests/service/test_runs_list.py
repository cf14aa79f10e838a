"""The runs list on a real Postgres: each way of finding a page finds the same one, in a few statements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from psycopg import AsyncConnection, AsyncCursor

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.runs import ListRuns, RunSummary
from argus_query.runs import find
from argus_query.runs.reads import list_runs
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
N_RUNS = 120
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
"""Of every question, so that a run which is heard of still is, however long the questions take."""
WORKSPACES = ("lab", "office", "attic")
VIEWERS = (
    Viewer(user="ada", workspaces=["lab"]),
    Viewer(user="bob", workspaces=["office", "attic", "nowhere"]),
    Viewer(user="root", all_workspaces=True),
    Viewer(user="eve"),
)


@pytest.fixture
async def live(database: Database, log: Any, open_live: Any) -> AsyncIterator[Any]:
    async with open_live(database) as tables:
        yield tables


async def many_runs(live: Any, log: Any, event: Event, random: Random) -> None:
    """Of three workspaces, four users and three projects; some at the same moment; rare words are old."""
    for n in range(N_RUNS):
        batch, at = f"b{n:03}", n // 3
        start = event(
            "batch_start", batch, at=at, project=random.choice(["alpha", "beta", None]),
            name=f"{'needle' if n in (1, 5) else 'hay'} {'x' * random.randrange(3)}{n} it's 50%",
            labels=random.sample(["fast", "slow", "ü"], random.randrange(3)),
            type=random.choice(["training", "workflow"]),
        )  # fmt: skip
        end = random.choice(["batch_done", "batch_failed", "batch_aborted", None, None])
        log.append(
            [start, event(end, batch, at=at + 1)] if end else [start],
            workspace=random.choice(WORKSPACES),
            user=random.choice(["ada", "bob", "eve", "zoe"]),
            received_at=NOW - timedelta(minutes=2 if n % 2 else 0),
        )
    await live.project()


async def asked(live: Any, **fields: Any) -> list[RunSummary]:
    """All pages of an answer, one after the other."""
    found: list[RunSummary] = []
    cursor: str | None = None
    while True:
        question = ListRuns(cursor=cursor, **fields)
        async with live.writer.transaction():
            await live.writer.execute("SET LOCAL search_path = read")
            page = await list_runs(live.writer, question, 0, NOW, timedelta(minutes=15))
        found += page.items
        cursor = page.next_cursor
        assert len(page.items) == question.limit or cursor is None
        if cursor is None:
            return found


def fits(run: RunSummary, viewer: Viewer, wanted: dict[str, Any]) -> bool:
    texts = [run.name, run.batch_id, run.project or "", *run.labels]
    status = wanted.get("status", [])
    return (
        (viewer.all_workspaces or run.workspace in viewer.workspaces)
        and (not status or run.status in status or ("disconnected" in status and run.disconnected_since is not None))
        and all(
            getattr(run, name) == wanted[name] for name in ("project", "user", "workspace", "type") if name in wanted
        )
        and ("label" not in wanted or wanted["label"] in run.labels)
        and ("search" not in wanted or any(wanted["search"].casefold() in text.casefold() for text in texts))
    )


@pytest.mark.parametrize("window", [2, 30, 10_000])
async def test_every_way_finds_the_same_pages(
    live: Any, log: Any, event: Event, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    """With windows so small that they cut, so that the index of words is asked, and with ones that hold everything."""
    monkeypatch.setattr(find, "WINDOW", window)
    random = Random(5)
    await many_runs(live, log, event, random)
    everything = await asked(live, viewer=Viewer(user="root", all_workspaces=True), limit=50)
    assert [run.batch_id for run in everything] == sorted(
        (f"b{n:03}" for n in range(N_RUNS)), key=lambda b: (int(b[1:]) // 3, b), reverse=True
    )
    choices: dict[str, list[Any]] = {
        "search": ["needle", "hay", "x", "ü", "xx1", "it's 50%", "B00", "nothing such", "alpha", "\\"],
        "label": ["fast", "ü", "none"],
        "status": [["running"], ["failed", "aborted"], ["disconnected"], ["succeeded", "disconnected"], ["queued"]],
        "project": ["alpha", "gamma"],
        "user": ["ada", "nobody"],
        "type": ["workflow"],
        "workspace": ["lab", "nowhere"],
    }
    for _ in range(80):
        wanted = {name: random.choice(choices[name]) for name in random.sample(list(choices), random.randrange(1, 4))}
        for viewer in VIEWERS:
            found = await asked(live, viewer=viewer, limit=7, **wanted)
            expected = [run.batch_id for run in everything if fits(run, viewer, wanted)]
            assert [run.batch_id for run in found] == expected, (viewer, wanted)


async def test_a_page_takes_three_statements_at_most(
    live: Any, log: Any, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many_runs(live, log, event, Random(6))
    monkeypatch.setattr(find, "WINDOW", 20)
    statements: list[str] = []
    execute = AsyncCursor.execute

    async def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        statements.append(str(query))
        return await execute(self, query, *args, **more)

    monkeypatch.setattr(AsyncCursor, "execute", counted)
    root = Viewer(user="root", all_workspaces=True)
    for wanted, most in (({}, 2), ({"project": "alpha", "status": ["failed"]}, 2), ({"search": "hay"}, 2),
                         ({"search": "needle"}, 3), ({"label": "none"}, 3)):  # fmt: skip
        async with live.writer.transaction():
            await live.writer.execute("SET LOCAL search_path = read")
            statements.clear()
            question = ListRuns(viewer=root, limit=5, **wanted)
            await list_runs(live.writer, question, 0, NOW, timedelta(minutes=15))
            assert len(statements) == most, (wanted, statements)


async def test_purged_and_renamed_runs_are_found_no_more_by_what_they_were(live: Any, log: Any, event: Event) -> None:
    log.append([event("batch_start", "gone", name="old name"), event("batch_start", "kept", name="old name")])
    log.append([event("batch_start", "kept", at=5, attempt=2, name="new name", labels=["l"])])
    await live.project()
    log.append([event("run_purged", "gone", at=9, manifest_sha256="0" * 64)], user="argus", workspace="lab")
    await live.project()
    words = await live.rows("SELECT batch_id FROM read.run_words WHERE words @@ '''old'''::tsquery")
    assert words == []
    assert [r[0] for r in await live.rows("SELECT batch_id FROM read.run_words WHERE words @@ '''new'''::tsquery")] == [
        "kept"
    ]


async def test_the_statements_of_a_fold_do_not_grow_with_its_batches(
    live: Any, log: Any, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches that end while jobs of theirs are open: these jobs are looked up together."""
    counts: list[int] = []
    execute = AsyncConnection.execute

    async def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        counts[-1] += self is live.writer
        return await execute(self, query, *args, **more)

    monkeypatch.setattr(AsyncConnection, "execute", counted)
    counts.append(0)
    for first, n_batches in ((0, 2), (2, 60)):
        batches = [f"b{n}" for n in range(first, first + n_batches)]
        for batch in batches:
            log.append([event("batch_start", batch), event("job_start", batch, "j1"), event("job_start", batch, "j2")])
        await live.project()
        for batch in batches:
            log.append([event("batch_failed", batch, at=9), event("job_done", batch, "j2", at=8)])
        counts.append(0)
        assert await live.project() == 1
        open_jobs = await live.rows("SELECT count(*) FROM read.jobs WHERE job_id = 'j1' AND status = 'aborted'")
        assert open_jobs == [(first + n_batches,)]
    few, many = counts[1:]
    assert many <= few + 2


async def test_labels_and_names_of_any_characters_come_back_and_are_found(live: Any, log: Any, event: Event) -> None:
    """They travel inside the text of an array."""
    root = VIEWERS[2]
    odd = ["{", "}", ",", '"', "\\", '\\"', "NULL", " ", "a\nb", "{a,b}", "ü'", "\t"]
    log.append([event("batch_start", "odd", at=1, name='na"me\\{,}', labels=odd), event("batch_done", "odd", at=2)])
    log.append([event("batch_start", "plain", at=1)])
    await live.project()
    (run,) = await asked(live, viewer=root, search='"me\\{,')
    assert (run.batch_id, run.labels) == ("odd", odd)
    for label in odd:
        assert [one.batch_id for one in await asked(live, viewer=root, label=label)] == ["odd"], label
    assert {one.batch_id for one in await asked(live, viewer=root)} == {"odd", "plain"}


async def test_a_number_may_be_whole_in_one_run_and_not_in_another(
    live: Any, log: Any, event: Event, caplog: pytest.LogCaptureFixture
) -> None:
    """They are one column of a statement."""
    for batch_id, said in (
        ("whole", {"heartbeat_interval_s": 30}),
        ("broken", {"heartbeat_interval_s": 2.5}),
        ("none", {}),
    ):
        log.append([event("batch_start", batch_id, at=1, **said)])
    await live.project()
    assert caplog.messages == []
    rows = await live.rows("SELECT batch_id, heartbeat_interval_s FROM read.runs ORDER BY batch_id")
    assert [tuple(row) for row in rows] == [("broken", 2.5), ("none", 30.0), ("whole", 30.0)]
