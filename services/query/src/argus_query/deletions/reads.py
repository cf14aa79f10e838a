"""Answers about deletions of outputs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from argus_contracts.queries.deletions import (
    Deletion,
    DeletionAnswer,
    DeletionList,
    DeletionReceipt,
    GetDeletion,
    ListDeletions,
)
from argus_query.deletions.state import DeletionKnown
from argus_query.facts import micros, moment_of, storable
from argus_query.fitting import n_that_fit
from argus_query.sql import load
from argus_query.visibility import NotFound, seen_by

MOST = 200
YOUNG = timedelta(hours=24)
_SQL = load(__package__ or "", "queries.sql")


async def list_deletions(
    connection: AsyncConnection[Any], question: ListDeletions, position: int, now: datetime
) -> DeletionList:
    """now: Argus' clock."""
    wanted = {"user": question.viewer.user, "since": now - YOUNG, "limit": MOST, **seen_by(question.viewer)}
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["list_deletions"], wanted)
    rows = await cursor.fetchall()
    items = [Deletion(**_fields(_known(row), row, now)) for row in rows]
    return DeletionList(
        position=position,
        items=items[: n_that_fit([item.model_dump_json() for item in items])],
        in_flight=rows[0]["n_in_flight"] if rows else 0,
        deleted=rows[0]["n_deleted"] if rows else 0,
        failed=rows[0]["n_failed"] if rows else 0,
    )


async def get_deletion(
    connection: AsyncConnection[Any], question: GetDeletion, position: int, now: datetime
) -> DeletionAnswer:
    """Errors: `NotFound`, also where the viewer has nothing to do with it."""
    viewer = question.viewer
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["get_deletion"], {"deletion_id": storable(question.deletion_id), **seen_by(viewer)})
    row = await cursor.fetchone()
    known = _known(row) if row else None
    if row is None or known is None or not (
        viewer.user in (known.get("requested_by"), known.owner)
        or question.authority.covers(known.workspace, row["cluster"])
    ):  # fmt: skip
        raise NotFound(f"there is no deletion {question.deletion_id!r}")
    receipt = DeletionReceipt(
        **_fields(known, row, now),
        manifest_sha256=known.get("manifest_sha256"),
        uploads_aborted=known.get("uploads_aborted") or 0,
        remaining_objects=known.get("remaining_objects"),
        remaining_bytes=known.get("remaining_bytes"),
        verified_at=_moment(known.get("verified_at")),
        cancelled_by=known.get("cancelled_by"),
        errors=known.get("errors") or [],
        history=[
            {"kind": kind, "occurred_at": moment_of(at).isoformat(), "position": at_position, "event_id": event_id}
            for at, event_id, kind, at_position in sorted([*known.facts, *known.progress])
        ],
    )
    return DeletionAnswer(position=position, deletion=receipt)


def _known(row: dict[str, Any]) -> DeletionKnown:
    return DeletionKnown.from_json(row["deletion_id"], row["batch_id"], row["workspace"], row["owner"], row["known"])


def _fields(known: DeletionKnown, row: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The fields of `Deletion`."""
    assert known.step is not None, "it has a row because of a fact"
    state, due_at = known.step.state, _moment(known.get("due_at"))
    return {
        "deletion_id": known.deletion_id,
        "batch_id": known.batch_id,
        "run_name": row["run_name"] or known.batch_id,
        "workspace": known.workspace,
        "owner": known.owner,
        "state": state,
        "requested_by": known.get("requested_by") or "",
        "as_user": known.get("as_user"),
        "requested_at": moment_of(known.requested_at),
        "due_at": due_at,
        "started_at": None if known.started_at is None else moment_of(known.started_at),
        "ended_at": None if known.ended_at is None else moment_of(known.ended_at),
        "location": known.get("location"),
        "objects": known.get("objects"),
        "bytes": known.get("bytes"),
        "objects_deleted": known.get("objects_deleted") or 0,
        "bytes_freed": known.get("bytes_freed") or 0,
        "n_errors": len(known.get("errors") or []),
        "reason": known.get("reason"),
        "may_cancel": state in ("requested", "planned"),
    }


def _moment(said: Any) -> datetime | None:
    """Of a time as it stands on the wire."""
    return None if said is None else moment_of(micros(said))
