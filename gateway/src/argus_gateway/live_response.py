"""One live stream: a cursor in the log, and the frames that move it. No database connection, no buffer of its own."""

from __future__ import annotations

import asyncio
import logging
import random
import time

import orjson
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from argus_contracts.errors import Unavailable
from argus_contracts.queries.live import Replay
from argus_gateway.auth import bearer_token
from argus_gateway.identity.caller import Caller
from argus_gateway.live import Topics, Waker
from argus_gateway.parts import Parts
from argus_gateway.problems import HttpProblem, problem_response, request_id_of

logger = logging.getLogger(__name__)

_BETWEEN_REPLAYS_S = 0.05
_AGAIN_AFTER_S, _AGAIN_AT_LAST_S = 1.0, 8.0
"""A replay that could not be answered is asked for again."""
_STATUS_EVERY_S = 4.0
_PING_EVERY_S = 10.0
_SEND_WITHIN_S = 20.0
"""A reader who takes nothing for so long is gone or too slow: the stream ends, and a new one goes on from `Last-Event-ID`."""
_MAX_EVENTS = 500
_MIN_EVENTS = 50
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class ReaderTooSlow(Exception):
    """Nothing could be sent for 20 seconds."""


class LiveResponse(Response):
    """Takes its slot when it is called and gives it back when the call ends, so that no slot can leak."""

    def __init__(self, parts: Parts, caller: Caller, request: Request, topics: Topics, since: int | None) -> None:
        super().__init__(media_type="text/event-stream")
        self._parts, self._caller, self._topics = parts, caller, topics
        self._cursor = since
        self._limit = _MAX_EVENTS
        self._failures = 0
        self._is_over = False
        self._request_id = request_id_of(request)
        self._cookie = request.cookies.get(parts.settings.cookie_name)
        self._key = bearer_token(request.headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._parts.live.slot(self._caller.user, self._topics) as waker:
                await self._stream(waker, receive, send)
        except HttpProblem as refused:
            response = problem_response(
                self._request_id, refused.status_code, str(refused.detail), refused.code, headers=refused.headers
            )
            await response(scope, receive, send)

    async def _stream(self, waker: Waker, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        writer = asyncio.create_task(self._write(waker, send))
        leaver = asyncio.create_task(_until_left(receive))
        try:
            await asyncio.wait({writer, leaver}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # `asyncio.wait_for` of Python 3.11, which nats-py uses, can swallow a cancellation: the flag ends the writer then.
            self._is_over = True
            waker.event.set()
            for task in (writer, leaver):
                task.cancel()
            outcomes = await asyncio.gather(writer, leaver, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, ReaderTooSlow | OSError):
                logger.error("a live stream ended: %r (request %s)", outcome, self._request_id)
        if not leaver.done() or leaver.cancelled():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _write(self, waker: Waker, send: Send) -> None:
        live = self._parts.live
        await _send(send, b"retry: 1000\n\n")
        await live.refresh()
        if self._cursor is None and live.state.name != "unavailable":
            self._cursor = live.state.projected
        await self._send_status(send)
        started = time.monotonic()
        said_status, pinged, checked = started, started, started
        waker.event.set()
        while not (live.is_closing or self._is_over):
            now = time.monotonic()
            if waker.check_rights or now - checked >= self._parts.settings.rights_check_seconds:
                waker.check_rights, checked = False, now
                if not await self._may_still():
                    return
            if waker.event.is_set():
                waker.event.clear()
                await self._replay(waker, send)
                await asyncio.sleep(_BETWEEN_REPLAYS_S)
            now = time.monotonic()
            if now - said_status >= _STATUS_EVERY_S:
                said_status = now
                await self._send_status(send)
            if now - pinged >= _PING_EVERY_S:
                pinged = now
                await _send(send, b": ping\n\n")
            try:
                async with asyncio.timeout(min(1.0, max(0.05, said_status + _STATUS_EVERY_S - now))):
                    await waker.event.wait()
            except TimeoutError:
                pass

    async def _replay(self, waker: Waker, send: Send) -> None:
        """Everything of the topics behind the cursor has been sent; what could not be asked now is asked again."""
        if self._cursor is None:
            if self._parts.live.state.name == "unavailable":
                return  # the position watcher wakes us once it knows one
            self._cursor = self._parts.live.state.projected
        question = Replay(
            viewer=self._caller.viewer, topics=list(self._topics.names), since=self._cursor, limit=self._limit
        )
        try:
            answer = orjson.loads(await self._parts.asker.ask(question))
            if waker.check_rights:  # the question was asked with rights that have changed since: it is asked anew
                waker.event.set()
                return
        except Unavailable:
            self._parts.metrics.replays.labels("failed").inc()
            # Not the position watcher's work: it wakes nobody while nothing new is projected. And less at once, and ever
            # later: whoever could not answer in time has too much to do already.
            self._limit, self._failures = min(self._limit, max(_MIN_EVENTS, self._limit // 2)), self._failures + 1
            delay = min(_AGAIN_AFTER_S * 2 ** (self._failures - 1), _AGAIN_AT_LAST_S) * random.uniform(0.7, 1.3)  # noqa: S311
            asyncio.get_running_loop().call_later(delay, waker.event.set)
            return
        except HttpProblem as error:
            self._parts.metrics.replays.labels("failed").inc()
            await self._ask_for_less(waker, send, str(error.detail))
            return
        self._limit, self._failures = min(_MAX_EVENTS, self._limit * 2), 0
        self._parts.metrics.replays.labels("answered").inc()
        position: int = answer["position"]
        if answer["reset"]:
            await _send(send, _frame("reset", {"position": position}, position))
        elif answer["events"]:
            await _send(send, _frame("events", {"position": position, "events": answer["events"]}, position))
        self._cursor = position
        if answer["more"]:
            waker.event.set()

    async def _ask_for_less(self, waker: Waker, send: Send, why: str) -> None:
        """Large events make an answer that no message holds; where not even one fits, the page is fetched anew."""
        if self._limit > 1:
            self._limit //= 4
            self._limit = max(1, self._limit)
            waker.event.set()
            return
        logger.warning("a replay was refused: %s (request %s)", why, self._request_id)
        self._cursor, self._limit = self._parts.live.state.projected, _MAX_EVENTS
        await _send(send, _frame("reset", {"position": self._cursor}, self._cursor))

    async def _send_status(self, send: Send) -> None:
        state = self._parts.live.state
        said = {"position": state.projected, "lag_seconds": state.lag_seconds, "state": state.name}
        await _send(send, _frame("status", said, self._cursor))

    async def _may_still(self) -> bool:
        """False where the session or key has ended. Lost or won workspaces count from now on."""
        try:
            if self._key is not None:
                caller = await self._parts.keys.caller_of(self._key)
            else:
                caller = await self._parts.sessions.caller_of(self._cookie or "", is_use=False)
        except Unavailable:
            return True  # nobody can have been disabled: that needs the same database
        if caller is not None:
            self._caller = caller
        return caller is not None


async def _send(send: Send, frame: bytes) -> None:
    """The server has taken the frame; it takes nothing more while the reader's socket is full."""
    try:
        async with asyncio.timeout(_SEND_WITHIN_S):
            await send({"type": "http.response.body", "body": frame, "more_body": True})
    except TimeoutError:
        raise ReaderTooSlow from None


def _frame(event: str, data: object, cursor: int | None) -> bytes:
    """`orjson` writes no line breaks, so `data` is one line whatever people called their runs."""
    numbered = b"" if cursor is None else b"id: %d\n" % cursor
    return b"event: " + event.encode() + b"\n" + numbered + b"data: " + orjson.dumps(data) + b"\n\n"


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
