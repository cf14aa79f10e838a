"""The gateway's connection to NATS: it reconnects for ever, and a connection that has closed for good ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from argus_contracts.errors import Unavailable
from argus_contracts.subjects import ASK_BROKER_SETTINGS, ASK_BROKER_SETTINGS_BODY, syncs_always
from argus_gateway.settings import Settings

_SAY_AGAIN_S = 60.0
logger = logging.getLogger(__name__)


class NatsConnection:
    def __init__(self, settings: Settings, on_closed: Callable[[], None]) -> None:
        self._settings, self._on_closed = settings, on_closed
        self._client: Client | None = None
        self._closing = False
        self._said, self._said_at = "", 0.0

    async def open(self, within_s: float = 60.0) -> None:
        """Connected. `Unavailable` after `within_s`: then nobody has the right words for us, or nobody is there."""
        try:
            self._client = await asyncio.wait_for(
                nats.connect(
                    self._settings.nats_url,
                    user=self._settings.nats_user,
                    password=self._settings.nats_password.get_secret_value(),
                    name="argus-gateway",
                    inbox_prefix=f"_INBOX_{self._settings.nats_user}".encode(),
                    allow_reconnect=True,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,
                    connect_timeout=3,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    pending_size=16 * 1024 * 1024,
                    error_cb=self._error,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=self._closed,
                ),
                within_s,
            )
        except (TimeoutError, OSError, nats.errors.Error) as error:
            raise Unavailable(f"NATS does not answer at {self._settings.nats_url}: {error or 'no answer'}") from None

    @property
    def client(self) -> Client:
        """`Unavailable` while the connection is down: nothing is queued in memory for later."""
        if self._client is None or not self._client.is_connected:
            raise Unavailable("NATS is away for a moment")
        return self._client

    @property
    def is_connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def subscribe(self, subject: str, react: Callable[[Msg], Awaitable[None]], queue: str = "") -> Subscription:
        """`react` gets every message from now on; the subscription survives reconnects. Not more than 64 MiB wait for it."""
        client = self.client
        subscription = await client.subscribe(subject, queue=queue, cb=react, pending_bytes_limit=64 * 1024 * 1024)
        with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):  # cut: reconnecting says it anew
            await client.flush()  # nats-py writes this ping past the commands that it still holds
            await client.flush()
        return subscription

    async def round_trip(self) -> None:
        """The server has answered a ping, and does not say that it acknowledges what is not on its disk."""
        try:
            await self.client.flush(2)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(f"NATS does not answer ({type(error).__name__})") from None
        try:
            said = (await self.client.request(ASK_BROKER_SETTINGS, ASK_BROKER_SETTINGS_BODY, timeout=2)).data
        except (nats.errors.Error, TimeoutError, OSError):
            return  # a server of somebody's own that does not tell us
        if not syncs_always(said):
            raise Unavailable("NATS acknowledges before events are on its disk: set jetstream.sync_interval to always")

    async def close(self) -> None:
        self._closing = True
        if self._client and not self._client.is_closed:
            await self._client.close()

    async def _error(self, error: Exception) -> None:
        """While it is away, every try to reconnect fails with the same words: they are said once in a while."""
        words, now = str(error) or type(error).__name__, time.monotonic()
        if words != self._said or now - self._said_at > _SAY_AGAIN_S:
            self._said, self._said_at = words, now
            logger.warning("NATS: %s", words)

    async def _disconnected(self) -> None:
        if not self._closing:
            logger.warning("NATS is away; reconnecting")

    async def _reconnected(self) -> None:
        logger.info("NATS is back")

    async def _closed(self) -> None:
        if not self._closing:
            logger.error(
                "the NATS connection has closed for good; ending, so that the supervisor starts a fresh process"
            )
            self._on_closed()
