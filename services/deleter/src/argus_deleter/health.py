"""What operators ask the deleter over HTTP: alive, ready, measures. A small ASGI application of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from argus_contracts.subjects import COMMANDS_STREAM
from argus_deleter.decisions import Decisions
from argus_deleter.errors import DeleterError, Unavailable
from argus_deleter.measures import Measures
from argus_deleter.object_store import ObjectStore
from argus_deleter.pace import Pace
from argus_deleter.roots import Roots
from argus_deleter.stream import DURABLE

STORE_EVERY_S = 30.0
"""A reachable bucket is believed to be reachable for so long; one that is not is tried at each question."""
logger = logging.getLogger(__name__)
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Health:
    def __init__(self, decisions: Decisions, store: ObjectStore, pace: Pace, roots: Roots, measures: Measures) -> None:
        self._decisions, self._store, self._pace, self._roots, self._measures = decisions, store, pace, roots, measures
        self.client: Client | None = None
        self.jetstream: JetStreamContext | None = None
        self.is_prepared = False
        self._reached: dict[str, float] = {}

    async def problems(self) -> list[str]:
        """Why the deleter cannot do its work now, in sentences; empty when it can."""
        problems: list[str] = []
        try:
            await asyncio.to_thread(self._decisions.rows, "now")
            if not self.is_prepared:
                problems.append("the tables are not ready yet")
        except Unavailable as error:
            problems.append(str(error))
        problems += await self._problems_of_nats()
        for bucket in self._roots.buckets:
            if time.monotonic() - self._reached.get(bucket, float("-inf")) < STORE_EVERY_S:
                continue
            try:
                await asyncio.wait_for(asyncio.to_thread(self._store.reach, bucket), 5)
                self._reached[bucket] = time.monotonic()
            except (DeleterError, TimeoutError) as error:
                problems.append(f"the bucket {bucket} cannot be listed: {error or 'no answer within 5 s'}")
        return problems

    async def _problems_of_nats(self) -> list[str]:
        if self.client is None or self.jetstream is None or not self.client.is_connected:
            return ["not connected to NATS"]
        try:
            await asyncio.wait_for(self.jetstream.consumer_info(COMMANDS_STREAM, DURABLE), 2)
        except (TimeoutError, NatsError, JetStreamError) as error:
            return [f"the durable {DURABLE} does not answer: {error or type(error).__name__}"]
        return []

    async def application(self, scope: dict[str, Any], _: Any, send: Send) -> None:
        """GET /healthz, /readyz, /metrics."""
        if scope["type"] != "http":
            return
        match scope["path"]:
            case "/healthz":
                await _respond(send, 200, b'{"alive":true}')
            case "/readyz":
                problems = await self.problems()
                body = orjson.dumps({"ready": not problems, "problems": problems})
                await _respond(send, 503 if problems else 200, body)
            case "/metrics":
                await self._measure()
                await _respond(send, 200, generate_latest(self._measures.registry), CONTENT_TYPE_LATEST)
            case _:
                await _respond(send, 404, b'{"problems":["there is nothing here"]}')

    async def _measure(self) -> None:
        measures = self._measures
        try:
            states = dict(await asyncio.to_thread(self._decisions.rows, "deletions_by_state"))
            (lag,) = (await asyncio.to_thread(self._decisions.rows, "outbox_lag"))[0]
        except Unavailable:
            states, lag = None, None  # `problems` says so; the last figures stay
        if states is not None and lag is not None:
            for state in ("requested", "planned", "running", "deleted", "partial", "failed", "cancelled"):
                measures.deletions.labels(state).set(states.get(state, 0))
            measures.outbox_lag.set(lag)
        for operation, n in list(self._store.calls.items()):
            measures.calls.labels(operation).set(n)
            measures.call_seconds.labels(operation).set(self._store.seconds.get(operation, 0.0))
        measures.at_once.set(self._pace.at_once)


async def _respond(send: Send, status: int, body: bytes, content_type: str = "application/json") -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
