"""Answers a page of the dashboard's list of runs, from either side of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, LiteralString, NamedTuple, cast

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from argus_contracts.queries.dashboard import DashboardRun, DashboardRuns, ListDashboardRuns, StorageRates
from argus_query.dashboard.rates import yearly_usd
from argus_query.dashboard.scope import Chosen, chosen, put_together
from argus_query.facts import micros_of, seconds
from argus_query.fitting import n_that_fit
from argus_query.paging import BadCursor, decode_cursor, encode_cursor
from argus_query.sql import load

_SQL = load(__package__ or "", "queries.sql")


class _Sort(NamedTuple):
    """By a piece of SQL, then by id in the same direction. `read`: the key of a cursor; ValueError where it is none."""

    key: str
    type: LiteralString
    descending: bool
    read: Callable[[str], Any]


def _bigint(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError(text)
    return number


_SORTS: dict[str, _Sort] = {
    "newest": _Sort("by_time", "timestamptz", True, datetime.fromisoformat),
    "oldest": _Sort("by_time", "timestamptz", False, datetime.fromisoformat),
    "largest": _Sort("by_size_down", "bigint", True, _bigint),
    "smallest": _Sort("by_size_up", "bigint", False, _bigint),
    "name": _Sort("by_name", "text", False, str),
    "name_desc": _Sort("by_name", "text", True, str),
}


class _From(NamedTuple):
    """Where a page begins: beside a row (None: at the beginning of the list), going forward or back.

    number: of the page's first row going forward, of the row beside it going back.
    """

    key: Any = None
    batch_id: str | None = None
    number: int = 1
    backward: bool = False
    inclusive: bool = False


Found = tuple[str, Any]
"""`batch_id`, and the key that the list is sorted by."""


async def list_runs(
    connection: AsyncConnection[Any], question: ListDashboardRuns, position: int, now: datetime, rates: StorageRates
) -> DashboardRuns:
    """now: Argus' clock. Errors: `BadCursor`."""
    begin = _begin(question)
    about = chosen(question, now)
    if about is None:
        return DashboardRuns(
            position=position, items=[], next_cursor=None, previous_cursor=None, first_number=1, rates=rates,
            not_found=list(dict.fromkeys(question.names)),
        )  # fmt: skip
    found = await _find(connection, question, about, begin)
    if not found and begin.key is not None:
        # What stood there is gone, for instance deleted under a filter by size: what is left on the other side is shown.
        begin = begin._replace(backward=not begin.backward, inclusive=True)
        found = await _find(connection, question, about, begin)
    shown = await _shown(connection, [batch_id for batch_id, _ in found[: question.limit]], rates)
    page = found[: n_that_fit([shown[batch_id].model_dump_json() for batch_id, _ in found[: question.limit]])]
    more = len(found) > len(page)
    earlier, later, number = begin.key is not None, more, begin.number
    if begin.backward:
        page.reverse()
        # The beginning is where nothing more stands in front, whatever came or went since the cursor was given out.
        earlier, later, number = more, not begin.inclusive, max(2, begin.number - len(page)) if more else 1
    return DashboardRuns(
        position=position,
        items=[shown[batch_id] for batch_id, _ in page],
        next_cursor=_cursor(question.sort, page[-1], number + len(page), "after") if later and page else None,
        previous_cursor=_cursor(question.sort, page[0], number, "before") if earlier and page else None,
        first_number=number if page else 1,
        rates=rates,
        not_found=await _not_found(connection, question, about),
    )


async def _find(
    connection: AsyncConnection[Any], question: ListDashboardRuns, about: Chosen, begin: _From
) -> list[Found]:
    """In the order in which they are met, one more than the limit where there are more."""
    sort = _SORTS[question.sort]
    descending = sort.descending != begin.backward
    beyond = ("<" if descending else ">") + ("=" if begin.inclusive else "")
    # The planner cannot know that a text or a label is rare, and would look for it in the order of names.
    is_searched = about.scope.wanted["text"] is not None or about.scope.wanted["label"] is not None
    page = _SQL["page_of_found" if is_searched and sort.key == "by_name" else "page"]
    statement = page.replace("/* filters */", about.filters).replace("/* key */", _SQL[sort.key])
    statement = statement.replace("/* type */", sort.type).replace("/* beyond */", beyond)
    statement = statement.replace("/* direction */", "DESC" if descending else "ASC")
    at = {"key": begin.key, "batch_id": begin.batch_id, "limit": question.limit + 1}
    # Pieces of a file that ships with the code.
    cursor = await connection.execute(cast("LiteralString", statement), {**about.scope.wanted, **at})
    return await cursor.fetchall()


async def _shown(
    connection: AsyncConnection[Any], batch_ids: Sequence[str], rates: StorageRates
) -> dict[str, DashboardRun]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_SQL["select_shown"], [list(batch_ids)])
    return {row["batch_id"]: _run(row, rates) for row in await cursor.fetchall()}


def _run(row: dict[str, Any], rates: StorageRates) -> DashboardRun:
    summary = row["summary"]
    known = summary["dashboard"]
    started_at, ended_at = _moment(summary["started_at"]), _moment(summary["ended_at"])
    elapsed = summary["elapsed_s"]
    if elapsed is None and started_at is not None and ended_at is not None:
        elapsed = seconds(micros_of(started_at), micros_of(ended_at))
    n_bytes = known.get("bytes")
    return DashboardRun(
        batch_id=row["batch_id"],
        name=summary["name"],
        type=row["type"],
        project=row["project"],
        workspace=row["workspace"],
        user=row["user_name"],
        cluster=known.get("cluster"),
        status=row["status"],
        started_at=started_at,
        ended_at=ended_at,
        elapsed_s=elapsed,
        labels=row["labels"],
        output_dir=known.get("output_dir"),
        bytes=n_bytes,
        objects=known.get("objects"),
        measured_at=_moment(known.get("measured_at")),
        cost_usd=known.get("cost_usd"),
        wasted_usd=known.get("wasted_usd"),
        storage_usd_min=None if n_bytes is None else yearly_usd(n_bytes, rates.min_usd),
        storage_usd_max=None if n_bytes is None else yearly_usd(n_bytes, rates.max_usd),
        deleted_at=_moment(known.get("deleted_at")),
        deletion_id=known.get("deletion_id"),
        deletion_state=known.get("deletion_state"),
    )


async def _not_found(connection: AsyncConnection[Any], question: ListDashboardRuns, about: Chosen) -> list[str]:
    """In the order of the question."""
    if not question.names:
        return []
    statement = put_together(_SQL["not_found"].replace("/* filters */", about.filters), about.scope.rows)
    missing = {row[0] async for row in await connection.execute(statement, about.scope.wanted)}
    return [name for name in dict.fromkeys(question.names) if name.replace("\0", "�") in missing]


def _cursor(sort: str, beside: Found, number: int, side: str) -> str:
    batch_id, key = beside
    return encode_cursor(sort, side, str(number), key.isoformat() if isinstance(key, datetime) else str(key), batch_id)


def _begin(question: ListDashboardRuns) -> _From:
    if question.cursor is None:
        return _From()
    sort, side, number, key, batch_id = decode_cursor(question.cursor, 5)
    try:
        if sort == question.sort and side in ("after", "before"):
            return _From(_SORTS[sort].read(key), batch_id, max(1, int(number)), side == "before")
    except ValueError:
        pass
    raise BadCursor("the cursor is not one of this list")


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
