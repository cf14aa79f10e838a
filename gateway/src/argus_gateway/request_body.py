"""The body of a post of events, read with its limits and decoded with care."""

from __future__ import annotations

import json
from typing import Any

import orjson
from fastapi import Request

from argus_contracts.errors import Malformed
from argus_gateway.identity.caller import Caller
from argus_gateway.problems import HttpProblem

NDJSON = "application/x-ndjson"


async def read_events(request: Request, caller: Caller) -> tuple[Any, bytes]:
    """The decoded body, and its bytes."""
    body = await _read(request, caller, "application/json")
    return decoded(body), body


async def read_bundle(request: Request, caller: Caller) -> bytes:
    """The body as it came."""
    return await _read(request, caller, NDJSON)


def decoded(text: bytes) -> Any:
    """NaN and Infinity tokens come as floats (only the older form may say them), lone surrogates as they are, and what is no
    UTF-8 within a text as lone surrogates, too. `Malformed` where it is not JSON."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:  # stock argus-reporter writes NaN as Python does
        return json.loads(text.decode("utf-8", "surrogateescape"))  # from bytes it would take UTF-16, too
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None


async def _read(request: Request, caller: Caller, browsers_post: str) -> bytes:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if caller.key_id is None and content_type != browsers_post:
        raise HttpProblem(415, f"a browser posts this as {browsers_post} only")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpProblem(415, "a compressed body is not taken")
    return await request.body()
