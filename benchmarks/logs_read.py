"""A log of a million lines: how fast it is folded, and how fast its tail is read.

Run: `python -m benchmarks.logs_read`. There is no published goal; the one of a list (p95 <= 100 ms) is shown for a
page of the tail.
"""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.logs import ListLogLines
from argus_query.facts import micros_of
from argus_query.logs import LogsReadModel, read_log_lines
from argus_query.read_model import Record
from argus_testkit import shared_servers
from argus_testkit.databases import cloned_database
from benchmarks.figures import Figure, as_table

N_LINES = 1_000_000
LINES_PER_RECORD = 500
LINES_PER_FOLD = 10_000
CHANCE = random.Random(7)
START = datetime(2026, 1, 1, tzinfo=UTC)


def _records(first: int, n_lines: int) -> list[Record]:
    """Lines of 4 jobs in turn, about 100 letters each."""
    records: list[Record] = []
    for at in range(first, first + n_lines, LINES_PER_RECORD):
        job = at // LINES_PER_RECORD % 4
        events: list[dict[str, Any]] = []
        times: list[int] = []
        for number in range(at, at + LINES_PER_RECORD):
            moment = START + timedelta(microseconds=number * 1_000)
            text = f"step {number:>9} of the training of job {job}: loss={CHANCE.random():.6f} lr={CHANCE.random():.8f} device=cuda:{job}"
            times.append(micros_of(moment))
            events.append({
                "event_id": str(UUID(int=CHANCE.getrandbits(128))), "kind": "log_line", "version": 1, "batch_id": "b",
                "job_id": f"j{job}", "attempt": 1, "seq": number, "occurred_at": moment.isoformat().replace("+00:00", "Z"),
                "data": {"line_no": number // 4, "stream": "stdout", "level": "INFO", "line": text},
            })  # fmt: skip
        records.append(Record(1, "w", "u", "b", "log_lines", f"p{job}", START, events, times))
    return records


async def _timed(connection: AsyncConnection[Any], name: str, times: int = 7, **more: Any) -> dict[str, float]:
    question = ListLogLines(**({"viewer": Viewer(user="u"), "batch_id": "b", "job_id": "j1"} | more))
    seconds: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await read_log_lines(connection, question, 0)
        seconds.append(time.perf_counter() - began)
    return {f"{name}_ms": sorted(seconds)[len(seconds) // 2] * 1000}


async def _measure(url: str) -> dict[str, float]:
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SET search_path = read")
        model = LogsReadModel()
        await connection.execute(model.schema())
        folding = maintaining = 0.0
        for first in range(0, N_LINES, LINES_PER_FOLD):
            records = _records(first, LINES_PER_FOLD)
            began = time.perf_counter()
            async with connection.transaction():
                await model.fold(connection, records)
            folding += time.perf_counter() - began
        more, began = True, time.perf_counter()
        while more:
            async with connection.transaction():
                more = await model.maintain(connection)
        maintaining += time.perf_counter() - began
        figures: dict[str, float] = {"fold_lines_per_s": N_LINES / folding, "maintain_s": maintaining}
        page = await read_log_lines(connection, ListLogLines(viewer=Viewer(user="u"), batch_id="b", job_id="j1"), 0)
        middle = page["lines"][0].cursor
        figures |= await _timed(connection, "tail_of_job")
        figures |= await _timed(connection, "tail_of_run", job_id=None)
        figures |= await _timed(connection, "older_page", before=middle)
        figures |= await _timed(connection, "follow", after_line=middle)
        figures |= await _timed(connection, "page_of_2000", limit=2_000)
        figures |= await _timed(connection, "search_200000_lines", 3, search="no such text")
        cursor = await connection.execute(
            "SELECT pg_total_relation_size('log_chunks'), (SELECT count(*) FROM log_chunks)"
        )
        size, n_chunks = await cursor.fetchone() or (0, 0)
        return figures | {"bytes_per_line": size / N_LINES, "chunks": n_chunks}


GOALS = {"tail_of_job_ms": 100, "tail_of_run_ms": 100}
NAMES = {
    "fold_lines_per_s": "folding 1,000,000 lines of 4 jobs",
    "tail_of_job_ms": "newest 200 lines of a job",
    "tail_of_run_ms": "newest 200 lines of the run",
    "older_page_ms": "the 200 before them",
    "follow_ms": "the 200 after a line",
    "page_of_2000_ms": "2,000 lines",
    "search_200000_lines_ms": "a search of 200,000 lines that finds none",
    "bytes_per_line": "stored per line of 85 letters",
}


PROFILE = """
Lines are packed into compressed chunks, so a page reads one or two rows. A search has no index: it unpacks chunk by chunk, newest
first, until the page is full.
"""


def measure() -> list[Figure]:
    """Folds by the clock, PostgreSQL's part included; answers without their JSON, median of 7."""
    servers = shared_servers.join()
    try:
        with cloned_database(servers.admin_url, servers.passwords) as database:
            found = asyncio.run(_measure(database.query_url))
    finally:
        shared_servers.leave()
    figures: list[Figure] = []
    for name, text in NAMES.items():
        if name == "fold_lines_per_s":
            figures.append(Figure(f"logs: {text}", found[name], None, "lines/s", "higher"))
        else:
            figures.append(
                Figure(f"logs: {text}", found[name], GOALS.get(name), "ms" if name.endswith("_ms") else "bytes")
            )
    return figures


if __name__ == "__main__":
    print(as_table(measure()))
