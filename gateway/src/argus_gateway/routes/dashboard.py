"""The cost and cleanup dashboard: what runs that have ended cost, and what their outputs hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints
from starlette.responses import Response

from argus_contracts.queries.dashboard import (
    DashboardChoices,
    DashboardQuestion,
    DashboardRuns,
    DashboardSize,
    DashboardSort,
    DashboardSpend,
    DashboardStorage,
    DashboardSummary,
    GetDashboardChoices,
    GetDashboardSpend,
    GetDashboardStorage,
    GetDashboardSummary,
    ListDashboardRuns,
)
from argus_contracts.queries.deletions import DeletionList, ListDeletions
from argus_gateway.auth import SignedIn
from argus_gateway.identity.caller import Caller
from argus_gateway.problems import not_found
from argus_gateway.routes.answers import PROBLEMS, After, Asks
from argus_gateway.routes.runs import Cursor, Words

router = APIRouter(prefix="/api/dashboard", tags=["dashboard"], responses=PROBLEMS)
AnyQuestion = TypeVar("AnyQuestion", bound=DashboardQuestion)
_EVERYBODY = "*"
_MOST_NAMES = 1000
_DAYS: dict[str, Literal[7, 30, 90] | None] = {"7": 7, "30": 30, "90": 90, "all": None}
Who = Annotated[
    str | None,
    Query(
        max_length=64,
        pattern=r"^[^\x00-\x1f\x7f]*$",
        description="Whose runs; none: your own; `*`: of everybody whom you administrate",
    ),
]
Cluster = Annotated[str | None, Query(max_length=1024, pattern=r"^[^\x00]*$")]
Names = Annotated[
    list[Annotated[str, StringConstraints(max_length=20_000, pattern=r"^[^\x00]*$")]],
    Query(
        description="Names or ids of runs, separated by spaces, or repeated: exactly these, whatever the filters say"
    ),
]


async def _filters(
    *,
    caller: SignedIn,
    user: Who = None,
    cluster: Cluster = None,
    names: Names = [],  # noqa: B006 (FastAPI copies defaults)
    days: Literal["7", "30", "90", "all"] = "30",
    status: Literal["succeeded", "failed"] | None = None,
    label: Words = None,
    size: DashboardSize | None = None,
    search: Words = None,
    after: After = None,
) -> dict[str, Any]:
    """What all sections have in common, as the fields of a question."""
    return {
        **whose(caller, user, cluster), "names": _split(names), "days": _DAYS[days], "status": status, "label": label or None,
        "size": size, "search": search or None, "after": after,
    }  # fmt: skip


Filters = Annotated[dict[str, Any], Depends(_filters)]


def whose(caller: Caller, user: str | None, cluster: str | None) -> dict[str, Any]:
    """The fields that say of whom, and with which rights. Of others than himself only an admin of something may ask."""
    of_others = user not in (None, "", caller.user)
    if of_others and not caller.authority.is_any:
        raise not_found()
    everybody = user == _EVERYBODY
    return {
        "viewer": caller.viewer,
        "authority": caller.authority,
        "user": None if everybody else user or caller.user,
        "cluster": cluster or None,
    }


def _split(names: list[str]) -> list[str]:
    """One text has spaces between the names; where the parameter is repeated, spaces belong to them."""
    found = names[0].split() if len(names) == 1 else [name for name in names if name]
    return list(dict.fromkeys(found))[:_MOST_NAMES]


@router.get("/summary", response_model=DashboardSummary)
async def get_dashboard_summary(filters: Filters, ask: Asks) -> Response:
    """Counts, money and bytes of the runs in scope."""
    return await ask(GetDashboardSummary(**filters))


@router.get("/spend", response_model=DashboardSpend)
async def get_dashboard_spend(filters: Filters, ask: Asks) -> Response:
    """What was spent on computing, over time."""
    return await ask(GetDashboardSpend(**filters))


@router.get("/storage", response_model=DashboardStorage)
async def get_dashboard_storage(filters: Filters, ask: Asks) -> Response:
    """What keeping the outputs of these runs costs a year, as it grew over time."""
    return await ask(GetDashboardStorage(**filters))


@router.get("/runs", response_model=DashboardRuns)
async def list_dashboard_runs(
    *,
    filters: Filters,
    ask: Asks,
    sort: DashboardSort = "newest",
    limit: Annotated[int, Query(ge=1, le=100)] = 25,
    cursor: Cursor = None,
) -> Response:
    """The runs themselves; `next_cursor` and `previous_cursor` turn the page."""
    return await ask(ListDashboardRuns(**filters, sort=sort, limit=limit, cursor=cursor or None))


@router.get("/choices", response_model=DashboardChoices)
async def get_dashboard_choices(
    caller: SignedIn, ask: Asks, user: Who = None, cluster: Cluster = None, after: After = None
) -> Response:
    """What the dropdowns offer."""
    return await ask(GetDashboardChoices(**whose(caller, user, cluster), after=after))


@router.get("/deletions", response_model=DeletionList)
async def list_deletions(caller: SignedIn, ask: Asks, after: After = None) -> Response:
    """Deletions of outputs that the caller has asked for, and those of his runs by others: all on their way, and those of the last
    24 hours."""
    return await ask(ListDeletions(viewer=caller.viewer, after=after))
