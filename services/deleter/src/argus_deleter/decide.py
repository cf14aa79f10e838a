"""Commands decided, run by run: what is known of each run is asked for first, and stored with the answer in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from argus_contracts.commands import (
    CancelOutputsDeletion,
    Decision,
    DeleteOutputs,
    MeasureOutputs,
    OwnedRun,
    RunDecision,
    deletion_id_of,
)
from argus_contracts.locations import Location
from argus_contracts.queries.outputs import Outputs
from argus_deleter.ask import Query
from argus_deleter.decisions import SQL, Also, Decisions
from argus_deleter.eligible import No, deletable, located, shared
from argus_deleter.errors import Overtaken, Unavailable
from argus_deleter.output_deletion import OutputDeletion
from argus_deleter.roots import Roots

Ours = DeleteOutputs | CancelOutputsDeletion | MeasureOutputs
VERBS: dict[str, type[Ours]] = {
    "delete": DeleteOutputs, "cancel": CancelOutputsDeletion, "measure": MeasureOutputs,
}  # fmt: skip
_VERB_OF = {kind: verb for verb, kind in VERBS.items()}
HIDES_NOTHING = {"not_terminal", "no_output_dir", "refused"}
"""Reasons beside which `in_flight` is the truer answer: nothing new is decided, and the asker may know."""
TRIES = 5
Known = tuple[Location, Outputs] | No


class Decider:
    """Errors: `Unavailable`, where the command must come again."""

    def __init__(self, decisions: Decisions, query: Query, roots: Roots, grace_s: float) -> None:
        self._decisions, self._query, self._roots, self._grace_s = decisions, query, roots, grace_s

    async def decide(self, command: Ours, raw: bytes) -> Decision:
        """The decision is stored. The same command again gets the same one."""
        for _ in range(TRIES):
            if (known := await asyncio.to_thread(self._known, command.command_id)) is not None:
                return known
            try:
                if isinstance(command, DeleteOutputs):
                    return await self._delete(command, raw)
                if isinstance(command, CancelOutputsDeletion):
                    return await asyncio.to_thread(self._cancel, command, raw)
                return await self._measure(command, raw)
            except Overtaken:
                continue  # somebody has decided about one of the runs, or this very command, at the same time
        raise Unavailable("others decide about the same runs all the time")

    def _known(self, command_id: UUID) -> Decision | None:
        rows = self._decisions.rows("command", command_id=command_id)
        return Decision.model_validate(rows[0][0]) if rows else None

    async def _delete(self, command: DeleteOutputs, raw: bytes) -> Decision:
        head, now = await asyncio.to_thread(self._decisions.head)
        known = await self.look(command.runs, head)
        return await asyncio.to_thread(self._request, command, raw, known, now)

    async def look(self, runs: Sequence[OwnedRun], head: int) -> list[Known]:
        """Of each run where its outputs are, and what is known of it; or why they cannot be deleted."""
        found = await self._query.outputs([run.batch_id for run in runs], head)

        async def one(run: OwnedRun) -> Known:
            outputs = found.get(run.batch_id)
            where = deletable(run, outputs, self._roots)
            if isinstance(where, No) or outputs is None:
                return where if isinstance(where, No) else No("not_found")
            personal = self._roots.are_personal
            others = shared(await self._query.sharers(str(where), run, head, personal=personal), where)
            return others or (where, outputs)

        return list(await asyncio.gather(*(one(run) for run in runs)))

    def _request(self, command: DeleteOutputs, raw: bytes, known: list[Known], now: datetime) -> Decision:
        aggregates = self._decisions.load([run.batch_id for run in command.runs])
        results: list[RunDecision] = []
        for run, what in zip(command.runs, known, strict=True):
            result, one = decide_run(command, run, what, aggregates.get(run.batch_id), now=now, grace_s=self._grace_s)
            results.append(result)
            if one is not None:
                aggregates[run.batch_id] = one
        return self._store(command, raw, results, aggregates.values())

    def _cancel(self, command: CancelOutputsDeletion, raw: bytes) -> Decision:
        run = command.run
        one = self._decisions.load([run.batch_id]).get(run.batch_id)
        rows = self._decisions.rows("deletion_by_id", deletion_id=command.deletion_id)
        if one is None or not rows or rows[0][:3] != (run.batch_id, run.workspace, run.user):
            result = RunDecision(batch_id=run.batch_id, skipped="not_found")
        else:
            result = one.cancel(command.deletion_id, command.requested_by)
        return self._store(command, raw, [result], [one] if one else [])

    async def _measure(self, command: MeasureOutputs, raw: bytes) -> Decision:
        head, _ = await asyncio.to_thread(self._decisions.head)
        found = await self._query.outputs([run.batch_id for run in command.runs], head)
        return await asyncio.to_thread(self._have_measured, command, raw, [
            located(run, found.get(run.batch_id), self._roots) for run in command.runs
        ])  # fmt: skip

    def _have_measured(self, command: MeasureOutputs, raw: bytes, where: list[Location | No]) -> Decision:
        known = self._decisions.load([run.batch_id for run in command.runs])
        results: list[RunDecision] = []
        also: list[tuple[Any, dict[str, Any]]] = []
        for run, place in zip(command.runs, where, strict=True):
            one = known.get(run.batch_id)
            if isinstance(place, No):
                results.append(RunDecision(batch_id=run.batch_id, skipped=place.skipped, detail=place.detail))
            elif one is not None and one.in_flight:
                results.append(RunDecision(batch_id=run.batch_id, skipped="in_flight", deletion_id=one.deletion_id))
            else:
                results.append(RunDecision(batch_id=run.batch_id))
                also.append((SQL["measure"], {"batch_id": run.batch_id}))
        return self._store(command, raw, results, [], also)

    def _store(
        self,
        command: Ours,
        raw: bytes,
        results: list[RunDecision],
        aggregates: Iterable[OutputDeletion],
        also: Also = (),
    ) -> Decision:
        decision = answer(command.command_id, results)
        row = {
            "command_id": command.command_id, "verb": _VERB_OF[type(command)], "raw": raw,
            "decision": orjson.dumps(decision.model_dump(mode="json")).decode(),
        }  # fmt: skip
        self._decisions.save(aggregates, [*also, (SQL["put_command"], row)])
        return decision


def decide_run(
    command: DeleteOutputs, run: OwnedRun, known: Known, one: OutputDeletion | None, *, now: datetime, grace_s: float
) -> tuple[RunDecision, OutputDeletion | None]:
    """Pure. one: what has been decided about the run before; in the answer, and what has been now."""
    if isinstance(known, No):
        if one is not None and one.in_flight and known.skipped in HIDES_NOTHING:
            return one.in_flight_already(), one
        return RunDecision(batch_id=run.batch_id, skipped=known.skipped, detail=known.detail), one
    where, found = known
    if one is not None and (no := one.why_not_again(found)) is not None:
        return no, one
    if found.last_seen_at > command.requested_at:
        # The command has waited, and what it would delete now is not what was asked for.
        detail = "the run has said something since this was asked for"
        return RunDecision(batch_id=run.batch_id, skipped="not_terminal", detail=detail), one
    one = one or OutputDeletion.open(run.batch_id, run.workspace, run.user)
    deletion_id = deletion_id_of(command.command_id, run.batch_id)
    decision = one.request(
        deletion_id, str(where), requested_by=command.requested_by, as_user=command.as_user, lifecycle_position=found.lifecycle_position,
        now=now, grace_s=grace_s,
    )  # fmt: skip
    return decision, one


def answer(command_id: UUID, results: list[RunDecision]) -> Decision:
    """Accepted where anything was taken."""
    if any(one.skipped is None for one in results):
        return Decision(command_id=command_id, outcome="accepted", results=results)
    reasons = sorted({one.skipped for one in results if one.skipped})
    return Decision(command_id=command_id, outcome="refused", reason=", ".join(reasons), results=results)
