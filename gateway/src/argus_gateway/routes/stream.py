"""The live view: one multiplexed stream of server-sent events per browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from argus_contracts.quantities import MAX_INT
from argus_gateway.auth import SignedIn
from argus_gateway.live import Topics
from argus_gateway.live_response import LiveResponse
from argus_gateway.parts import AllParts
from argus_gateway.problems import HttpProblem
from argus_gateway.routes.answers import PROBLEMS

router = APIRouter(prefix="/api", tags=["live"], responses=PROBLEMS)

_DESCRIPTION = """
`text/event-stream`. Frames:

- `event: events`, `data: {"position": P, "events": [LiveEvent, …]}`, `id: P`
- `event: reset`, `data: {"position": P}`, `id: P`: too much was missed; fetch the page anew and go on
- `event: status`, `data: {"position": P, "lag_seconds": S, "state": "live" | "behind" | "unavailable"}`, at least every 5 s
- a comment every 10 s

`Last-Event-ID` (header, sent by browsers when they reconnect, or `last_event_id`) replays what lies behind that log position.
To change the topics, connect again.
"""


@router.get(
    "/stream",
    description=_DESCRIPTION,
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def stream(
    *,
    request: Request,
    caller: SignedIn,
    parts: AllParts,
    topics: Annotated[
        list[str],
        Query(
            min_length=1,
            max_length=50,
            description="`dashboard`, `batch:<b>`, `log:<b>`, `job:<b>/<j>`; repeated, or with commas",
        ),
    ],
    last_event_id: Annotated[int | None, Query(ge=0, le=MAX_INT)] = None,
    resumed_from: Annotated[str | None, Header(alias="Last-Event-ID", max_length=32)] = None,
) -> Response:
    since = last_event_id
    if resumed_from:  # the newer of the two: a browser repeats the address as it was
        if not resumed_from.isascii() or not resumed_from.isdigit() or int(resumed_from) > MAX_INT:
            raise HttpProblem(422, "Last-Event-ID: not a log position")
        since = int(resumed_from)
    return LiveResponse(parts, caller, request, Topics.parse(topics), since)
