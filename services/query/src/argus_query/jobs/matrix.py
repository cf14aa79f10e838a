"""All jobs of a run, of each only what its tile in the matrix shows: ten thousand of them are one answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from argus_contracts.queries.jobs import GetMatrix, JobMatrix
from argus_query.fitting import PAGE_BYTES
from argus_query.paging import decode_cursor, encode_cursor
from argus_query.runs.reads import run_row
from argus_query.sql import load
from argus_query.visibility import seen_by

_SQL = load(__package__ or "", "queries.sql")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


async def get_matrix(connection: AsyncConnection[Any], question: GetMatrix, position: int) -> JobMatrix:
    """As many jobs as were asked for and fit into one answer."""
    await run_row(connection, question.batch_id, seen_by(question.viewer))
    batch = await (await connection.execute(_SQL["get_batch"], [question.batch_id])).fetchone()
    total = batch[1] if batch else 0
    sort_key, job_id = decode_cursor(question.cursor, 2) if question.cursor else (None, None)
    wanted = {"batch_id": question.batch_id, "sort_key": sort_key, "job_id": job_id, "limit": question.limit + 1}
    rows = await (await connection.execute(_SQL["list_tiles"], wanted)).fetchall()
    n_shown = min(len(rows), question.limit)
    while True:
        cursor = encode_cursor(rows[n_shown - 1][-1], rows[n_shown - 1][0]) if n_shown < len(rows) else None
        answer = JobMatrix(position=position, next_cursor=cursor, total=total, **_columns(rows[:n_shown]))
        n_bytes = len(answer.model_dump_json().encode())
        if n_bytes <= PAGE_BYTES or n_shown == 1:
            return answer
        n_shown = max(1, n_shown * PAGE_BYTES // (n_bytes + n_bytes // 8))  # a little less than the mean says


def _columns(rows: Sequence[TupleRow]) -> dict[str, Any]:
    places: dict[str, int] = {}

    def placed(texts: Sequence[str | None]) -> list[int | None]:
        return [None if text is None else places.setdefault(text, len(places)) for text in texts]

    columns = list(zip(*rows, strict=True)) or [()] * 12
    job_id, name, status, progress, n_epochs, n_steps, loss, model, dataset, loss_key, reason, _ = columns
    maybe_empty = {
        "name": name,
        "progress": progress,
        "n_epochs_expected": n_epochs,
        "n_steps_expected": n_steps,
        "loss": [_measured(value) for value in loss],
        "model": placed(model),
        "dataset": placed(dataset),
        "loss_key": placed(loss_key),
        "reason": placed(reason),
    }
    known = {field: values for field, values in maybe_empty.items() if any(value is not None for value in values)}
    return {"job_id": job_id, "status": status, **known, "texts": list(places)}


def _measured(text: str | None) -> float | str | None:
    """A value as `JobSummary.loss` has it."""
    return text if text is None or text in _NOT_FINITE else float(text)
