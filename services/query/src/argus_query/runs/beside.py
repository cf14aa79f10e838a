"""Writes what stands beside the rows of runs: ended ones for the dashboard with their sums, and where files are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.facts import iso
from argus_query.runs.ended import Change, choice_changes, day_changes, ended_row, former_folders, outputs_row
from argus_query.runs.state import FoundBy, RunState
from argus_query.sql import columns_of, load

_SQL = load(__package__ or "", "ended.sql")
TABLES = ("dashboard_runs", "dashboard_days", "dashboard_choices", "run_outputs", "run_former_folders")


async def store_beside(connection: AsyncConnection[Any], changed: Sequence[tuple[RunState, FoundBy]]) -> None:
    """These tables tell of these runs as they are now, and are found by what stands beside each."""
    await _store_ended(connection, changed)
    await _store_outputs(connection, [state for state, _ in changed])
    await _store_former(connection, [state for state, _ in changed])


async def erase_beside(connection: AsyncConnection[Any], purged: Sequence[str], known: Sequence[RunState]) -> None:
    """Nothing of the runs `purged` is left; `known`: those of them that the tables may have."""
    changes: list[Change] = [(state.stored_ended, None) for state in known if state.stored_ended is not None]
    await _move(connection, changes)
    await connection.execute(_SQL["delete_outputs"], [list(purged)])
    await connection.execute(_SQL["delete_former"], [list(purged)])


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


async def _store_outputs(connection: AsyncConnection[Any], changed: Sequence[RunState]) -> None:
    there: list[tuple[Any, ...]] = []
    gone: list[str] = []
    for state in changed:
        before, now = state.stored_outputs, outputs_row(state)
        if before == now:
            continue
        state.stored_outputs = now
        if now is None:
            gone.append(state.batch_id)
        else:
            since = iso(now.unmeasured_since)
            there.append((state.batch_id, state.workspace, now.output_folder, now.work_folder, since, now.told))
    if there:
        await connection.execute(_SQL["upsert_outputs"], columns_of(there))
    if gone:
        await connection.execute(_SQL["delete_outputs"], [gone])


async def _store_former(connection: AsyncConnection[Any], changed: Sequence[RunState]) -> None:
    others = [(state, now) for state in changed if (now := former_folders(state)) != state.stored_former]
    if not others:
        return
    known = [state.batch_id for state, _ in others if state.stored_former]
    if known:
        await connection.execute(_SQL["delete_former"], [known])
    rows = [(state.batch_id, state.workspace, folder) for state, now in others for folder in sorted(now)]
    if rows:
        await connection.execute(_SQL["insert_former"], columns_of(rows))
    for state, now in others:
        state.stored_former = now
