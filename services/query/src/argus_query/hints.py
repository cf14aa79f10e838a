"""Tells listeners which runs have just been projected. Only hints: who misses one asks again within a second."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import nats
import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError

from argus_contracts.subjects import LIVE_OF_MANY, live_subject
from argus_query.settings import Settings

MANY = 32
_MOST_IN_ONE = 1_000
_log = logging.getLogger(__name__)


class Hints:
    """Publishes on `argus.live.<batch token>`, or for many at once on `LIVE_OF_MANY`. Never fails, never waits for the broker."""

    def __init__(self) -> None:
        self._client: Client | None = None

    async def connect(self, settings: Settings) -> None:
        """Connects, and stays connected, in the background; a broker that is away is waited for."""
        while True:
            closed = asyncio.Event()
            try:
                self._client = await nats.connect(
                    settings.nats_url,
                    user=settings.nats_user,
                    password=settings.nats_password,
                    name="argus-query projector",
                    inbox_prefix=b"_INBOX_query",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    closed_cb=_setter(closed),
                    error_cb=_ignore,
                )
                await closed.wait()
            except (NatsError, OSError, TimeoutError) as error:
                _log.warning("no hints for now: %s", error)
            await asyncio.sleep(1)

    async def publish(self, last_positions: dict[str, int]) -> None:
        """These runs are projected up to these positions."""
        client = self._client
        if client is None or not client.is_connected:
            return
        with contextlib.suppress(NatsError, OSError):
            if len(last_positions) > MANY:  # a message each would cost as much as a third of the fold
                batch_ids = list(last_positions)
                for start in range(0, len(batch_ids), _MOST_IN_ONE):
                    await client.publish(LIVE_OF_MANY, orjson.dumps(batch_ids[start : start + _MOST_IN_ONE]))
                return
            for batch_id, position in last_positions.items():
                hint = orjson.dumps({"batch_id": batch_id, "position": position})
                await client.publish(live_subject(batch_id), hint)


def _setter(event: asyncio.Event):
    async def closed() -> None:
        event.set()

    return closed


async def _ignore(error: Exception) -> None:
    _log.debug("NATS: %s", error)
