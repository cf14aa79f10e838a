"""Wiring of ingest: stream -> receiver -> log, with health beside it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from faststream import AckPolicy
from faststream.asgi import AsgiFastStream
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from faststream.security import SASLPlaintext
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from prometheus_client import make_asgi_app
from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from argus_contracts.subjects import EVENTS_STREAM, EVENTS_SUBJECTS
from argus_ingest.database import make_pool
from argus_ingest.health import Health
from argus_ingest.measures import Measures
from argus_ingest.migrate import migrate
from argus_ingest.overtake import Overtaker
from argus_ingest.pull import calm_pull_loops
from argus_ingest.receive import Receiver
from argus_ingest.settings import Settings
from argus_ingest.stream import DURABLE, consumer_config, ensure_stream_and_consumer

INBOX_PREFIX = b"_INBOX_ingest"
logger = logging.getLogger(__name__)


async def run(settings: Settings) -> int:
    """Serves until a signal ends it (exit status 0) or it must be restarted (1)."""
    ended_badly = asyncio.Event()

    async def on_closed() -> None:
        # FastStream's pull loop spins for ever on a closed connection; a new process is the way back.
        logger.error("the connection to NATS is closed for good: this process ends, the supervisor starts it again")
        ended_badly.set()

    pool = make_pool(settings.database_url)
    measures = Measures()
    receiver = Receiver(pool, measures, lambda: server.should_exit, settings.ingest_ack_wait_seconds)
    health = Health(pool, receiver, measures, settings)
    overtaker = Overtaker(receiver, settings.ingest_fetch_messages * 4)
    broker = NatsBroker(
        settings.nats_url,
        security=_login(settings),
        inbox_prefix=INBOX_PREFIX,
        name="argus-ingest",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType] a pause in seconds, handed on to nats-py
        ping_interval=10,
        max_outstanding_pings=2,
        closed_cb=on_closed,
        logger=logger,
        log_level=logging.DEBUG,
    )

    async def raw(message: Any) -> Any:
        return message.body  # `accept` decodes, once, and knows what to do with bad bytes

    @broker.subscriber(
        EVENTS_SUBJECTS,
        stream=JStream(EVENTS_STREAM, declare=False),
        durable=DURABLE,
        config=consumer_config(settings),
        pull_sub=PullSub(batch_size=settings.ingest_fetch_messages, timeout=settings.ingest_fetch_seconds, batch=True),
        ack_policy=AckPolicy.MANUAL,
        decoder=raw,
        no_reply=True,
        inbox_prefix=INBOX_PREFIX + b".",
    )
    async def append_to_log(message: NatsMessage) -> None:
        raw_messages: Any = message.raw_message
        overtaker.n_behind = raw_messages[-1].metadata.num_pending
        await receiver.receive(raw_messages)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        await _make_tables(pool)
        await broker.connect()
        health.jetstream = broker.config.connection_state.stream
        calm_pull_loops(broker.config.connection_state.stream, settings.ingest_fetch_messages)
        await _make_stream(broker, settings)
        overtaking = asyncio.create_task(overtaker.run(broker.config.connection_state.stream))
        yield
        overtaking.cancel()
        await pool.close()

    application = AsgiFastStream(
        broker,
        lifespan=lifespan,
        asgi_routes=[*health.routes(), ("/metrics", make_asgi_app(measures.registry))],  # type: ignore[list-item]
        logger=logger,
    )
    server = uvicorn.Server(
        uvicorn.Config(
            application, host=settings.health_host, port=settings.health_port, log_level="warning", access_log=False
        )
    )
    serving = asyncio.create_task(server.serve())
    watching = asyncio.create_task(health.watch())
    closed = asyncio.create_task(ended_badly.wait())
    await asyncio.wait({serving, watching, closed}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        logger.error("%s: this process ends, the supervisor starts it again", watching.result())
    failed = not serving.done() or not server.started
    server.should_exit = True
    for task in (watching, closed):
        task.cancel()
    await asyncio.wait({serving}, timeout=10)
    return 1 if failed else 0


def _login(settings: Settings) -> SASLPlaintext | None:
    if settings.nats_user is None:
        return None
    return SASLPlaintext(settings.nats_user, settings.nats_password or "", use_ssl=settings.nats_url.startswith("tls"))


async def _make_tables(pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
    await pool.open()
    while True:
        try:
            async with pool.connection(timeout=5) as connection:
                await migrate(connection)
            return
        except (DatabaseError, PoolTimeout, OSError) as error:
            logger.warning("cannot prepare schema log, again in 1 s: %s", " ".join(str(error).split())[:300])
            await asyncio.sleep(1)


async def _make_stream(broker: NatsBroker, settings: Settings) -> None:
    while True:
        try:
            await ensure_stream_and_consumer(broker.config.connection_state.stream, settings)
            return
        except (TimeoutError, NatsError, JetStreamError) as error:
            logger.warning("cannot prepare the stream %s, again in 1 s: %r", EVENTS_STREAM, error)
            await asyncio.sleep(1)
