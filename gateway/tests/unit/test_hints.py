"""Which streams a hint of the projector wakes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import orjson
import pytest
from nats.aio.msg import Msg

from argus_contracts.subjects import LIVE_OF_MANY, live_subject
from argus_gateway.live import LiveView, Topics
from argus_gateway.metrics import Metrics


class Broker:
    """Has the one subscription of a gateway's live view."""

    async def subscribe(self, subject: str, callback: Any) -> None:
        self.callback = callback

    async def hint(self, subject: str, body: bytes) -> None:
        await self.callback(Msg(_client=None, subject=subject, data=body))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("subject", "body", "woken"),
    [
        (live_subject("a.b"), b"{}", {"batch:a.b", "dashboard"}),
        (LIVE_OF_MANY, orjson.dumps(["x", "a.b", "c"]), {"batch:a.b", "job:c/j", "dashboard"}),
        (LIVE_OF_MANY, b"no JSON", set()),
        (LIVE_OF_MANY, b"5", set()),
        ("argus.live.=zz", b"{}", set()),
    ],
)
async def test_a_hint_wakes_who_watches_its_runs(subject: str, body: bytes, woken: set[str]) -> None:
    broker = Broker()
    view = LiveView(broker, None, Metrics())  # pyright: ignore[reportArgumentType]
    await view.listen()
    with ExitStack() as streams:
        names = ["batch:a.b", "job:c/j", "log:d", "dashboard"]
        wakers = {name: streams.enter_context(view.slot("u", Topics.parse([name]))) for name in names}
        await broker.hint(subject, body)
        assert {name for name, waker in wakers.items() if waker.event.is_set()} == woken
