"""The body of a post of events, read with its limits and decoded with care."""

from __future__ import annotations

import json
from typing import Any

import orjson
from fastapi import Request

from argus_gateway.identity.caller import Caller
from argus_gateway.problems import HttpProblem


async def read_events(request: Request, caller: Caller) -> tuple[Any, bytes]:
    """The decoded body, and its bytes. NaN and Infinity tokens come as floats (only the older form may say them), lone
    surrogates as they are, and what is no UTF-8 within a text as lone surrogates, too."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if caller.key_id is None and content_type != "application/json":
        raise HttpProblem(415, "a browser posts events as application/json only")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpProblem(415, "a compressed body is not taken")
    body = await request.body()
    try:
        return orjson.loads(body), body
    except orjson.JSONDecodeError:
        pass
    try:  # stock argus-reporter writes NaN as Python does
        return json.loads(body.decode("utf-8", "surrogateescape")), body  # from bytes it would take UTF-16, too
    except (ValueError, RecursionError):
        raise HttpProblem(422, "the body is not JSON", "malformed") from None
