"""Outputs of runs: where they are, what deleting them would free, and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from argus_contracts.commands import (
    CancelOutputsDeletion,
    Decision,
    DeleteOutputs,
    MeasureOutputs,
    OwnedRun,
    RunDecision,
    deletion_id_of,
)
from argus_contracts.queries.deletions import (
    DeletionAnswer,
    DeletionPreview,
    GetDeletion,
    PreviewDeletion,
    PreviewedRun,
)
from argus_contracts.queries.outputs import FindOutputs, GetOutputs, Outputs, OutputsAnswer, OutputsThereAnswer
from argus_gateway.auth import FullRights, SignedIn
from argus_gateway.bodies import DeletionRequest, DeletionResult, PreviewResult, RunsNamed
from argus_gateway.command import command_id
from argus_gateway.identity.caller import Caller
from argus_gateway.parts import AllParts, Parts
from argus_gateway.problems import HttpProblem, not_found
from argus_gateway.routes.answers import PROBLEMS, After, Asks

router = APIRouter(prefix="/api/outputs", tags=["outputs"], responses=PROBLEMS)
DeletionId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9-]+$")]
PREVIEW_S = 30.0
_NOBODYS = "there is no such run whose outputs are yours to delete"


@router.get("", response_model=OutputsThereAnswer)
async def find_outputs(
    caller: SignedIn,
    ask: Asks,
    location: Annotated[str, Query(min_length=6, max_length=1100, pattern=r"^s3://[^\x00]+$")],
    after: After = None,
) -> Response:
    """Runs whose output or work folder is at this address, in it, or has it inside."""
    return await ask(FindOutputs(viewer=caller.viewer, location=location, after=after))


@router.post("/deletions", status_code=202)
async def delete_outputs(body: DeletionRequest, caller: FullRights, parts: AllParts) -> DeletionResult:
    """Each of these runs that can be gets a deletion of its own; the others are left out, and the answer says why.

    404 where none of them is the caller's to delete.
    """
    parts.rates.writes.check(caller.user, "changes")
    if body.confirm != body.phrase:
        raise HttpProblem(422, f"`confirm` must be exactly: {body.phrase}", "not_confirmed")
    known = await _known(parts, caller, body)
    mine = [run for run in known.items if _may_delete(caller, run, body.as_user)]
    await _audit(parts, caller, "delete_outputs", body, [run.batch_id for run in mine])
    if not mine:
        raise not_found(_NOBODYS)
    now = datetime.now(UTC)
    command = DeleteOutputs(
        command_id=command_id(caller.user, body.command_id), requested_by=caller.user,
        as_user=body.as_user if body.as_user != caller.user else None,
        requested_at=now if body.asked_at is None else min(now, body.asked_at), runs=_owned(mine),
    )  # fmt: skip
    decision = await parts.commander.command("deleter", "delete", command)
    return _result(body, mine, decision).model_copy(update={"asked_at": command.requested_at})


@router.post("/deletions/preview")
async def preview_deletion(body: RunsNamed, caller: FullRights, parts: AllParts) -> PreviewResult:
    """What deleting would delete if it happened now: the bucket is listed. Nothing changes. 404 as for deleting."""
    known = await _known(parts, caller, body)
    mine = [run for run in known.items if _may_delete(caller, run, body.as_user)]
    if not mine:
        raise not_found(_NOBODYS)
    preview = await parts.asker.ask_for(PreviewDeletion(runs=_owned(mine)), DeletionPreview, PREVIEW_S)
    by_run = {run.batch_id: run for run in preview.runs}
    runs = [by_run.get(run, PreviewedRun(batch_id=run, skipped="not_found")) for run in body.wanted]
    gigabytes = preview.bytes / 2**30
    return PreviewResult(
        **{**preview.model_dump(), "runs": runs, "n_skipped": sum(run.skipped is not None for run in runs)},
        storage_usd_min=gigabytes * known.rates.min_usd,
        storage_usd_max=gigabytes * known.rates.max_usd,
        phrase=body.phrase,
    )


@router.get("/deletions/{deletion_id}", response_model=DeletionAnswer)
async def get_deletion(
    deletion_id: DeletionId, caller: SignedIn, parts: AllParts, download: bool = False, after: After = None
) -> Response:
    """The receipt: for who asked for it, the run's owner, and who administrates the run."""
    question = GetDeletion(viewer=caller.viewer, authority=caller.authority, deletion_id=deletion_id, after=after)
    headers = {"Content-Disposition": f'attachment; filename="deletion-{deletion_id}.json"'} if download else None
    return Response(await parts.asker.ask(question), media_type="application/json", headers=headers)


