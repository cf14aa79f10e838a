"""Finds the page of a list of runs: which ones, the newest first, in a time that does not grow with what others have.

What an index has in order (a workspace, with a project, user or status) is one range of that index. Somebody sees several
of them: they are read together, each only as far as the page needs it. A text or a label is in no order: where many runs
have it, a page of them is among the newest few thousand of the ranges; where few have it, the index of words names them
all. Nobody knows of a text which of the two it is, so the first is tried, and where it does not fill the page the second.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple, cast

from psycopg import AsyncConnection

from argus_contracts.queries.runs import ListRuns
from argus_query.facts import short_name
from argus_query.paging import decode_moment_cursor
from argus_query.runs.words import folded, words_query
from argus_query.sql import load

WINDOW = 10_000
"""So many runs are looked at before the index of words is asked, which then has few to name: 1 in 200 of these at most."""
MOST_RANGES = 200
"""More of them would take longer to plan than to read."""
_SQL = load(__package__ or "", "lists.sql")


class _Range(NamedTuple):
    """A part of the list that an index has in order. None: all that are visible; any."""

    workspace: str | None
    status: str | None


async def find_page(connection: AsyncConnection[Any], question: ListRuns, now: datetime) -> list[str]:
    """The `batch_id`s, one more than the limit where there are more. `now`: who is silent by then. Errors: `BadCursor`."""
    visible = _visible(question)
    if visible == []:
        return []
    wanted = {**_parameters(question, visible), "now": now, "window": WINDOW}
    ranges = _ranges(question, visible, wanted)
    for n, each in enumerate(ranges):
        wanted[f"workspace_{n}"], wanted[f"status_{n}"] = each
    plain = wanted["text"] is None and wanted["label"] is None
    statement = _statement(plain, len(ranges), ranges[0].workspace is not None, ranges[0].status is not None)
    cursor = await connection.execute(statement, wanted)
    if plain:
        return [row[0] async for row in cursor]
    found: list[str] = []
    async for batch_id, fits, is_end in cursor:
        if fits:
            found.append(batch_id)
        if is_end and len(found) <= question.limit:
            return [row[0] async for row in await connection.execute(_BY_WORDS, wanted)]
    return found


def _ranges(question: ListRuns, visible: list[str] | None, wanted: dict[str, Any]) -> list[_Range]:
    # Of several workspaces a user is in few: the user's own range of an index is shorter than one range in each of them.
    as_one = visible is None or len(visible) > MOST_RANGES or (question.user is not None and len(visible) > 1)
    workspaces = [None] if as_one or visible is None else visible
    statuses = [wanted["status"]] if wanted["statuses"] is None else wanted["statuses"]
    # A range is of a project or a user where one is asked for; then the status is looked at in each row.
    if question.user is not None or wanted["project"] is not None or len(workspaces) * len(statuses) > MOST_RANGES:
        statuses = [None]
    return [_Range(workspace, status) for workspace in workspaces for status in statuses]


@lru_cache(maxsize=MOST_RANGES)
def _statement(plain: bool, n_ranges: int, by_workspace: bool, by_status: bool) -> LiteralString:
    one = _whole(_SQL["newest_of_range" if plain else "judged_of_range"])
    conditions = [_SQL["in_workspace" if by_workspace else "in_visible"], *([_SQL["with_status"]] if by_status else [])]
    one = one.replace("/* range */", " AND ".join(conditions))
    parts = [
        one.replace("%(workspace)s", f"%(workspace_{n})s").replace("%(status_of_range)s", f"%(status_{n})s")
        for n in range(n_ranges)
    ]
    whole = _SQL["newest_page" if plain else "fitting_page"].replace("/* visible */", _SQL["in_visible"])
    # Pieces of a file that ships with the code, and numbers.
    return cast("LiteralString", whole.replace("/* ranges */", " UNION ALL ".join(f"({part})" for part in parts)))


def _whole(statement: LiteralString) -> LiteralString:
    for part in ("filters", "behind"):
        statement = statement.replace(f"/* {part} */", _SQL[part].rstrip(";"))
    return statement


_BY_WORDS = _whole(_SQL["page_by_words"])


def _visible(question: ListRuns) -> list[str] | None:
    """The workspaces to look into; None: all."""
    viewer, workspace = question.viewer, question.workspace
    if workspace is not None:
        return [workspace] if viewer.all_workspaces or workspace in viewer.workspaces else []
    return None if viewer.all_workspaces else sorted(set(viewer.workspaces))


def _parameters(question: ListRuns, visible: list[str] | None) -> dict[str, Any]:
    connected: list[str] = [status for status in question.status if status != "disconnected"]
    disconnected = len(connected) < len(question.status)
    statuses = sorted({*connected, *(("running", "stopping") if disconnected else ())})
    status = statuses[0] if len(statuses) == 1 else None
    search = (question.search or "").strip() or None
    project, label = short_name(question.project), short_name(question.label)
    said = {"project": project, "user": question.user, "label": label}
    sort_at, batch_id = decode_moment_cursor(question.cursor)
    return {
        "visible": visible,
        "status": status,
        "statuses": statuses if len(statuses) > 1 else None,
        "disconnected": disconnected,
        "connected": connected,
        "project": project,
        "user": question.user,
        "type": question.type,
        "label": label,
        "text": folded(search) if search else None,
        # A window goes through the index of one of these, and looks at the others in each row.
        "drive_project": project if question.user is None else None,
        "drive_user": question.user,
        "words": words_query(search, visible, [(kind, value) for kind, value in said.items() if value is not None]),
        "sort_at": sort_at,
        "batch_id": batch_id,
        "limit": question.limit + 1,
    }
