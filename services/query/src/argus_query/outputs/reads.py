"""Answers about runs' outputs."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from argus_contracts.locations import Location, StrangeLocation, root
from argus_contracts.queries.dashboard import StorageRates
from argus_contracts.queries.deletions import IN_FLIGHT
from argus_contracts.queries.outputs import (
    FindOutputs,
    GetOutputs,
    ListUnmeasured,
    Outputs,
    OutputsAnswer,
    OutputsThere,
    OutputsThereAnswer,
    Unmeasured,
    UnmeasuredList,
)
from argus_query.paging import decode_moment_cursor, encode_cursor
from argus_query.sql import load
from argus_query.visibility import BadQuestion, seen_by

MOST_THERE = 100
_SQL = load(__package__ or "", "queries.sql")
_FIND = _SQL["find_outputs"].replace("/* owned */", _SQL["owned"])


async def get_outputs(
    connection: AsyncConnection[Any], question: GetOutputs, position: int, rates: StorageRates
) -> OutputsAnswer:
    """In the order of the question."""
    ids = [batch_id for batch_id in dict.fromkeys(question.batch_ids) if "\0" not in batch_id]
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["get_outputs"], {"batch_ids": ids, **seen_by(question.viewer)})
    found = {row["batch_id"]: _outputs(row) for row in await cursor.fetchall()}
    items = [found[batch_id] for batch_id in ids if batch_id in found]
    return OutputsAnswer(position=position, items=items, rates=rates)


def _outputs(row: dict[str, Any]) -> Outputs:
    summary, known = row["summary"], row["summary"]["dashboard"]
    return Outputs(
        batch_id=row["batch_id"],
        name=summary["name"],
        workspace=row["workspace"],
        user=row["user_name"],
        cluster=known.get("cluster"),
        status=row["status"],
        ended_at=summary["ended_at"],
        lifecycle_position=known.get("lifecycle_position", -1),
        is_active=known.get("is_active", False),
        last_seen_at=row["last_seen_at"],
        output_dir=known.get("output_dir"),
        bytes=known.get("bytes"),
        objects=known.get("objects"),
        measured_at=known.get("measured_at"),
        deleted_at=known.get("deleted_at"),
        deletion_id=known["deletion_id"] if known.get("deletion_state") in IN_FLIGHT else None,
    )


async def find_outputs(connection: AsyncConnection[Any], question: FindOutputs, position: int) -> OutputsThereAnswer:
    """Sorted by folder. Errors: `BadQuestion` where the location is none."""
    try:
        there = root(question.location)
    except StrangeLocation as error:
        raise BadQuestion(f"location: {error}") from None
    wanted = {
        "above": [str(above) for above in _above(there)],
        "folder": str(there),
        # The first text behind all that begin with the folder, whose last character is `/`.
        "behind": f"{str(there)[:-1]}0",
        "limit": MOST_THERE,
        "workspace": question.workspace,
        "user": question.user,
        "but_for": question.but_for,
        **seen_by(question.viewer),
    }
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_FIND, wanted)
    return OutputsThereAnswer(
        position=position,
        items=[
            OutputsThere(
                batch_id=row["batch_id"],
                name=row["summary"]["name"],
                workspace=row["workspace"],
                user=row["user_name"],
                status=row["status"],
                folder=row["folder"],
                is_work_dir=row["is_work_dir"],
                bytes=row["summary"]["dashboard"].get("bytes"),
            )
            for row in await cursor.fetchall()
        ],
    )


def _above(there: Location) -> list[Location]:
    """All folders that have `there` in them."""
    parts = there.prefix.removesuffix("/").split("/")
    return [
        Location(there.bucket, "".join(f"{part}/" for part in parts[:n])) for n in range(len(parts)) if there.prefix
    ]


async def list_unmeasured(connection: AsyncConnection[Any], question: ListUnmeasured, position: int) -> UnmeasuredList:
    """Errors: `BadCursor`."""
    since, batch_id = decode_moment_cursor(question.behind)
    wanted = {"since": since, "batch_id": batch_id, "limit": question.limit, **seen_by(question.viewer)}
    cursor = await connection.execute(_SQL["list_unmeasured"], wanted)
    return UnmeasuredList(
        position=position,
        items=[
            Unmeasured(
                cursor=encode_cursor(ended_at.isoformat(), batch_id),
                batch_id=batch_id,
                workspace=workspace,
                output_dir=output_dir,
                ended_at=ended_at,
                lifecycle_position=lifecycle_position,
            )
            async for batch_id, workspace, ended_at, output_dir, lifecycle_position in cursor
        ],
    )