@router.delete("/deletions/{deletion_id}", status_code=202)
async def cancel_deletion(deletion_id: DeletionId, caller: FullRights, parts: AllParts) -> DeletionResult:
    """It is called off. 409 where its grace time is over."""
    parts.rates.writes.check(caller.user, "changes")
    question = GetDeletion(viewer=caller.viewer, authority=caller.authority, deletion_id=deletion_id)
    deletion = (await parts.asker.ask_for(question, DeletionAnswer)).deletion
    run = OwnedRun(batch_id=deletion.batch_id, workspace=deletion.workspace, user=deletion.owner)
    await parts.people.did(caller, "cancel_deletion", deletion.batch_id, deletion_id=deletion_id)
    command = CancelOutputsDeletion(
        command_id=command_id(caller.user, None), requested_by=caller.user, requested_at=datetime.now(UTC),
        deletion_id=deletion_id, run=run,
    )  # fmt: skip
    decision = await parts.commander.command("deleter", "cancel", command)
    late = next((result for result in decision.results if result.skipped is not None), None)
    if late is not None:
        raise HttpProblem(409, late.detail or "this deletion cannot be cancelled any more", late.skipped)
    results = decision.results or [RunDecision(batch_id=deletion.batch_id, deletion_id=deletion_id)]
    return DeletionResult(
        command_id=decision.command_id, outcome=decision.outcome, n_taken=1, n_skipped=0, results=results,
        position=decision.position,
    )  # fmt: skip


@router.post("/measurements", status_code=202)
async def measure_outputs(body: RunsNamed, caller: FullRights, parts: AllParts) -> DeletionResult:
    """The outputs of these runs are listed again; their sizes follow. 404 as for deleting."""
    parts.rates.writes.check(caller.user, "changes")
    known = await _known(parts, caller, body)
    mine = [run for run in known.items if _may_delete(caller, run, body.as_user)]
    if not mine:
        raise not_found(_NOBODYS)
    command = MeasureOutputs(
        command_id=command_id(caller.user, None), requested_by=caller.user, requested_at=datetime.now(UTC), runs=_owned(mine)
    )  # fmt: skip
    return _result(body, mine, await parts.commander.command("deleter", "measure", command))


async def _known(parts: Parts, caller: Caller, body: RunsNamed) -> OutputsAnswer:
    return await parts.asker.ask_for(GetOutputs(viewer=caller.viewer, batch_ids=body.wanted), OutputsAnswer)


def _may_delete(caller: Caller, run: Outputs, as_user: str | None) -> bool:
    """The owner, and who administrates the run. `as_user`: only his runs are meant, whatever else is named."""
    if as_user is not None and run.user != as_user:
        return False
    return run.user == caller.user or caller.authority.covers(run.workspace, run.cluster)


def _owned(runs: Sequence[Outputs]) -> list[OwnedRun]:
    return [OwnedRun(batch_id=run.batch_id, workspace=run.workspace, user=run.user) for run in runs]


def _result(body: RunsNamed, mine: Sequence[Outputs], decision: Decision) -> DeletionResult:
    """In the order of the request. While the decision is not known, what was handed on counts as taken; what a decision does not
    name does not, as where the client's `command_id` was another request's."""
    queued = decision.outcome == "queued"
    begins = queued and isinstance(body, DeletionRequest)
    undecided = (
        None if queued else decision.reason or "nothing was decided about it: another request had this `command_id`"
    )
    taken = {
        run.batch_id: RunDecision(
            batch_id=run.batch_id, deletion_id=deletion_id_of(decision.command_id, run.batch_id) if begins else None,
            skipped=None if queued else "unavailable", detail=undecided,
        )
        for run in mine
    }  # fmt: skip
    taken.update({result.batch_id: result for result in decision.results})
    results = [taken.get(run, RunDecision(batch_id=run, skipped="not_found")) for run in body.wanted]
    n_skipped = sum(result.skipped is not None for result in results)
    return DeletionResult(
        command_id=decision.command_id, outcome=decision.outcome, n_taken=len(results) - n_skipped, n_skipped=n_skipped,
        results=results, position=decision.position,
    )  # fmt: skip


async def _audit(parts: Parts, caller: Caller, action: str, body: RunsNamed, mine: Sequence[str]) -> None:
    """Before anything happens, with all that were named: those that are not the caller's are an attempt."""
    others = sorted(set(body.wanted) - set(mine))
    if mine:
        await parts.people.did(caller, action, f"{len(mine)} runs", runs=list(mine), as_user=body.as_user)
    if others:
        await parts.people.refused(caller, action, f"{len(others)} runs", runs=others, as_user=body.as_user)
