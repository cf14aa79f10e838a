"""Log lines in a real PostgreSQL: whatever the order and grouping of folds and whenever maintenance came, one tail."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.logs import ListLogLines
from argus_query.facts import micros
from argus_query.logs import BadCursor, LogsReadModel, count_log_lines, pages, read_log_lines
from argus_query.logs.maintenance import MANY_CHUNKS, tidy
from argus_query.read_model import Record

pytestmark = pytest.mark.service


def ask(**more: Any) -> ListLogLines:
    return ListLogLines(viewer=Viewer(user="u"), batch_id="b", **({"job_id": "j"} | more))


async def fold(connection: AsyncConnection[Any], model: LogsReadModel, *records: Record) -> None:
    async with connection.transaction():
        await model.fold(connection, records)


async def maintain(connection: AsyncConnection[Any], model: LogsReadModel, most: int = 10_000) -> None:
    for _ in range(most):
        async with connection.transaction():
            if not await model.maintain(connection):
                return
    assert most < 10_000, "maintenance does not come to an end"


async def texts(connection: AsyncConnection[Any], **more: Any) -> list[str]:
    return [line.line for line in (await read_log_lines(connection, ask(**more), 0))["lines"]]


def random_lines(chance: random.Random, log_event: Callable[..., Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """Up to some thousand lines with their producers: jobs, attempts, producers that count and foreign ones, gaps."""
    lines = []
    for number in range(chance.choice([1, 5, 60, 800, 2_500])):
        producer = chance.choice(["p", "p", "p", "q", None])
        more: dict[str, Any] = {"time_us": number * 1000 if chance.random() < 0.8 else chance.randrange(100_000)}
        if producer is None and chance.random() < 0.8:
            more["order"] = chance.choice([chance.randrange(2**52), number, "x", -1, 2**70, True])
        more["job_id"] = chance.choice(["j", "j", "k", None])
        more["attempt"] = 1 if chance.random() < 0.8 else 2
        if chance.random() < 0.5:
            more |= {"level": chance.choice(["INFO", "error"]), "stream": "stderr"}
        line_no = None if producer is None else number // 2 + (100 if number > 30 else 0)
        if chance.random() < 0.03:
            continue  # this one is missing
        text = chance.choice(
            ["", "ready", "Straße " * 3, "x" * chance.choice([10, 16_000]) if number % 50 == 0 else "ok"]
        )
        lines.append((producer, log_event(chance.getrandbits(128), line_no, text, **more)))
    return lines


def naive_order(job_id: str | None, entry: tuple[str | None, dict[str, Any]]) -> tuple[Any, ...]:
    """The place of a line, from the words of the contract."""
    producer, event = entry
    data, time_us = event["data"], micros(event["occurred_at"])
    order = data.get("line_no")
    at = time_us
    if order is None:
        order = data.get("order")
        order = at = order if type(order) is int and 0 <= order <= 2**62 else time_us
    key = (event["attempt"], order, producer or "", event["event_id"].replace("-", ""))
    return (at, event["job_id"] or "", *key) if job_id is None else key


def naive_missing(ordered: list[tuple[str | None, dict[str, Any]]]) -> list[int]:
    last: dict[Any, int] = {}
    missing = []
    for producer, event in ordered:
        if producer is None:
            missing.append(0)
            continue
        stream, number = (event["job_id"], event["attempt"], producer), event["data"]["line_no"]
        missing.append(max(0, number - last.get(stream, -1) - 1))
        last[stream] = number
    return missing


def groups_of(chance: random.Random, lines: list[Any], record: Callable[..., Record]) -> list[Record]:
    lines = list(lines)
    if chance.random() < 0.6:
        chance.shuffle(lines)
    groups: list[Record] = []
    while lines:
        size, producer = chance.choice([1, 3, 20, 600, 3_000]), lines[0][0]
        taken = [entry for entry in lines[:size] if entry[0] == producer]
        groups.append(record([event for _, event in taken], producer))
        lines = [entry for entry in lines[:size] if entry[0] != producer] + lines[size:]
    return groups


async def walk(connection: AsyncConnection[Any], job_id: str | None, limit: int) -> list[Any]:
    """All lines, page by page from the newest."""
    found: list[Any] = []
    before: str | None = None
    while True:
        answer = await read_log_lines(connection, ask(job_id=job_id, before=before, limit=limit), 0)
        found = [*answer["lines"], *found]
        before = answer["before"]
        if before is None:
            return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_folding_and_maintenance_gives_the_same_tail(
    seed: int, in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    chance = random.Random(seed)
    lines = random_lines(chance, log_event)

    async def live(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        model._upkeep._merging.many_rows = chance.choice([3, MANY_CHUNKS])
        for group in groups_of(chance, lines, record):
            await fold(connection, model, group)
            if chance.random() < 0.2:
                await maintain(connection, model, most=2)
            if chance.random() < 0.05:
                model.forget()
        if chance.random() < 0.5:
            for job_id in ("j", "k", ""):
                async with connection.transaction():
                    await tidy(connection, ("b", job_id), thorough=True)
        for job_id in ("j", "", None):
            of_view = [entry for entry in lines if job_id is None or (entry[1]["job_id"] or "") == job_id]
            expected = sorted(of_view, key=lambda entry: naive_order(job_id, entry))
            limit = chance.choice([7, 100, 2_000])
            found = await walk(connection, job_id, max(limit, len(expected) // 10))
            assert [line.line for line in found] == [event["data"]["line"] for _, event in expected]
            assert [line.occurred_at for line in found] == [unix_moment(event["occurred_at"]) for _, event in expected]
            assert [line.missing_before for line in found] == naive_missing(expected)
            assert await count_log_lines(connection, "b", job_id) == len(expected)
            if found:
                at = chance.randrange(len(found))
                following = await read_log_lines(
                    connection, ask(job_id=job_id, after_line=found[at].cursor, limit=50), 0
                )
                assert following["lines"] == found[at + 1 : at + 51]
                assert following["after"] == found[min(at + 50, len(found) - 1)].cursor
                loud = await read_log_lines(connection, ask(job_id=job_id, level=["ERROR"], search="STRASSE"), 0)
                wanted = [line for line in found if line.level == "error" and "Straße" in line.line]
                assert loud["lines"] == wanted[-200:]

    in_fresh_tables(live)


def unix_moment(text: str) -> Any:

    return datetime.fromisoformat(text)


def test_a_late_line_slots_into_its_place_and_closes_the_gap(
    in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        await fold(connection, model, record([log_event(n, n, f"line {n}") for n in (1, 2, 5, 6)]))
        answer = await read_log_lines(connection, ask(), 17)
        assert [line.missing_before for line in answer["lines"]] == [1, 0, 2, 0]
        assert (answer["before"], answer["dropped"]) == (None, 17)
        await fold(connection, model, record([log_event(n, n, f"line {n}") for n in (4, 3)]))
        answer = await read_log_lines(connection, ask(), 0)
        assert [line.line for line in answer["lines"]] == [f"line {n}" for n in range(1, 7)]
        assert [line.missing_before for line in answer["lines"]] == [1, 0, 0, 0, 0, 0]

    in_fresh_tables(inside)


def test_following_a_log_sees_each_new_line_once(
    in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        await fold(connection, model, record([log_event(1, 1, "1")]))
        cursor = (await read_log_lines(connection, ask(), 0))["after"]
        seen: list[str] = []
        for n in range(2, 12):
            if n % 3:
                await fold(connection, model, record([log_event(n, n, str(n))]))
            answer = await read_log_lines(connection, ask(after_line=cursor, limit=5), 0)
            seen += [line.line for line in answer["lines"]]
            cursor = answer["after"]
        assert seen == ["2", "4", "5", "7", "8", "10", "11"]

    in_fresh_tables(inside)


def test_foreign_lines_of_one_second_keep_the_order_of_the_door(
    in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        events = [log_event(99 - n, None, str(n), time_us=0, order=1767225600_000000 + n) for n in range(10)]
        for event in reversed(events):
            await fold(connection, model, record([event], None))
        assert await texts(connection) == [str(n) for n in range(10)]
        assert await texts(connection, job_id=None) == [str(n) for n in range(10)]

    in_fresh_tables(inside)


def test_a_search_looks_at_the_newest_lines_only_and_says_where_to_go_on(
    in_fresh_tables: Callable[..., Any],
    log_event: Callable[..., Any],
    record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pages, "MOST_LINES_LOOKED_AT", 100)  # 200,000 in production

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        await fold(connection, model, record([log_event(n, n, "needle" if n == 30 else "hay") for n in range(250)]))
        answer = await read_log_lines(connection, ask(search="NEEDLE"), 0)
        pages_read = 1
        while not answer["lines"]:
            assert answer["before"]
            answer = await read_log_lines(connection, ask(search="NEEDLE", before=answer["before"]), 0)
            pages_read += 1
        assert (pages_read, [line.line_no for line in answer["lines"]], answer["before"]) == (3, [30], None)

    in_fresh_tables(inside)


@pytest.mark.parametrize("cursor", ["", "x", "&&&", "AAAA", "a" * 100, "é"])
def test_what_is_no_cursor_is_refused(cursor: str, in_fresh_tables: Callable[..., Any]) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        with pytest.raises(BadCursor):
            await read_log_lines(connection, ask(before=cursor), 0)

    in_fresh_tables(inside)


def test_lines_that_trickle_in_end_in_few_chunks(
    in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        for n in range(3_000):
            await fold(connection, model, record([log_event(n, n, f"line {n}")]))
            if n % 10 == 0:
                await maintain(connection, model)
        cursor = await connection.execute("SELECT count(*), sum(n) FROM log_chunks")
        n_chunks, n_lines = await cursor.fetchone() or (0, 0)
        assert n_lines == 3_000
        assert n_chunks <= 2 * MANY_CHUNKS + 15
        assert await texts(connection, limit=2_000) == [f"line {n}" for n in range(1_000, 3_000)]

    in_fresh_tables(inside)


def test_a_purged_run_leaves_nothing(
    in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        await fold(
            connection, model, record([log_event(1, 1, "gone")]), record([log_event(2, 1, "", batch_id="other")])
        )
        purge = {"kind": "run_purged", "batch_id": "b", "occurred_at": "2026-01-01T00:00:00Z"}
        await fold(connection, model, record([purge], retention_class="lifecycle"))
        assert await texts(connection) == []
        assert await count_log_lines(connection, "b", None) == 0
        assert await count_log_lines(connection, "other", None) == 1

    in_fresh_tables(inside)


def test_a_page_of_long_lines_ends_before_the_answer_is_too_long(
    in_fresh_tables: Callable[..., Any], log_event: Callable[..., Any], record: Callable[..., Record]
) -> None:
    """200 lines of 16 KB, each letter of which takes 6 bytes in JSON: pages of some, none lost between them."""

    async def inside(connection: AsyncConnection[Any]) -> None:
        model = LogsReadModel()
        await fold(connection, model, record([log_event(n, n, "\x01" * 16_000) for n in range(200)]))
        numbers: list[int | None] = []
        before = None
        for _ in range(100):
            answer = await read_log_lines(connection, ask(before=before), 0)
            size = sum(len(line.model_dump_json()) for line in answer["lines"])
            assert 0 < size < 800_000
            numbers = [*(line.line_no for line in answer["lines"]), *numbers]
            before = answer["before"]
            if before is None:
                break
        assert numbers == list(range(200))
        (first, *_) = (await read_log_lines(connection, ask(after_line=None, limit=2_000), 0))["lines"]
        following = await read_log_lines(connection, ask(after_line=first.cursor), 0)
        assert [line.line_no for line in following["lines"]] == list(range((first.line_no or 0) + 1, 200))

    in_fresh_tables(inside)
