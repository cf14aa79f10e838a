"""Requests that are no HTTP, or whose address or headers are too long: one clear problem, which their sender can read.

And connections on which no request comes: they end.
"""

from __future__ import annotations

import asyncio
import secrets
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from argus_gateway.middleware import MAX_ADDRESS_BYTES, MAX_HEAD_BYTES
from argus_gateway.problems import problem_response

HEAD_WITHIN_S = 30.0
"""So long may a request take until its head is whole. uvicorn limits only the silence between two requests."""
_LINGER_S = 2.0
_LINGER_BYTES = 4 * 1024 * 1024


def http_protocol(headers: list[tuple[str, str]], head_within_s: float = HEAD_WITHIN_S) -> type[H11Protocol]:
    """uvicorn's protocol, with our answers to what h11 refuses. headers: stand on every answer."""

    class Protocol(H11Protocol):
        _left_to_ignore: int | None = None
        _waits_for_head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._limit_wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_wait()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._left_to_ignore is None:
                super().data_received(data)
                self._limit_wait()
                return
            self._left_to_ignore -= len(data)
            if self._left_to_ignore < 0:
                self.transport.abort()

        def _limit_wait(self) -> None:
            """Single bytes now and then do not lengthen it; while a request is answered, its own limits hold."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._end_wait()
            elif self._waits_for_head is None:
                self._waits_for_head = self.loop.call_later(head_within_s, self.transport.close)

        def _end_wait(self) -> None:
            if self._waits_for_head is not None:
                self._waits_for_head.cancel()
                self._waits_for_head = None

        def send_400_response(self, msg: str) -> None:
            """The answer is out. What still comes is thrown away for a moment: closing on unread bytes would reset the
            connection, and the answer would be lost with it."""
            if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
                self.transport.close()  # an answer is on its way; a second one would only garble it
                return
            self.transport.write(_answer(*_what_is_wrong(self.conn.trailing_data[0]), headers))
            self._left_to_ignore = _LINGER_BYTES
            self._unset_keepalive_if_required()
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.close)

    return Protocol


def _what_is_wrong(head: bytes) -> tuple[int, str, str]:
    """Status, detail and code for the bytes that h11 did not take."""
    if len(head) <= MAX_HEAD_BYTES:
        return 400, "this is not HTTP as this server reads it", "bad_request"
    if b"\n" not in head[:MAX_ADDRESS_BYTES]:
        return 414, f"the address exceeds {MAX_ADDRESS_BYTES} bytes", "address_too_long"
    return 431, f"the headers exceed {MAX_HEAD_BYTES} bytes", "headers_too_large"


def _answer(status: int, detail: str, code: str, headers: list[tuple[str, str]]) -> bytes:
    request_id = secrets.token_hex(8)
    response: Any = problem_response(request_id, status, detail, code)
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "connection: close", f"x-request-id: {request_id}"]
    lines += ["cache-control: no-store", *(f"{name.lower()}: {value}" for name, value in headers)]
    lines += [f"{name.decode()}: {value.decode()}" for name, value in response.raw_headers]
    return "\r\n".join([*lines, "", ""]).encode() + response.body
