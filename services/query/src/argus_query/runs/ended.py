"""What the dashboard needs of a run that has ended. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from argus_contracts.queries.dashboard import SIZE_LIMITS
from argus_query.facts import iso, short_name
from argus_query.lifecycle import TERMINAL
from argus_query.sql import array_text

if TYPE_CHECKING:
    from argus_query.runs.state import FoundBy, RunState

MOST_MICROS = 9 * 10**18
"""Micro-dollars that a bigint holds; nobody's run costs so much."""
ANYBODY = ""
"""Stands for all users of a workspace and cluster, in place of a user's name, which is never empty."""
_DAY = 86_400_000_000
_LIMITS = tuple(SIZE_LIMITS.values())
DayKey = tuple[str, str, str, int, str, int]
"""Workspace, cluster, user, day since 1970, status, and how many of the size limits the outputs exceed."""
ChoiceKey = tuple[str, str, str, str]
"""Workspace, cluster, user, and a label or (empty) any."""


class EndedRow(NamedTuple):
    """A row of `dashboard_runs`, and all that the sums are made of: what is equal needs no writing."""

    batch_id: str
    user: str
    workspace: str
    cluster: str
    """Empty: none is known."""
    status: str
    at: int
    bytes: int | None
    objects: int | None
    cost: int | None
    """Micro-dollars, as `wasted`: whole numbers, so that adding and taking away is exact."""
    wasted: int | None
    is_unmeasured: bool
    labels: tuple[str, ...]
    name_key: str
    name: str
    text: str

    def columns(self) -> tuple[Any, ...]:
        return (
            iso(self.at), self.bytes, self.objects, self.cost, self.wasted, self.is_unmeasured, self.status, self.user,
            self.workspace, self.cluster, self.text, array_text(self.labels), self.name_key, self.name, self.batch_id,
        )  # fmt: skip

    def day_key(self, user: str) -> DayKey:
        return (self.workspace, self.cluster, user, self.at // _DAY, self.status, size_class(self.bytes))

    def amounts(self) -> tuple[int, ...]:
        """What it adds to a row of `dashboard_days`, in the order of its columns."""
        return (
            1, self.cost or 0, self.wasted or 0, self.bytes or 0, self.objects or 0, self.cost is None, self.is_unmeasured
        )  # fmt: skip


def ended_row(state: RunState, found_by: FoundBy) -> EndedRow | None:
    """None: it has not ended, or goes on again. found_by: as `state.found_by()` says."""
    status = state.life.status()
    if status not in TERMINAL:
        return None
    name = state.get("name") or state.batch_id
    live = state.live_outputs()
    output_dir = state.get("output_dir")
    at, text, labels = found_by.at, found_by.text, tuple(state.labels)
    n_bytes, n_objects = (None, None) if live is None else (live.bytes, live.objects)
    if output_dir:
        text = f"{text}\n{output_dir.casefold()}"
    # By place, because a flood of tiny runs makes one of each.
    return EndedRow(
        state.batch_id, state.user, state.workspace, short_name(state.get("cluster")) or "", status, at, n_bytes, n_objects,
        micros_of_usd(state.cost_usd), micros_of_usd(state.wasted_usd), bool(output_dir) and live is None, labels,
        name_key(name), name, text,
    )  # fmt: skip


def name_key(name: str) -> str:
    """By what a list is sorted by name."""
    return short_name(name.casefold()) or ""


def micros_of_usd(usd: float | None) -> int | None:
    return None if usd is None else round(min(max(usd, 0.0), MOST_MICROS / 1e6) * 1e6)


def size_class(n_bytes: int | None) -> int:
    """How many of the limits `n_bytes` exceed; -1: not known."""
    return -1 if n_bytes is None else sum(n_bytes > limit for limit in _LIMITS)


Change = tuple[EndedRow | None, EndedRow | None]
"""A row as it was and as it is."""


def day_changes(changes: Sequence[Change]) -> list[tuple[Any, ...]]:
    """By how much each row of `dashboard_days` moves, as its columns."""
    sums: dict[DayKey, list[int]] = {}
    for sign, row in _signed(changes):
        _add(sums, row.day_key(row.user), sign, row.amounts())
    for (workspace, cluster, _, day, status, size), amounts in list(sums.items()):
        _add(sums, (workspace, cluster, ANYBODY, day, status, size), 1, amounts)
    return [
        (workspace, cluster, user, _day(day), status, size, *amounts)
        for (workspace, cluster, user, day, status, size), amounts in sorted(sums.items())
        if any(amounts)
    ]


def choice_changes(changes: Sequence[Change]) -> list[tuple[Any, ...]]:
    """By how much the number of runs behind each row of `dashboard_choices` moves, as its columns."""
    moves: dict[ChoiceKey, int] = {}
    for sign, row in _signed(changes):
        for label in {"", *row.labels}:
            key = (row.workspace, row.cluster, row.user, label)
            moves[key] = moves.get(key, 0) + sign
    return [(*key, n) for key, n in sorted(moves.items()) if n]


def _signed(changes: Sequence[Change]) -> Iterable[tuple[int, EndedRow]]:
    for before, now in changes:
        if before is not None:
            yield -1, before
        if now is not None:
            yield 1, now


def _add(sums: dict[DayKey, list[int]], key: DayKey, sign: int, amounts: Iterable[int]) -> None:
    known = sums.get(key)
    if known is None:
        sums[key] = [sign * amount for amount in amounts]
    else:
        sums[key] = [total + sign * amount for total, amount in zip(known, amounts, strict=True)]


@lru_cache(maxsize=4_096)
def _day(day: int) -> str:
    text = iso(day * _DAY)
    return text[:10] if text else ""
