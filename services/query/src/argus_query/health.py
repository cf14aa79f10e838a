"""What operators ask over HTTP: /healthz (alive), /readyz (can answer, is near the log), /metrics (Prometheus)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import psycopg
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from psycopg_pool import PoolTimeout, TooManyRequests

from argus_contracts.queries.live import Positions
from argus_query.answers import Answers

Send = Callable[[dict[str, Any]], Awaitable[None]]
_TROUBLE = (psycopg.Error, PoolTimeout, TooManyRequests, OSError)


class Health:
    """Measures, and the ASGI application that shows them."""

    def __init__(self, answers: Answers, is_connected: Callable[[], bool]) -> None:
        self._answers = answers
        self._is_connected = is_connected
        registry = self.registry = CollectorRegistry()
        self.answer_seconds = Histogram(
            "argus_query_answer_seconds", "Time of an answer", ["question"], registry=registry,
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )  # fmt: skip
        self.problems = Counter("argus_query_problems_total", "Questions not answered", ["question"], registry=registry)
        self._lag_events = Gauge("argus_projection_lag_events", "Events not projected yet", registry=registry)
        self._lag_seconds = Gauge(
            "argus_projection_lag_seconds", "Age of the oldest event not projected yet", registry=registry
        )
        self._position = Gauge("argus_projection_position", "Log position that is projected", registry=registry)
        self._failures = Gauge(
            "argus_projection_failures", "Events that a read model could not take", ["slice"], registry=registry
        )

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/healthz":
            await _reply(send, 200, orjson.dumps({"alive": True}))
        elif path == "/readyz":
            status, detail = await self._ready()
            await _reply(send, status, orjson.dumps(detail))
        elif path == "/metrics":
            await self._measure()
            await _reply(send, 200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
        else:
            await _reply(send, 404, b"{}")

    async def _ready(self) -> tuple[int, dict[str, Any]]:
        problems: list[str] = []
        detail: dict[str, Any] = {}
        if not self._is_connected():
            problems.append("not connected to NATS")
        try:
            positions = await self._answers.positions()
            failures = await self._answers.failures()
            detail = {**positions.model_dump(), "failures": failures}
        except _TROUBLE as error:
            problems.append(f"the database cannot answer: {' '.join(str(error).split())[:200]}")
        return 503 if problems else 200, {"ready": not problems, "problems": problems, **detail}

    async def _measure(self) -> None:
        try:
            positions: Positions = await self._answers.positions()
            failures = await self._answers.failures()
        except _TROUBLE:
            return  # /readyz says so; the last figures stay
        self._lag_events.set(positions.lag_events)
        self._lag_seconds.set(positions.lag_seconds)
        self._position.set(positions.projected)
        self._failures.clear()
        for name, count in failures.items():
            self._failures.labels(name).set(count)


async def _reply(send: Send, status: int, body: bytes, content_type: str = "application/json") -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
