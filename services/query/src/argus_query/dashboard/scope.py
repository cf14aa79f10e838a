"""Which runs a section of the dashboard is about: whose, and which of them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, LiteralString, NamedTuple

from argus_contracts.queries.authority import Authority
from argus_contracts.queries.common import Viewer
from argus_contracts.queries.dashboard import SIZE_LIMITS, DashboardQuestion
from argus_query.dashboard.window import Days, window_of
from argus_query.facts import short_name, storable
from argus_query.runs.ended import name_key
from argus_query.runs.words import folded
from argus_query.sql import load
from argus_query.visibility import seen_by

_SQL = load(__package__ or "", "queries.sql")
_FAILED = ["failed", "aborted"]


class Scope(NamedTuple):
    """A part of statements, and the parameters that it needs."""

    rows: LiteralString
    """What rows must fulfil that are of one run."""
    sums: LiteralString
    """And rows that are sums over days, where there are sums of all users, too."""
    wanted: dict[str, Any]


class Chosen(NamedTuple):
    """What a question is about. `has_sums`: no filter looks into single runs."""

    scope: Scope
    days: Days | None
    has_sums: bool
    named: bool

    @property
    def filters(self) -> LiteralString:
        return put_together(_SQL["named" if self.named else "filters"], self.scope.rows)

    @property
    def source(self) -> LiteralString:
        if self.has_sums:
            return put_together(_SQL["each_day"], self.scope.sums)
        return _SQL["each_run"].replace("/* filters */", self.filters)


def chosen(question: DashboardQuestion, now: datetime) -> Chosen | None:
    """None: nothing that the viewer may see. now: Argus' clock."""
    named = bool(question.names)
    scope = scope_of(question.viewer, question.authority, None if named else question.user)
    if scope is None:
        return None
    days = None if named else window_of(question.days, now.astimezone(UTC))
    search = storable(question.search or "").strip()
    label = storable(short_name(question.label or None))
    more_than = SIZE_LIMITS[question.size] if question.size else None
    names = sorted({storable(name) for name in question.names})
    scope.wanted.update({
        "names": names,
        "name_keys": sorted({name_key(name) for name in names}),
        "cluster": storable(short_name(question.cluster or None)),
        "first_day": days.first if days else None,
        "last_day": days.last if days else None,
        "first_at": datetime.combine(days.first, time(), UTC) if days else None,
        "end_at": datetime.combine(days.last, time(), UTC) + timedelta(days=1) if days else None,
        "statuses": None if question.status is None else _FAILED if question.status == "failed" else ["succeeded"],
        "more_than": more_than,
        "size_class": None if more_than is None else sum(more_than >= limit for limit in SIZE_LIMITS.values()),
        "label": label,
        "text": folded(search) if search else None,
    })  # fmt: skip
    return Chosen(scope, days, has_sums=not named and label is None and not search, named=named)


def scope_of(viewer: Viewer, authority: Authority, user: str | None) -> Scope | None:
    """Of `user`, or (None) of all whom the authority covers and the viewer. None: nobody whose runs may be seen."""
    leads = authority.everything or bool(authority.workspaces) or bool(authority.clusters)
    me, user = storable(viewer.user), storable(user or None)
    wanted = {
        **seen_by(viewer),
        # Nobody has the empty name; rows that have it are sums over all users.
        "me": me or None,
        "user": user,
        "everything": authority.everything,
        "led_workspaces": authority.workspaces,
        "led_clusters": [short_name(cluster) for cluster in authority.clusters],
    }
    if user == me or (user is None and not leads):
        return Scope(_SQL["of_viewer"], _SQL["of_viewer"], wanted)
    if user is not None:
        return Scope(_SQL["of_somebody"], _SQL["of_somebody"], wanted) if leads else None
    return Scope(_SQL["of_all"], _SQL["days_of_all"], wanted)


def put_together(statement: LiteralString, scope: LiteralString) -> LiteralString:
    """`statement` with the pieces that say whose runs it is about."""
    whole = statement.replace("/* scope */", scope)
    return whole.replace("/* covered */", _SQL["covered"]).replace("/* visible */", _SQL["visible"])
