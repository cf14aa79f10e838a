"""Answers about the dashboard's sections: the summary, both charts, and what its dropdowns offer."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from argus_contracts.queries.dashboard import (
    DashboardChoices,
    DashboardQuestion,
    DashboardSpend,
    DashboardStorage,
    DashboardSummary,
    GetDashboardChoices,
    GetDashboardSpend,
    GetDashboardStorage,
    GetDashboardSummary,
    SpendBucket,
    StoragePoint,
    StorageRates,
)
from argus_query.dashboard.rates import yearly_usd
from argus_query.dashboard.scope import chosen, put_together, scope_of
from argus_query.dashboard.window import Days, buckets, unit_of, window_of
from argus_query.facts import short_name, storable
from argus_query.sql import load

MOST_LABELS = 500
MOST_USERS = 5_000
_SQL = load(__package__ or "", "queries.sql")
_NOTHING: dict[str, int] = dict.fromkeys((
    "n_runs", "n_failed", "n_aborted", "cost_micros", "wasted_micros", "n_without_cost", "bytes", "objects", "n_unmeasured",
), 0)  # fmt: skip


class _Sums(NamedTuple):
    """Of some days. Costs in micro-dollars."""

    n_runs: int
    cost: int
    wasted: int
    bytes: int


async def get_summary(
    connection: AsyncConnection[Any], question: GetDashboardSummary, position: int, now: datetime, rates: StorageRates
) -> DashboardSummary:
    """now: Argus' clock."""
    about = chosen(question, now)
    row: dict[str, Any] = _NOTHING
    if about is not None:
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(_SQL["summary"].replace("/* source */", about.source), about.scope.wanted)
        row = await cursor.fetchone() or _NOTHING
    n_bytes = int(row["bytes"])
    return DashboardSummary(
        position=position,
        n_runs=row["n_runs"],
        n_failed=row["n_failed"],
        n_aborted=row["n_aborted"],
        cost_usd=_usd(row["cost_micros"]),
        wasted_usd=_usd(row["wasted_micros"]),
        n_without_cost=row["n_without_cost"],
        bytes=n_bytes,
        objects=int(row["objects"]),
        n_unmeasured=row["n_unmeasured"],
        storage_usd_min=yearly_usd(n_bytes, rates.min_usd),
        storage_usd_max=yearly_usd(n_bytes, rates.max_usd),
        rates=rates,
    )


async def get_spend(
    connection: AsyncConnection[Any], question: GetDashboardSpend, position: int, now: datetime
) -> DashboardSpend:
    summed = await _by_bucket(connection, question, now)
    return DashboardSpend(
        position=position,
        unit=unit_of(_n_days(question)),
        buckets=[
            SpendBucket(
                first_day=days.first,
                last_day=days.last,
                cost_usd=_usd(sums.cost),
                wasted_usd=_usd(sums.wasted),
                n_runs=sums.n_runs,
            )
            for days, sums in summed
        ],
    )


async def get_storage(
    connection: AsyncConnection[Any], question: GetDashboardStorage, position: int, now: datetime, rates: StorageRates
) -> DashboardStorage:
    summed = await _by_bucket(connection, question, now)
    points: list[StoragePoint] = []
    total = 0
    for days, sums in summed:
        total += sums.bytes
        points.append(
            StoragePoint(
                last_day=days.last,
                bytes_added=sums.bytes,
                bytes=total,
                usd_min=yearly_usd(total, rates.min_usd),
                usd_max=yearly_usd(total, rates.max_usd),
                n_runs=sums.n_runs,
            )
        )
    return DashboardStorage(
        position=position,
        unit=unit_of(_n_days(question)),
        first_day=summed[0][0].first if summed else None,
        points=points,
        rates=rates,
    )


async def get_choices(
    connection: AsyncConnection[Any], question: GetDashboardChoices, position: int
) -> DashboardChoices:
    scope = scope_of(question.viewer, question.authority, question.user)
    labels: list[str] = []
    others: dict[str, list[str]] = {"cluster": [], "user": []}
    if scope is not None:
        cluster = storable(short_name(question.cluster or None))
        wanted = {**scope.wanted, "cluster": cluster, "most": MOST_LABELS, "most_users": MOST_USERS}
        cursor = await connection.execute(put_together(_SQL["choose_labels"], scope.rows), wanted)
        labels = [row[0] async for row in cursor]
        cursor = await connection.execute(put_together(_SQL["choose_others"], scope.rows), wanted)
        async for kind, value in cursor:
            others[kind].append(value)
    return DashboardChoices(position=position, labels=labels, clusters=others["cluster"], users=others["user"])


async def _by_bucket(
    connection: AsyncConnection[Any], question: DashboardQuestion, now: datetime
) -> list[tuple[Days, _Sums]]:
    """All buckets of the window; of all time those from the first run's to the last run's."""
    about = chosen(question, now)
    by_day: dict[date, _Sums] = {}
    if about is not None:
        cursor = await connection.execute(_SQL["by_day"].replace("/* source */", about.source), about.scope.wanted)
        async for day, n_runs, cost, wasted, n_bytes in cursor:
            by_day[day] = _Sums(n_runs, int(cost), int(wasted), int(n_bytes))
    window = window_of(_n_days(question), now.astimezone(UTC))
    if window is None:
        if not by_day:
            return []
        window = Days(min(by_day), max(by_day))
    found = [(days, [0, 0, 0, 0]) for days in buckets(unit_of(_n_days(question)), window)]
    coming = iter(found)
    days, sums = next(coming)
    for day in sorted(by_day):
        while day > days.last:
            days, sums = next(coming)
        for index, amount in enumerate(by_day[day]):
            sums[index] += amount
    return [(days, _Sums(*sums)) for days, sums in found]


def _n_days(question: DashboardQuestion) -> int | None:
    """Named runs are shown however old they are."""
    return None if question.names else question.days


def _usd(micros: Any) -> float:
    return int(micros) / 1_000_000
