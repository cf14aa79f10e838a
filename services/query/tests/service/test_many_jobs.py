"""What pages of jobs and their matrix cost: statements, bytes, and nothing left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import orjson
import psycopg
import pytest

from argus_query.answers import MAX_ANSWER_BYTES, Answers, new_pool
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
Ask = Callable[..., Any]
N_JOBS = 2_000
BYTES_OF_A_TILE = 80
STATEMENTS_AROUND = 3
"""Whether the connection still stands, the lock with the moment, and whether the viewer may see the run."""


@pytest.fixture
async def live(database: Database, log: Any, open_live: Any) -> AsyncIterator[Any]:
    async with open_live(database) as tables:
        yield tables


@pytest.fixture
async def ask(database: Database) -> AsyncIterator[Ask]:
    """`await ask(question, **fields)`: the bytes of the envelope."""
    pool = new_pool(database.query_url, 1)
    await pool.open(wait=True, timeout=60)
    answers = Answers(pool, timedelta(minutes=15))

    async def answer(name: str, **fields: Any) -> bytes:
        viewer = {"user": "ada", "workspaces": ["lab"]}
        return await answers.answer(name, orjson.dumps({"viewer": viewer, "batch_id": "big", **fields}))

    yield answer
    await pool.close()


def sweep(event: Event, n_jobs: int = N_JOBS) -> list[dict[str, Any]]:
    """Job n: the n-th learning rate, of 7 models and 5 datasets; every twentieth ends badly."""
    names = [f"lr={n % 100}/seed={n // 100}" for n in range(n_jobs)]
    return [
        *(event("job_start", "big", job_id, model=f"m{n % 7}", dataset=f"d{n % 5}", n_epochs_expected=5)
          for n, job_id in enumerate(names)),
        *(event("job_epoch", "big", job_id, at=1, epoch=1, metrics={"train_loss": 1 / (n + 3), "val_loss": 2 / (n + 3)})
          for n, job_id in enumerate(names)),
        *(event("job_done", "big", job_id, at=2) for n, job_id in enumerate(names) if n % 20),
        *(event("job_failed", "big", job_id, at=2, reason="CUDA out of memory") for job_id in names[::20]),
    ]  # fmt: skip


def answer_in(envelope: bytes) -> dict[str, Any]:
    parsed = orjson.loads(envelope)
    assert parsed["problem"] is None, parsed
    return parsed["answer"]


def rows_of(matrix: dict[str, Any]) -> list[dict[str, Any]]:
    """The matrix as rows of the jobs list, as far as it tells."""
    fields = ("progress", "n_epochs_expected", "n_steps_expected", "loss", "model", "dataset", "loss_key", "reason")
    rows: list[dict[str, Any]] = []
    for i, job_id in enumerate(matrix["job_id"]):
        row = {field: matrix[field][i] if matrix[field] else None for field in fields}
        for field in fields[4:]:
            row[field] = None if row[field] is None else matrix["texts"][row[field]]
        name = matrix["name"][i] if matrix["name"] else None
        rows.append({"job_id": job_id, "name": name or job_id, "status": matrix["status"][i], **row})
    return rows


async def test_the_matrix_tells_of_every_job_what_the_list_tells(live: Any, log: Any, ask: Ask, event: Event) -> None:
    log.append(sweep(event))
    odd = [("a", "NaN"), ("b", "-Infinity"), ("c", 1.7e308), ("d", 2**63), ("e", 1e-300)]
    log.append([event("job_epoch", "big", job_id, epoch=1, metrics={"loss": value}) for job_id, value in odd])
    log.append([event("job_start", "big", "f", at=1, name='called \u2028 "so"', n_steps_expected=9)])
    await live.project()
    listed: list[dict[str, Any]] = []
    cursor = None
    while cursor is not None or not listed:
        page = answer_in(await ask("list_jobs", limit=1000, cursor=cursor))
        listed, cursor = listed + page["items"], page["next_cursor"]
    matrix = answer_in(await ask("get_matrix"))
    assert matrix["next_cursor"] is None
    assert matrix["total"] == len(listed) == N_JOBS + 6
    shown = rows_of(matrix)
    assert [row["loss"] for row in shown if row["job_id"] in "abcde"] == ["NaN", "-Infinity", 1.7e308, 2.0**63, 1e-300]
    assert shown == [{field: job[field] for field in shown[0]} for job in listed]


async def test_a_page_costs_few_statements_and_a_tile_few_bytes(
    live: Any, log: Any, ask: Ask, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(sweep(event))
    await live.project()
    await ask("get_run")
    said: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def counted(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        said.append(str(query))
        return await execute(self, query, *arguments, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
    for name, fields in (("list_jobs", {}), ("list_jobs", {"limit": 1000}), ("get_matrix", {})):
        said.clear()
        await ask(name, **fields)
        assert len(said) == STATEMENTS_AROUND + 2, said
    said.clear()
    await ask("list_jobs", search="seed=7")
    assert len(said) == STATEMENTS_AROUND + 3, said
    assert len(await ask("get_matrix")) < N_JOBS * BYTES_OF_A_TILE


async def test_a_matrix_too_large_for_one_answer_goes_on_in_the_next(
    live: Any, log: Any, ask: Ask, event: Event
) -> None:
    names = [f"{n}-{'x' * 240}" for n in range(6_000)]
    for first in range(0, len(names), 1_000):
        log.append([event("job_failed", "big", name, reason=name[:190]) for name in names[first : first + 1_000]])
    await live.project()
    found: list[str] = []
    cursor, n_answers = None, 0
    while cursor is not None or not found:
        envelope = await ask("get_matrix", cursor=cursor)
        assert len(envelope) <= MAX_ANSWER_BYTES
        matrix = answer_in(envelope)
        found, cursor, n_answers = found + matrix["job_id"], matrix["next_cursor"], n_answers + 1
        assert matrix["total"] == len(names)
    assert found == names
    assert 3 <= n_answers <= 5
    first = answer_in(await ask("get_matrix", limit=1))
    assert (first["job_id"], first["next_cursor"] is not None) == (names[:1], True)
    assert orjson.loads(await ask("get_matrix", cursor="nonsense"))["problem"]["code"] == "bad_question"
