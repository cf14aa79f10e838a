"""Posting events over HTTP, in the present form and in that of `argus-reporter` 0.1.3."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request

from argus_contracts.envelope import Stored
from argus_contracts.errors import Refused
from argus_contracts.quantities import MAX_DOCUMENTS_PER_BUNDLE, ProducerId
from argus_gateway.auth import SignedIn
from argus_gateway.bodies import BatchAnswer, BundleAnswer, DocumentAnswer, EventAnswer
from argus_gateway.parts import AllParts
from argus_gateway.posted import Door, Taken, in_words, joined
from argus_gateway.request_body import NDJSON, read_bundle, read_events
from argus_gateway.routes.answers import PROBLEMS, Split
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


_BUNDLE = {
    "type": "string",
    "description": f"EventMessages, each in a line of its own: at most {MAX_DOCUMENTS_PER_BUNDLE} and 256 KiB",
}


def _takes(schema: dict[str, Any], as_type: str = "application/json") -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {as_type: {"schema": schema}}}}


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


@router.post("/events/bundle", openapi_extra=_takes(_BUNDLE, NDJSON))
async def post_bundle(
    request: Request, caller: SignedIn, parts: AllParts, workspace: Workspace = None, header: WorkspaceHeader = None
) -> BundleAnswer:
    """Many EventMessages at once, of any runs, each dealt with as if it had been posted alone to `/api/events/batch`.

    200: all that are `accepted` are durable, and what is refused takes nothing else with it.
    """
    body = await read_bundle(request, caller)
    chosen = workspace_for(caller, workspace or header)
    taken = Door(chosen, caller.user).take_bundle(body)
    good = [one for one in taken if isinstance(one, Taken)]
    await parts.publisher.publish(joined([message for one in good for message in one.messages], chosen, caller.user))
    answers = [_document_answer(one) for one in taken]
    parts.metrics.events.labels("message", "accepted").inc(sum(answer.accepted for answer in answers))
    parts.metrics.events.labels("message", "rejected").inc(sum(answer.rejected for answer in answers))
    producers = dict.fromkeys(one.producer for one in good if one.producer is not None)
    marks = (parts.watermarks.one((chosen, caller.user, *producer)) for producer in producers)
    return BundleAnswer(documents=answers, stored=[mark for mark in marks if mark is not None])


def _document_answer(taken: Taken | Refused) -> DocumentAnswer:
    if isinstance(taken, Refused):
        return DocumentAnswer(refused=in_words(taken))
    rejected = [result for result in taken.results if result.status == "rejected"]
    return DocumentAnswer(accepted=len(taken.results) - len(rejected), rejected=len(rejected), results=rejected)


@router.get("/producers/stored")
async def get_stored_of_many(
    ids: Annotated[
        list[ProducerId],
        Split,
        Query(min_length=1, max_length=200, description="One after the other, with commas between them"),
    ],
    caller: SignedIn,
    parts: AllParts,
    workspace: Workspace = None,
    header: WorkspaceHeader = None,
) -> list[Stored]:
    """The same of many producers at once; who is unknown, or not the caller's, is left out."""
    chosen = workspace_for(caller, workspace or header)
    return [
        mark for producer_id in dict.fromkeys(ids) for mark in parts.watermarks.of(chosen, caller.user, producer_id)
    ]


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
