"""Finds the page of a list of runs: which ones, the newest first, in a time that does not grow with what others have.

What an index has in order (a workspace, with a project, user or status) is one range of that index. A text or a label is
not: where many runs have it, a page of them is among the newest few thousand; where few have it, the index of words names
them all. Nobody knows before which of the two it is, so the first is tried, and where it does not fill the page the second.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString

from psycopg import AsyncConnection

from argus_contracts.queries.runs import ListRuns
from argus_query.facts import short_name
from argus_query.paging import BadCursor, decode_cursor
from argus_query.runs.words import folded, words_query
from argus_query.sql import load

WINDOW = 10_000
"""So many runs are looked at before the index of words is asked, which then has few to name: 1 in 200 of these at most."""
LEAST_WINDOW = 2_000
"""Per workspace, where somebody sees many."""
_SQL = load(__package__ or "", "lists.sql")


def _statement(name: str, of_workspace: LiteralString) -> LiteralString:
    statement = _SQL[name].replace("/* of workspace */", of_workspace)
    for part in ("filters", "behind"):
        statement = statement.replace(f"/* {part} */", _SQL[part].rstrip(";"))
    return statement


_SOME, _ALL = "runs.workspace = w.workspace", "(%(visible)s::text[] IS NULL OR workspace = ANY (%(visible)s))"
_PLAIN, _PLAIN_OF_ALL = _statement("plain_page", _SOME), _statement("plain_page", _ALL)
_NEWEST, _NEWEST_OF_ALL = _statement("newest_page", _SOME), _statement("newest_page", _ALL)
_BY_WORDS = _statement("page_by_words", "")


async def find_page(connection: AsyncConnection[Any], question: ListRuns, now: datetime) -> list[str]:
    """The `batch_id`s, one more than the limit where there are more. `now`: who is silent by then. Errors: `BadCursor`."""
    visible = _visible(question)
    if visible == []:
        return []
    # Of several workspaces a user is in few: the user's own range of an index is shorter than one range in each of them.
    as_one = visible is None or (question.user is not None and len(visible) > 1)
    wanted = {**_parameters(question, visible, as_one), "now": now}
    if wanted["text"] is None and wanted["label"] is None:
        cursor = await connection.execute(_PLAIN_OF_ALL if as_one else _PLAIN, wanted)
        return [row[0] async for row in cursor]
    row = await (await connection.execute(_NEWEST_OF_ALL if as_one else _NEWEST, wanted)).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    whole, batch_ids = row
    if whole or len(batch_ids) > question.limit:
        return batch_ids
    return [row[0] async for row in await connection.execute(_BY_WORDS, wanted)]


def _visible(question: ListRuns) -> list[str] | None:
    """The workspaces to look into; None: all."""
    viewer, workspace = question.viewer, question.workspace
    if workspace is not None:
        return [workspace] if viewer.all_workspaces or workspace in viewer.workspaces else []
    return None if viewer.all_workspaces else sorted(set(viewer.workspaces))


def _parameters(question: ListRuns, visible: list[str] | None, as_one: bool) -> dict[str, Any]:
    connected: list[str] = [status for status in question.status if status != "disconnected"]
    disconnected = len(connected) < len(question.status)
    statuses = sorted({*connected, *(("running", "stopping") if disconnected else ())})
    status = statuses[0] if len(statuses) == 1 else None
    search = (question.search or "").strip() or None
    project, label = short_name(question.project), short_name(question.label)
    said = {"project": project, "user": question.user, "label": label}
    sort_at, batch_id = _start_of_page(question.cursor)
    ranges = [""] if as_one or visible is None else visible
    return {
        "visible": visible,
        "workspaces": ranges,
        "status": status,
        "statuses": statuses if len(statuses) > 1 else None,
        "disconnected": disconnected,
        "connected": connected,
        "project": project,
        "user": question.user,
        "type": question.type,
        "label": label,
        "text": folded(search) if search else None,
        # The window goes through the index of one of these, and looks at the others in each row.
        "drive_project": project if question.user is None else None,
        "drive_user": question.user,
        "drive_status": status if project is None and question.user is None else None,
        "window": max(min(WINDOW, LEAST_WINDOW), WINDOW // len(ranges)),
        "words": words_query(search, visible, [(kind, value) for kind, value in said.items() if value is not None]),
        "sort_at": sort_at,
        "batch_id": batch_id,
        "limit": question.limit + 1,
    }


def _start_of_page(cursor: str | None) -> tuple[datetime | None, str | None]:
    if cursor is None:
        return None, None
    moment, batch_id = decode_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(moment), batch_id
    except ValueError:
        raise BadCursor("the cursor is not one of this list") from None
