"""What holds for every request before any route sees it: id, host, limits, headers, counting, and no bare 500."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from argus_gateway.metrics import Metrics
from argus_gateway.problems import HttpProblem, problem_response, unavailable
from argus_gateway.settings import Settings

logger = logging.getLogger(__name__)

MAX_ADDRESS_BYTES = 16 * 1024
MAX_HEAD_BYTES = 32 * 1024
"""Of the address and all headers together. What arrives in pieces is refused by `http_protocol` before it is whole."""
MAX_BODY_BYTES = 64 * 1024
MAX_EVENTS_BODY_BYTES = 1024 * 1024
MAX_SPILL_BODY_BYTES = 16 * 1024 * 1024  # argus-reporter posts a whole spill file at once
BODY_WITHIN_S = 30.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{8,64}")
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._\-]+)(?::[0-9]{1,5})?")
_ANY_HOST = frozenset({"/healthz", "/readyz"})  # asked by supervisors under whatever address we have

_CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def security_headers(settings: Settings) -> list[tuple[str, str]]:
    headers = [
        ("Content-Security-Policy", _CSP),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ]
    if settings.is_https:
        headers.append(("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))
    return headers


class Doorway:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._headers = security_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Headers(scope=scope)
        said = request.get("x-request-id", "")
        request_id = said if _REQUEST_ID.fullmatch(said) else secrets.token_hex(8)
        scope["argus.request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["X-Request-Id"] = request_id
                for name, value in self._headers:
                    headers.setdefault(name, value)
                if is_api(scope["path"]):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            if problem := _too_long(scope) or _two_lengths(request) or self._wrong_host(scope, request):
                refusal = problem_response(
                    request_id, problem.status_code, str(problem.detail), problem.code, headers=problem.headers
                )
                await refusal(scope, receive, send_with_headers)
            else:
                await self._app(scope, _limited(scope, request, receive), send_with_headers)
        except ClientDisconnect:  # a training process was killed while it posted, or somebody closed a page
            logger.info("%s %s: the client went away (request %s)", scope["method"], _route(scope), request_id)
        except Exception:
            logger.exception("a fault of Argus in %s %s (request %s)", scope["method"], _route(scope), request_id)
            if status == 0:
                await problem_response(
                    request_id, 500, "this is our fault; the log has the details under this request id"
                )(scope, receive, send_with_headers)
        finally:
            self._count(scope, status, time.perf_counter() - started)
        return None

    def _wrong_host(self, scope: Scope, request: Headers) -> HttpProblem | None:
        if scope["path"] in _ANY_HOST or "*" in self._settings.allowed_hosts:
            return None
        hosts = request.getlist("host")
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return HttpProblem(400, "the Host header is missing or malformed")
        if match["name"].lower().rstrip(".") not in self._settings.hosts:
            return HttpProblem(
                421, "this Argus does not answer under that host name; ARGUS_ALLOWED_HOSTS lists further ones"
            )
        return None

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        method = scope["method"] if scope["method"] in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD") else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        if route != "/api/stream":
            self._metrics.seconds.labels(route).observe(seconds)


class KeepEncodedSlashes:
    """`%2F` inside a path segment stays part of the segment: `/` and `%` stay encoded in `scope["path"]`, all else is decoded.

    So a job called `a/b` has the address `…/jobs/a%2Fb`, and each segment is decoded exactly once more by its route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_api(scope["path"]) and (raw := scope.get("raw_path")):
            segments = (unquote_to_bytes(part) for part in raw.partition(b"?")[0].split(b"/"))
            path = b"/".join(part.replace(b"%", b"%25").replace(b"/", b"%2F") for part in segments)
            scope["path"] = path.decode("utf-8", "replace")  # in place: the router leaves its route in this very scope
        await self._app(scope, receive, send)


def is_api(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")


def _route(scope: Scope) -> str:
    """The route's template, never what somebody typed."""
    route = scope.get("route")
    return str(getattr(route, "path", "")) or ("other" if is_api(scope["path"]) else "ui")


def _too_long(scope: Scope) -> HttpProblem | None:
    address = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    if address > MAX_ADDRESS_BYTES:
        return HttpProblem(414, f"the address exceeds {MAX_ADDRESS_BYTES} bytes", "address_too_long")
    if address + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD_BYTES:
        return HttpProblem(431, f"the headers exceed {MAX_HEAD_BYTES} bytes", "headers_too_large")
    return None


def _two_lengths(request: Headers) -> HttpProblem | None:
    """A proxy that believes the other of the two sees other requests on this connection than we do (RFC 9112, 6.3)."""
    if "transfer-encoding" in request and "content-length" in request:
        detail = "Content-Length and Transfer-Encoding do not go together"
        return HttpProblem(400, detail, headers={"Connection": "close"})
    return None


def _limited(scope: Scope, request: Headers, receive: Receive) -> Receive:
    """Bodies over the limit are 413, bodies that do not come within 30 s are 503: senders drop what a 4xx refuses."""
    limit = MAX_BODY_BYTES
    if scope["path"] in ("/api/events", "/api/events/batch", "/api/events/bundle"):
        limit = MAX_EVENTS_BODY_BYTES
        if request.get("user-agent", "").startswith("argus-reporter/") and "authorization" in request:
            limit = MAX_SPILL_BODY_BYTES
    length = request.get("content-length", "0")
    too_large = HttpProblem(413, f"the body exceeds {limit} bytes")
    taken, done, deadline = 0, False, time.monotonic() + BODY_WITHIN_S

    async def receive_limited() -> Message:
        nonlocal taken, done
        if length.isascii() and length.isdigit() and int(length[:20]) > limit:
            raise too_large
        if done:
            return await receive()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                message = await receive()
        except TimeoutError:
            raise unavailable(f"the body did not come within {BODY_WITHIN_S:.0f} s") from None
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            done = not message.get("more_body", False)
            if taken > limit:
                raise too_large
        return message

    return receive_limited
