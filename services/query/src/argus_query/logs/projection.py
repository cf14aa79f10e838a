"""Folds log lines into packed chunks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.logs.chunks import Line, chunk_rows
from argus_query.logs.maintenance import SQL, LogsMerging
from argus_query.read_model import Record, purged_batches
from argus_query.shares import Share
from argus_query.sql import columns_of, load_text
from argus_query.upkeep import Upkeep
from argus_query.wire_values import id_hex

_MOST_ORDER = 2**62


class LogsReadModel:
    """The lines of each job and of each run itself. A `ReadModel`."""

    name = "logs"
    version = 1
    tables = ("log_chunks", "log_counts")
    compared_tables = ("log_counts",)
    """Those whose rows do not depend on the order and grouping of folds."""

    def __init__(self) -> None:
        self._upkeep = Upkeep(LogsMerging())

    def schema(self) -> str:
        return load_text("argus_query.logs", "schema.sql")

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        """Nothing: its rows follow from the records alone."""

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        lines = lines_of(records)
        if lines:
            rows: list[tuple[Any, ...]] = []
            for (batch_id, job_id), of_job in lines.items():
                of_job.sort()
                new = chunk_rows(batch_id, job_id, of_job, settled=False)
                self._upkeep.note((batch_id, job_id), len(new), sum(row[9] for row in new))
                rows += new
            await connection.execute(SQL["insert_chunks"], columns_of(rows))
            counts = sorted((*job, len(of_job)) for job, of_job in lines.items())
            await connection.execute(SQL["upsert_counts"], columns_of(counts))
        for batch_id in purged_batches(records):
            await connection.execute(SQL["delete_chunks_of_run"], [batch_id])
            await connection.execute(SQL["delete_counts_of_run"], [batch_id])

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return await self._upkeep.work(connection)

    def forget(self) -> None:
        self._upkeep.forget()


def lines_of(records: Sequence[Record]) -> dict[tuple[str, str], list[Line]]:
    """The log lines of `records` by run and job."""
    lines: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for record in records:
        if record.retention_class == "log_lines":
            for share in record.shares():
                if share.kind == "log_line":
                    lines[record.batch_id, share.job_id or ""] += _lines(share, record.producer_id or "")
    return lines


def _lines(share: Share, producer: str) -> Iterator[Line]:
    for event, time_us in zip(share.events, share.times, strict=True):
        data = event["data"]
        line_no = data.get("line_no")
        order = data.get("order", time_us) if line_no is None else line_no
        if type(order) is not int or not 0 <= order <= _MOST_ORDER:
            order = time_us  # `order` is no field of the contract: anything may come
        yield Line(
            share.attempt, order, producer, id_hex(event["event_id"]), time_us, line_no,
            data.get("stream") or "log", data.get("level"), data["line"],
        )  # fmt: skip
