"""Posting events over HTTP, in the present form and in that of `argus-reporter` 0.1.3."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request

from argus_contracts.envelope import Stored
from argus_gateway.auth import SignedIn
from argus_gateway.bodies import BatchAnswer, EventAnswer
from argus_gateway.parts import AllParts
from argus_gateway.posted import Door
from argus_gateway.request_body import read_events
from argus_gateway.routes.answers import PROBLEMS
from argus_gateway.workspace_choice import workspace_for

router = APIRouter(prefix="/api", tags=["events"], responses=PROBLEMS)

_ONE = {
    "type": "object",
    "description": "An event of the present form (`kind`, …) or of schema_version 1.1 (`event_type`, …)",
}
_MANY = {
    "description": 'A list of events, `{"events": […]}`, or an EventMessage (`v`, `producer_id`, `class`, `first_seq`, `events`)',
    "oneOf": [
        {"type": "array", "items": _ONE, "maxItems": 500},
        {
            "type": "object",
            "properties": {"events": {"type": "array", "items": _ONE, "maxItems": 500}},
            "required": ["events"],
        },
    ],
}


def _takes(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


Workspace = Annotated[str | None, Query(max_length=64, description="For people who are in several workspaces")]
WorkspaceHeader = Annotated[str | None, Header(alias="X-Argus-Workspace", max_length=64)]


@router.post("/events", openapi_extra=_takes(_ONE))
async def post_event(
    request: Request, caller: SignedIn, parts: AllParts, workspace: Workspace = None, header: WorkspaceHeader = None
) -> EventAnswer:
    """One event. 200: it is durable (a repeat, too). A refused one is a problem: 415 for another `schema_version`."""
    raw, _ = await read_events(request, caller)
    door = Door(workspace_for(caller, workspace or header), caller.user)
    accepted = door.take_one(raw)
    await parts.publisher.publish(accepted.messages)
    parts.metrics.events.labels(accepted.form, "accepted").inc()
    return EventAnswer(event_id=accepted.results[0].event_id or "")


@router.post("/events/batch", openapi_extra=_takes(_MANY))
async def post_events(
    *,
    request: Request,
    caller: SignedIn,
    parts: AllParts,
    workspace: Workspace = None,
    header: WorkspaceHeader = None,
    wait_stored_ms: Annotated[
        int, Query(ge=0, le=2000, description="Wait so long for `stored` to cover the message")
    ] = 0,
) -> BatchAnswer:
    """Up to 500 events, each with its own result. 200: all that are `accepted` are durable."""
    raw, body = await read_events(request, caller)
    chosen = workspace_for(caller, workspace or header)
    taken = Door(chosen, caller.user, is_reporter=_is_reporter(request)).take_many(raw, body)
    await parts.publisher.publish(taken.messages)
    n_accepted = sum(result.status == "accepted" for result in taken.results)
    parts.metrics.events.labels(taken.form, "accepted").inc(n_accepted)
    parts.metrics.events.labels(taken.form, "rejected").inc(len(taken.results) - n_accepted)
    stored: Stored | None = None
    if taken.producer is not None:
        producer = (chosen, caller.user, *taken.producer)
        if wait_stored_ms and taken.last_seq is not None:
            stored = await parts.watermarks.wait_for(producer, taken.last_seq, wait_stored_ms / 1000)
        else:
            stored = parts.watermarks.one(producer)
    return BatchAnswer(
        accepted=n_accepted, rejected=len(taken.results) - n_accepted, results=taken.results, stored=stored
    )


@router.get("/producers/{producer_id}/stored")
async def get_stored(
    producer_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_\-]{1,64}$")],
    caller: SignedIn,
    parts: AllParts,
    workspace: Workspace = None,
    header: WorkspaceHeader = None,
) -> list[Stored]:
    """What ingest has committed of this producer of the caller's, per retention class, as far as this gateway has heard.

    Empty after a restart of the gateway: send what is unsure again, and the answer comes.
    """
    return parts.watermarks.of(workspace_for(caller, workspace or header), caller.user, producer_id)


def _is_reporter(request: Request) -> bool:
    return request.headers.get("user-agent", "").startswith("argus-reporter/")
