"""What the routes share: answers of query as they are, and the problems that OpenAPI lists."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator
from starlette.responses import Response

from argus_contracts.quantities import MAX_INT
from argus_contracts.queries.common import ZSTD, Question
from argus_gateway.parts import AllParts
from argus_gateway.problems import MEDIA_TYPE, ProblemDetails

_REFUSED = re.compile(r"q\s*=\s*0(\.0*)?")


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": ProblemDetails, **_problem("Not signed in")},
    422: _problem("The request has a wrong shape; `errors` lists the fields"),
    "default": _problem("Any other problem"),
}

After = Annotated[
    int | None,
    Query(ge=0, le=MAX_INT, description="Wait up to 2 s until this log position is projected (read your own writes)"),
]


def _split(values: Any) -> Any:
    """`a,b` in one parameter means two values; repeated parameters are taken as they are."""
    if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str):
        return [part for part in values[0].split(",") if part]
    return [value for value in values if value != ""] if isinstance(values, list) else values


Split = BeforeValidator(_split)


Ask = Callable[[Question], Awaitable[Response]]


async def _ask(request: Request, parts: AllParts) -> Ask:
    """Asks query, and answers with its very bytes: packed by it where the client takes zstd."""
    zstd = takes_zstd(request.headers.get("accept-encoding", ""))

    async def ask(question: Question) -> Response:
        if not zstd:
            return Response(await parts.asker.ask(question), media_type="application/json")
        answer, packed = await parts.asker.ask_packed(question)
        headers = {"Content-Encoding": ZSTD, "Vary": "Accept-Encoding"} if packed else None
        return Response(answer, media_type="application/json", headers=headers)

    return ask


Asks = Annotated[Ask, Depends(_ask)]


def takes_zstd(accept_encoding: str) -> bool:
    """Whether the value of that header names zstd, and does not refuse it (`q=0`)."""
    for part in accept_encoding.lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() == ZSTD:
            return not _REFUSED.fullmatch(quality.strip())
    return False
