"""Wiring of the deleter: commands -> decisions -> work -> facts, with health beside them."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import nats
import uvicorn
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from argus_contracts.subjects import LIVE_SUBJECTS, ask_subject
from argus_deleter.ask import Query
from argus_deleter.decide import Decider
from argus_deleter.decisions import Decisions
from argus_deleter.deleting import Deleting
from argus_deleter.errors import Unavailable
from argus_deleter.health import Health
from argus_deleter.listing import Lister
from argus_deleter.measures import Measures
from argus_deleter.measuring import Measuring
from argus_deleter.object_store import ObjectStore
from argus_deleter.outbox import Outbox
from argus_deleter.pace import Pace
from argus_deleter.preview import Preview
from argus_deleter.receive import Receiver
from argus_deleter.settings import Settings
from argus_deleter.worker import BlockingQuery, Worker

INBOX_PREFIX = b"_INBOX_deleter"
QUEUE = "deleter"
logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn's own way ends the process by the signal, before anything else could be tidied up."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def end(self) -> None:
        self.should_exit = True


async def run(settings: Settings) -> int:
    """Serves until a signal ends it (exit status 0) or it must be restarted (1)."""
    measures, pace = Measures(), Pace(settings.s3_calls_at_once)
    store = ObjectStore(
        settings.s3_endpoint_url, pace, bucket_owner=settings.s3_bucket_owner, connections=settings.s3_calls_at_once,
        conditional=settings.s3_conditional_deletes,
    )  # fmt: skip
    decisions = Decisions(settings.database_url, connections=settings.s3_calls_at_once // 4 + 6)
    health = Health(decisions, store, pace, settings.roots, measures)
    server = _Server(
        uvicorn.Config(
            health.application, host=settings.health_host, port=settings.health_port, log_level="warning",
            access_log=False, lifespan="off",
            interface="asgi3",
        )
    )  # fmt: skip
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.end)
    serving = asyncio.create_task(server.serve())
    working = asyncio.create_task(_work(settings, decisions, store, health, measures))
    await asyncio.wait({serving, working}, return_when=asyncio.FIRST_COMPLETED)
    if working.done() and not working.cancelled() and (error := working.exception()) is not None:
        logger.error("this process ends, the supervisor starts it again", exc_info=error)
    failed = not serving.done() or not server.started
    store.stopping.set()
    server.should_exit = True
    working.cancel()
    await asyncio.wait({serving, working}, timeout=18)
    decisions.close()
    return 1 if failed else 0


async def _work(
    settings: Settings, decisions: Decisions, store: ObjectStore, health: Health, measures: Measures
) -> None:
    """Returns when the process must be restarted."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()
    client = await _connect(settings, closed)
    jetstream = client.jetstream()
    health.client, health.jetstream = client, jetstream
    await _prepare(decisions)
    health.is_prepared = True

    at_once, roots = settings.s3_calls_at_once, settings.roots
    crew = ThreadPoolExecutor(at_once, "store")
    lister = Lister(store, crew, at_once)
    query = Query(client)
    neighbours = BlockingQuery(query, loop)
    quiet_s, grace_s = settings.deletion_quiet_s, settings.deletion_grace_s
    deleting = Deleting(decisions, lister, neighbours, roots=roots, quiet_s=quiet_s, measures=measures)
    worker = Worker(decisions, deleting, measures, settings.deletions_at_once)
    decider = Decider(decisions, query, roots, grace_s)
    measuring = Measuring(decisions, lister, query, roots=roots, measures=measures, every_s=settings.measure_every_s)
    outbox = Outbox(decisions, jetstream)
    preview = Preview(decisions, decider, lister, grace_s=grace_s, within_s=settings.preview_s)
    receiver = Receiver(jetstream, decider, decisions, measures, settings)

    def decided() -> None:
        for one in (outbox, worker, measuring):
            loop.call_soon_threadsafe(one.wake)

    decisions.on_saved = decided

    async def hinted(_: Msg) -> None:
        measuring.hint()

    await client.subscribe(LIVE_SUBJECTS, cb=hinted)
    await client.subscribe(ask_subject("preview_deletion"), QUEUE, cb=preview.receive)
    runs = [outbox.run(), worker.run(receiver.caught_up()), measuring.run(), receiver.run()]
    tasks = [asyncio.create_task(run) for run in runs]
    closing = asyncio.create_task(closed.wait())
    try:
        done, _ = await asyncio.wait({*tasks, closing}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {closing}:
            task.result()
    finally:
        store.stopping.set()
        for task in (*tasks, closing):
            task.cancel()
        await worker.stop()
        crew.shutdown(wait=False, cancel_futures=True)
        closed.set()
        if not client.is_closed:
            await client.close()


async def _connect(settings: Settings, closed: asyncio.Event) -> Client:
    """Tried for as long as it takes; afterwards the client itself reconnects for ever."""

    async def on_closed() -> None:
        if not closed.is_set():
            logger.error("the connection to NATS is closed for good: this process ends, the supervisor starts it again")
        closed.set()

    async def on_error(error: Exception) -> None:
        logger.warning("NATS: %s", error or type(error).__name__)

    while True:
        try:
            return await nats.connect(
                settings.nats_url,
                user=settings.nats_user,
                password=settings.nats_password,
                inbox_prefix=INBOX_PREFIX,
                name="argus-deleter",
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType] a pause in seconds
                ping_interval=10,
                max_outstanding_pings=2,
                closed_cb=on_closed,
                error_cb=on_error,
                allow_reconnect=True,
            )
        except (TimeoutError, OSError, NatsError) as error:
            closed.clear()
            logger.warning("cannot connect to NATS, again in 1 s: %r", error)
            await asyncio.sleep(1)


async def _prepare(decisions: Decisions) -> None:
    while True:
        try:
            await asyncio.to_thread(decisions.prepare)
            return
        except Unavailable as error:
            logger.warning("cannot prepare schema deleter, again in 1 s: %s", error)
            await asyncio.sleep(1)
