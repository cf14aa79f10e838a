"""What the routes share: answers of query as they are, and the problems that OpenAPI lists."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BeforeValidator
from starlette.responses import Response

from argus_contracts.quantities import MAX_INT
from argus_gateway.problems import MEDIA_TYPE, ProblemDetails


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


def json_bytes(answer: bytes) -> Response:
    return Response(answer, media_type="application/json")
