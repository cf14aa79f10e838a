"""Folds records of the log into the tables of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from psycopg import AsyncConnection

from argus_query.cache import Recent
from argus_query.costs.ledger import Ledger, RunCost
from argus_query.facts import iso, micros_of
from argus_query.read_model import Record, purged_batches
from argus_query.runs import beside
from argus_query.runs.state import RunState, makes_a_run
from argus_query.runs.words import words_of
from argus_query.sql import array_text, columns_of, json_text, load, load_text

_SQL = load(__package__ or "", "queries.sql")
_REMEMBERED_RUNS = 5_000
_COSTS_AT_ONCE = 1_000


class Runs:
    """The read model of runs."""

    name = "runs"
    version = 10
    tables = ("runs", "run_states", "run_words", "run_facets", *beside.TABLES, *Ledger.tables)

    def __init__(self) -> None:
        self._recent: Recent[str, RunState] = Recent(_REMEMBERED_RUNS)
        self._ledger = Ledger()

    def schema(self) -> str:
        return load_text(__package__ or "", "schema.sql") + self._ledger.schema()

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        self._recent.trim()
        await self._load_states(connection, {record.batch_id for record in records})
        await self._ledger.load(connection, records, self._is_costed)

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        touched: dict[str, RunState] = {}
        for record in records:
            state = self._project_record(record)
            if state is not None:
                touched[state.batch_id] = state
        costs = await self._ledger.fold(connection, records)
        for batch_id in touched.keys() & costs:
            touched[batch_id].set_cost(*costs.pop(batch_id))
        await self._store(connection, list(touched.values()))
        purged = purged_batches(records)
        if purged:
            await self._erase(connection, purged)
        await self._store_costs(connection, costs)

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return False

    def forget(self) -> None:
        self._recent.clear()
        self._ledger.forget()

    async def _load_states(self, connection: AsyncConnection[Any], batch_ids: Iterable[str]) -> None:
        missing = self._recent.missing(batch_ids)
        if not missing:
            return
        cursor = await connection.execute(_SQL["load_states"], [missing])
        async for batch_id, raw, last_at, seen, progressed in cursor:
            self._recent.put(batch_id, RunState.from_json(batch_id, raw, last_at, seen, progressed))

    def _is_costed(self, batch_id: str) -> bool | None:
        """Whether the run is in the ledger; None where it is new."""
        state = self._recent.get(batch_id)
        return None if state is None else state.cost is not None

    def _project_record(self, record: Record) -> RunState | None:
        state = self._recent.get(record.batch_id)
        if state is None:
            if not any(makes_a_run(event["kind"]) for event in record.events):
                return None
            state = RunState(record.batch_id, record.workspace, record.user)
            self._recent.put(record.batch_id, state)
        received = micros_of(record.received_at)
        if record.retention_class == "lifecycle":
            for index, event in enumerate(record.events):
                if makes_a_run(event["kind"]):
                    position = record.first_position + index
                    state.project_event(event, record.times[index], received, position, record.producer_id)
            return state
        # Telemetry only tells a run that it lives: one look at the whole record is enough.
        first_at, last_at = min(record.times), max(record.times)
        for attempt in {share.attempt for share in record.shares()}:
            state.hear(attempt, False, first_at, last_at, received)
        if record.retention_class != "snapshots":
            state.progressed = max(state.progressed, received)
        return state

    async def _erase(self, connection: AsyncConnection[Any], purged: list[str]) -> None:
        states = [state for state in map(self._recent.get, purged) if state is not None]
        moves = _facet_changes((state, frozenset()) for state in states)
        if moves:
            await connection.execute(_SQL["add_facets"], [orjson.dumps(moves).decode()])
            await connection.execute(_SQL["drop_empty_facets"])
        await beside.erase_beside(connection, purged, states)
        await connection.execute(_SQL["delete_runs"], [purged])
        await connection.execute(_SQL["delete_words"], [purged])
        await connection.execute(_SQL["delete_states"], [purged])
        for batch_id in purged:
            self._recent.drop(batch_id)

    async def _store_costs(self, connection: AsyncConnection[Any], costs: dict[str, RunCost]) -> None:
        """Runs that nobody told of cost something else now: some that shared a host, or all that a price is about."""
        batch_ids = sorted(costs)
        for start in range(0, len(batch_ids), _COSTS_AT_ONCE):
            some = batch_ids[start : start + _COSTS_AT_ONCE]
            await self._load_states(connection, some)
            states = [state for state in map(self._recent.get, some) if state is not None]
            await self._store(connection, [state for state in states if state.set_cost(*costs[state.batch_id])])
            self._recent.trim()

    async def _store(self, connection: AsyncConnection[Any], touched: list[RunState]) -> None:
        changed = [state for state in touched if state.changed or not state.stored]
        found_by = [(state, state.found_by()) for state in changed]
        only_times = [(state.batch_id, *state.times()) for state in touched if not state.changed and state.stored]
        if only_times:
            await connection.execute(_SQL["touch_runs"], columns_of(only_times))
        if changed:
            await connection.execute(_SQL["upsert_runs"], columns_of([state.row(now) for state, now in found_by]))
            states = [(state.batch_id, json_text(state.to_json()), json_text(state.summary())) for state in changed]
            await connection.execute(_SQL["upsert_states"], columns_of(states))
        words = [
            (state.batch_id, iso(now.at), array_text(words_of(now.text, now.facets)))
            for state, now in found_by
            if now != state.stored
        ]
        if words:
            await connection.execute(_SQL["upsert_words"], columns_of(words))
        moves = _facet_changes((state, now.facets) for state, now in found_by)
        if moves:
            await connection.execute(_SQL["add_facets"], [orjson.dumps(moves).decode()])
            if any(move["n_runs"] < 0 for move in moves):
                await connection.execute(_SQL["drop_empty_facets"])
        for state, now in found_by:
            state.changed, state.stored = False, now
        await beside.store_beside(connection, found_by)


def _facet_changes(changed: Iterable[tuple[RunState, frozenset[tuple[str, str]]]]) -> list[dict[str, Any]]:
    """By how much the number of runs behind each facet moves, where these runs have these facets now."""
    moves: dict[tuple[str, str, str], int] = {}
    for state, now in changed:
        before = state.stored.facets if state.stored else frozenset[tuple[str, str]]()
        for sign, facets in ((1, now - before), (-1, before - now)):
            for kind, value in facets:
                key = (state.workspace, kind, value)
                moves[key] = moves.get(key, 0) + sign
    return [
        {"workspace": workspace, "kind": kind, "value": value, "n_runs": n}
        for (workspace, kind, value), n in sorted(moves.items())
        if n
    ]
