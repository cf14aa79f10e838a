"""Every error as RFC 9457 `application/problem+json` with a stable `code`."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from argus_contracts.errors import Refused, Unavailable

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2  # for everything that is away for a moment

_TITLES = {
    400: "Bad request", 401: "Not signed in", 403: "Not allowed", 404: "Not found", 405: "Method not allowed",
    409: "Conflict", 413: "Too large", 414: "Address too long", 415: "Unsupported", 421: "Wrong host",
    422: "Not acceptable", 429: "Too many requests", 431: "Headers too large", 500: "A fault of Argus", 503: "Away for a moment",
}  # fmt: skip
_CODES = {
    400: "bad_request", 401: "not_signed_in", 403: "not_allowed", 404: "not_found", 405: "method_not_allowed",
    409: "conflict", 413: "too_large", 415: "unsupported_media_type", 421: "wrong_host",
    422: "bad_request", 429: "too_many_requests", 500: "internal", 503: "unavailable",
}  # fmt: skip


class FieldError(BaseModel):
    field: str
    """Where: `body.username`, `query.limit`, …"""
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457. `code` is stable and for programs; `detail` is for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] = []


class HttpProblem(HTTPException):
    """Ends the request with this problem. Raised by routes and their dependencies; nothing else knows HTTP."""

    def __init__(
        self, status: int, detail: str, code: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.code = code or _CODES.get(status, "bad_request")


def not_found(what: str = "there is nothing here that you may see") -> HttpProblem:
    """ "Not yours" and "does not exist" are this one answer."""
    return HttpProblem(404, what)


def too_many(detail: str, retry_after_s: int) -> HttpProblem:
    return HttpProblem(429, detail, headers={"Retry-After": str(max(1, retry_after_s))})


def unavailable(detail: str) -> HttpProblem:
    return HttpProblem(503, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def problem_response(
    request_id: str,
    status: int,
    detail: str,
    code: str | None = None,
    *,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code or _CODES.get(status, "bad_request"),
        "request_id": request_id,
    }
    if errors:
        body["errors"] = [error.model_dump() for error in errors]
    extra = dict(headers or {})
    if status == 401:
        extra.setdefault("WWW-Authenticate", 'Bearer realm="argus"')
    # ensure_ascii: what a caller sent may hold lone surrogates, which UTF-8 cannot carry
    return Response(json.dumps(body, ensure_ascii=True), status, extra, MEDIA_TYPE)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("argus.request_id", ""))


def field_errors(errors: list[Any]) -> list[FieldError]:
    """Where and what, never the input: it may hold a password."""
    return [
        FieldError(
            field=".".join(str(part)[:100] for part in error.get("loc", ())) or "body",
            message=str(error.get("msg", ""))[:300],
        )
        for error in errors[:20]
    ]


def install(app: FastAPI) -> None:
    """Every exception that leaves a route becomes a problem; only what nobody foresaw is a 500."""

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        detail = str(error.detail) if isinstance(error, HttpProblem) else _plain_detail(error)
        code = error.code if isinstance(error, HttpProblem) else None
        if error.status_code == 400 and code is None:  # FastAPI: not UTF-8, or nested too deep
            return problem_response(request_id_of(request), 422, "the body is not JSON that can be read")
        return problem_response(request_id_of(request), error.status_code, detail, code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _unprocessable(request, list(error.errors()))

    @app.exception_handler(ValidationError)
    async def _invalid_question(request: Request, error: ValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return _unprocessable(request, error.errors(include_input=False, include_context=False, include_url=False))

    @app.exception_handler(Refused)
    async def _refused(request: Request, error: Refused) -> Response:  # pyright: ignore[reportUnusedFunction]
        return problem_response(request_id_of(request), refusal_status(error.code), error.reason, error.code)

    @app.exception_handler(Unavailable)
    async def _away(request: Request, error: Unavailable) -> Response:  # pyright: ignore[reportUnusedFunction]
        logger.warning("unavailable: %s (request %s)", error, request_id_of(request))
        return problem_response(request_id_of(request), 503, str(error), headers={"Retry-After": str(RETRY_AFTER_S)})


def refusal_status(code: str) -> int:
    """The status of a refused event that was posted alone."""
    return {"wrong_schema_version": 415, "too_large": 413, "not_yours_to_say": 403, "not_the_owner": 404}.get(code, 422)


def _unprocessable(request: Request, errors: list[Any]) -> Response:
    found = field_errors(errors)
    detail = "; ".join(f"{error.field}: {error.message}" for error in found[:3]) or "the request has a wrong shape"
    return problem_response(request_id_of(request), 422, detail, errors=found)


def _plain_detail(error: HTTPException) -> str:
    return {
        404: "there is no such address",
        405: "this address does not take this method",
    }.get(error.status_code, str(error.detail))
