"""Wiring of query: the answers in this process, the projector in one of its own, so that neither waits for the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
import time
from datetime import timedelta
from typing import Any

import uvicorn
from faststream.nats import NatsBroker
from faststream.nats.annotations import NatsMessage
from faststream.security import SASLPlaintext
from nats.errors import Error as NatsError

from argus_contracts.queries.common import ACCEPT_ENCODING
from argus_contracts.queries.questions import QUESTIONS
from argus_contracts.subjects import ask_subject
from argus_query.answers import Answers, new_pool
from argus_query.health import Health
from argus_query.hints import Hints
from argus_query.models import all_models
from argus_query.packing import reply_of
from argus_query.projector import Projector
from argus_query.settings import Settings

QUEUE_GROUP = "query"
_PROBLEM = b'{"answer":null'
_log = logging.getLogger(__name__)
_broker_log = logging.getLogger("argus_query.broker")
_broker_log.setLevel(logging.WARNING)  # it tells of every message, and of every task when it stops


async def run(settings: Settings) -> int:
    """Answers and projects until a signal (exit status 0) or until the supervisor must start it again (1)."""
    projector = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "argus_query", "project", "--until-stdin-closes", stdin=asyncio.subprocess.PIPE
    )
    projecting = asyncio.create_task(projector.wait())
    answering = asyncio.create_task(answer(settings))
    try:
        await asyncio.wait({projecting, answering}, return_when=asyncio.FIRST_COMPLETED)
        if projecting.done():
            _log.error("the projector ended with status %s: the supervisor starts us again", projecting.result())
            answering.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            status = await answering
            return 1 if projecting.done() else status
        return 1
    finally:
        if projector.returncode is None:
            projector.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(projecting, 10)
        if projector.returncode is None:
            projector.kill()


async def project(settings: Settings, until_stdin_closes: bool) -> int:
    """Follows the log until a signal ends it."""
    stopped = _on_signals()
    if until_stdin_closes:
        await _set_when_stdin_closes(stopped)
    hints = Hints()
    connecting = asyncio.create_task(hints.connect(settings))
    projector = Projector(settings.database_url, all_models(), hints.publish, settings.fold_events, settings.fold_bytes)
    tasks = {asyncio.create_task(projector.run()), asyncio.create_task(stopped.wait())}
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in {*pending, connecting}:
        task.cancel()
    await asyncio.wait({*pending, connecting}, timeout=5)
    return 0 if stopped.is_set() else 1


async def answer(settings: Settings) -> int:
    """Answers questions until a signal ends it (0) or the connection to the broker is closed for good (1)."""
    stopped = _on_signals()
    closed = asyncio.Event()

    async def on_closed() -> None:
        if not stopped.is_set():
            _log.error("the connection to NATS is closed for good: this process ends, the supervisor starts it again")
        closed.set()

    pool = new_pool(settings.database_url, settings.answer_connections)
    answers = Answers(pool, timedelta(minutes=settings.stall_timeout_min), settings.rates)
    broker = NatsBroker(
        settings.nats_url,
        security=_login(settings),
        name="argus-query answers",
        inbox_prefix=b"_INBOX_query",
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType] a pause in seconds, handed on to nats-py
        ping_interval=10,
        max_outstanding_pings=2,
        closed_cb=on_closed,
        logger=_broker_log,
        log_level=logging.DEBUG,
    )
    connected: list[bool] = []
    health = Health(answers, lambda: bool(connected) and _is_connected(broker))
    for name in QUESTIONS:
        _subscribe(broker, name, answers, health, settings.answer_workers)
    server = uvicorn.Server(
        uvicorn.Config(
            health,  # pyright: ignore[reportArgumentType]
            host=settings.health_host,
            port=settings.health_port,
            log_level="warning",
            access_log=False,
            lifespan="off",
        )
    )
    serving = asyncio.create_task(_serve(server))
    await pool.open()
    try:
        starting = asyncio.create_task(_start(broker, connected))
        ends = {asyncio.create_task(stopped.wait()), asyncio.create_task(closed.wait()), serving}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in {*ends, starting} - {serving}:
            task.cancel()
        return 0 if stopped.is_set() else 1
    finally:
        stopped.set()
        server.should_exit = True
        with contextlib.suppress(Exception):
            await asyncio.wait_for(broker.stop(), 5)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(serving, 5)
        await pool.close(timeout=5)


def _subscribe(broker: NatsBroker, name: str, answers: Answers, health: Health, workers: int) -> None:
    async def raw(message: Any) -> Any:
        return message.body

    # The reply is sent by hand: what FastStream does with what a handler returns takes as long as a short answer.
    @broker.subscriber(ask_subject(name), queue=QUEUE_GROUP, decoder=raw, max_workers=workers, no_reply=True)
    async def reply(message: NatsMessage) -> None:
        began = time.perf_counter()
        envelope = await answers.answer(name, message.body)
        health.answer_seconds.labels(name).observe(time.perf_counter() - began)
        if envelope.startswith(_PROBLEM):
            health.problems.labels(name).inc()
        body, headers = reply_of(envelope, message.headers.get(ACCEPT_ENCODING, ""))
        if message.reply_to:
            await broker.config.connection_state.connection.publish(message.reply_to, body, headers=headers)


async def _start(broker: NatsBroker, connected: list[bool]) -> None:
    """The broker's subscriptions run, as soon as it can be reached."""
    while True:
        try:
            await broker.start()
        except (NatsError, OSError, TimeoutError) as error:
            _log.warning("cannot reach NATS, again in 1 s: %s", error)
            await asyncio.sleep(1)
        else:
            connected.append(True)
            return


async def _serve(server: uvicorn.Server) -> None:
    # Signals are ours: uvicorn would swallow the first one.
    with contextlib.suppress(asyncio.CancelledError):
        await server._serve()


def _is_connected(broker: NatsBroker) -> bool:
    client = broker.config.connection_state.connection
    return client.is_connected


def _login(settings: Settings) -> SASLPlaintext | None:
    if settings.nats_user is None:
        return None
    return SASLPlaintext(settings.nats_user, settings.nats_password or "", use_ssl=settings.nats_url.startswith("tls"))


def _on_signals() -> asyncio.Event:
    """Set by SIGTERM and SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def _set_when_stdin_closes(stopped: asyncio.Event) -> None:
    """The parent holds the other end of our stdin, however it dies."""

    class Watch(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stopped.set()

    await asyncio.get_running_loop().connect_read_pipe(Watch, sys.stdin)
