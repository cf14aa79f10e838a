"""What runs cost, and what machines do."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from argus_contracts.quantities import PRICES
from argus_contracts.queries.costs import GetCost, ListPrices, PriceList, RunCosts
from argus_contracts.registry import parse_event
from argus_contracts.subjects import decision_subject
from argus_gateway.auth import FullRights, SignedIn
from argus_gateway.bodies import NewPrice, TakenPrice
from argus_gateway.identity.caller import Caller
from argus_gateway.parts import AllParts, Parts
from argus_gateway.problems import HttpProblem, not_found
from argus_gateway.publish import Outgoing
from argus_gateway.routes.answers import PROBLEMS, After, Asks
from argus_gateway.routes.runs import Batch, Cursor, Words

router = APIRouter(prefix="/api", tags=["costs"], responses=PROBLEMS)


@router.get("/batches/{batch_id}/cost", response_model=RunCosts)
async def get_cost(
    *, batch_id: Batch, caller: SignedIn, ask: Asks, as_of: AwareDatetime | None = None, after: After = None
) -> Response:
    """What the run cost, attempt by attempt, and what was reported when. `as_of`: by what Argus had heard at that moment."""
    return await ask(GetCost(viewer=caller.viewer, after=after, batch_id=batch_id, as_of=as_of))


@router.get("/prices", response_model=PriceList)
async def list_prices(
    *,
    caller: SignedIn,
    ask: Asks,
    workspace: Words = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 200,
    cursor: Cursor = None,
    after: After = None,
) -> Response:
    """What machines cost an hour, in the workspaces that the caller sees; with those prices that were restated since."""
    question = ListPrices(
        viewer=caller.viewer, after=after, workspace=workspace or None, limit=limit, cursor=cursor or None
    )
    return await ask(question)


@router.post("/prices", status_code=202)
async def record_price(body: NewPrice, caller: FullRights, parts: AllParts) -> TakenPrice:
    """A machine costs so much from a moment on; the same moment again restates it. For administrators of the workspace.

    202: it is durable, and stands in `GET /api/prices` once it is projected; what it touches is worked out anew with it.
    """
    parts.rates.writes.check(caller.user, "changes")
    await _must_administrate(caller, parts, body)
    event = {
        "event_id": str(uuid.uuid4()), "kind": "price_recorded", "version": 1, "batch_id": PRICES, "job_id": None,
        "occurred_at": _text(datetime.now(UTC)),
        "data": {**body.model_dump(), "effective_from": _text(body.effective_from), "recorded_by": caller.user},
    }  # fmt: skip
    parse_event(event)
    message = orjson.dumps({"v": 2, "class": "lifecycle", "events": [event]})
    async with parts.people.told(caller, "record_price", body.workspace, **event["data"]):
        await parts.publisher.publish([Outgoing(decision_subject("gateway", PRICES), message, 1)])
    return TakenPrice(event_id=event["event_id"])


async def _must_administrate(caller: Caller, parts: Parts, body: NewPrice) -> None:
    if not caller.administrates(body.workspace):
        await parts.people.refused(caller, "record_price", body.workspace)
        if body.workspace in caller.memberships:
            raise HttpProblem(403, "this is for administrators of the workspace")
        raise not_found("there is no such workspace")
    if not await parts.people.workspaces(caller, body.workspace):
        raise not_found("there is no such workspace")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
