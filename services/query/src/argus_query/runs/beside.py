"""Writes what stands beside the rows of runs: ended ones for the dashboard with their sums, and where files are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.facts import iso
from argus_query.runs.ended import Change, choice_changes, day_changes, ended_row
from argus_query.runs.folders import folders_of, unmeasured
from argus_query.runs.state import FoundBy, RunState
from argus_query.sql import columns_of, load

_SQL = load(__package__ or "", "ended.sql")
_FOLDERS_SQL = load(__package__ or "", "folders.sql")
TABLES = ("dashboard_runs", "dashboard_days", "dashboard_choices", "run_folders", "run_unmeasured")


async def store_beside(connection: AsyncConnection[Any], changed: Sequence[tuple[RunState, FoundBy]]) -> None:
    """These tables tell of these runs as they are now, and are found by what stands beside each."""
    await _store_ended(connection, changed)
    states = [state for state, _ in changed]
    await _store_folders(connection, states)
    await _store_unmeasured(connection, states)


async def erase_beside(connection: AsyncConnection[Any], purged: Sequence[str], known: Sequence[RunState]) -> None:
    """Nothing of the runs `purged` is left; `known`: those of them that the tables may have."""
    changes: list[Change] = [(state.stored_ended, None) for state in known if state.stored_ended is not None]
    await _move(connection, changes)
    for statement in ("delete_folders_of", "delete_unmeasured"):
        await connection.execute(_FOLDERS_SQL[statement], [list(purged)])


async def _store_ended(connection: AsyncConnection[Any], changed: Sequence[tuple[RunState, FoundBy]]) -> None:
    changes: list[Change] = []
    for state, found_by in changed:
        before, now = state.stored_ended, ended_row(state, found_by)
        if before != now:
            changes.append((before, now))
            state.stored_ended = now
    await _move(connection, changes)


async def _move(connection: AsyncConnection[Any], changes: Sequence[Change]) -> None:
    if not changes:
        return
    there = [now.columns() for _, now in changes if now is not None]
    if there:
        await connection.execute(_SQL["upsert_ended"], columns_of(there))
    gone = [(before.batch_id, before.user) for before, now in changes if before is not None and now is None]
    if gone:
        await connection.execute(_SQL["delete_ended"], columns_of(gone))
    days = day_changes(changes)
    if days:
        await connection.execute(_SQL["add_days"], columns_of(days))
    lessened = [day[:6] for day in days if day[6] < 0]
    if lessened:
        await connection.execute(_SQL["drop_empty_days"], columns_of(lessened))
    choices = choice_changes(changes)
    if choices:
        await connection.execute(_SQL["add_choices"], columns_of(choices))
    fewer = [choice[:4] for choice in choices if choice[-1] < 0]
    if fewer:
        await connection.execute(_SQL["drop_empty_choices"], columns_of(fewer))


async def _store_folders(connection: AsyncConnection[Any], changed: Sequence[RunState]) -> None:
    there: list[tuple[Any, ...]] = []
    gone: list[tuple[Any, ...]] = []
    for state in changed:
        before, now = state.stored_folders, folders_of(state)
        if before != now:
            gone += [(state.batch_id, *folder) for folder in before - now]
            there += [(state.batch_id, state.workspace, *folder) for folder in now - before]
            state.stored_folders = now
    if gone:
        await connection.execute(_FOLDERS_SQL["delete_folders"], columns_of(gone))
    if there:
        await connection.execute(_FOLDERS_SQL["insert_folders"], columns_of(there))


async def _store_unmeasured(connection: AsyncConnection[Any], changed: Sequence[RunState]) -> None:
    there: list[tuple[Any, ...]] = []
    gone: list[str] = []
    for state in changed:
        before, now = state.stored_unmeasured, unmeasured(state)
        if now is None and before is not None:
            gone.append(state.batch_id)
        elif now is not None and now != before:
            there.append((state.batch_id, state.workspace, iso(now.since), now.lifecycle_position))
        state.stored_unmeasured = now
    if there:
        await connection.execute(_FOLDERS_SQL["upsert_unmeasured"], columns_of(there))
    if gone:
        await connection.execute(_FOLDERS_SQL["delete_unmeasured"], [gone])
