"""Wiring only: the parts, the routes, the layers around them, start and end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from argus_contracts.errors import Unavailable
from argus_contracts.queries.live import LiveEvent
from argus_gateway import problems
from argus_gateway.ask import Asker
from argus_gateway.auth_callout import AuthCallout
from argus_gateway.command import Commander
from argus_gateway.compression import Compressed
from argus_gateway.identity.database import Database
from argus_gateway.identity.keys import Keys
from argus_gateway.identity.passwords import Passwords
from argus_gateway.identity.people import People
from argus_gateway.identity.sessions import Sessions
from argus_gateway.live import LiveView
from argus_gateway.metrics import Metrics
from argus_gateway.middleware import Doorway, KeepEncodedSlashes
from argus_gateway.nats_connection import NatsConnection
from argus_gateway.parts import Parts
from argus_gateway.publish import Publisher
from argus_gateway.rates import Rates
from argus_gateway.routes import auth, costs, dashboard, events, operators, outputs, people, runs, stream
from argus_gateway.settings import Settings
from argus_gateway.static import Ui
from argus_gateway.stored import Watermarks

logger = logging.getLogger(__name__)

_ABOUT = "Argus: what training jobs and workflow runs do. Sign in with a session cookie, or with an API key as a Bearer token."


def create_app(settings: Settings, on_closed: Callable[[], None]) -> FastAPI:
    """The whole door. on_closed: called when the process must end, because NATS has closed its connection for good."""
    metrics = Metrics()
    app = _api()
    app.router.lifespan_context = lambda app: _lifespan(app, settings, metrics, on_closed)
    app.router.default = Ui(settings.ui_dir)  # what no route matches, in part neither (that is a 405)
    app.add_middleware(Compressed)
    app.add_middleware(KeepEncodedSlashes)
    app.add_middleware(Doorway, settings=settings, metrics=metrics)
    return app


def _api() -> FastAPI:
    app = FastAPI(
        title="Argus", version="1", description=_ABOUT, docs_url=None, redoc_url=None, openapi_url=None,
        generate_unique_id_function=_operation_id, redirect_slashes=False,
    )  # fmt: skip
    for module in (auth, people, events, runs, costs, dashboard, outputs, stream, operators):
        app.include_router(module.router)
    problems.install(app)
    app.state.openapi_json = lambda: openapi_document(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def openapi_document(app: FastAPI | None = None) -> bytes:
    """The OpenAPI document, the same bytes from the same code."""
    document = (app or _api()).openapi()
    schemas = document["components"]["schemas"]
    if "LiveEvent" not in schemas:  # travels in the stream only, and the UI wants its type
        schemas["LiveEvent"] = LiveEvent.model_json_schema(ref_template="#/components/schemas/{model}")
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode()


@contextlib.asynccontextmanager
async def _lifespan(
    app: FastAPI, settings: Settings, metrics: Metrics, on_closed: Callable[[], None]
) -> AsyncIterator[None]:
    database = Database(settings.database_url.get_secret_value())
    passwords = Passwords()
    nats = NatsConnection(settings, on_closed)
    keys = Keys(database)
    asker = Asker(nats)
    parts = Parts(
        settings=settings,
        metrics=metrics,
        database=database,
        passwords=passwords,
        sessions=Sessions(database, passwords),
        keys=keys,
        people=People(database, passwords),
        nats=nats,
        publisher=Publisher(nats),
        commander=Commander(nats),
        watermarks=Watermarks(),
        asker=asker,
        live=LiveView(nats, asker, metrics),
        rates=Rates(settings.changes_per_minute),
    )
    app.state.parts = parts
    callout = AuthCallout(nats, keys, metrics, settings)
    keys.on_change.append(parts.live.check_rights)
    parts.sessions.on_end.append(parts.live.check_rights)
    await database.open()
    await nats.open()
    await parts.watermarks.listen(nats)
    await parts.live.listen()
    await callout.listen()
    tasks = [_for_ever(parts.live.watch_position()), _for_ever(callout.watch()), _for_ever(_write_last_used(keys))]
    logger.info("the gateway is open at %s", settings.browser_url)
    try:
        yield
    finally:
        parts.live.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await nats.close()
        with contextlib.suppress(Unavailable):
            await keys.write_last_used()
        await database.close()
        passwords.close()


def _for_ever(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A background task that must not end; where it does, the log says why."""
    task = asyncio.create_task(work)

    def say(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()):
            logger.error("a background task has ended", exc_info=error)

    task.add_done_callback(say)
    return task


async def _write_last_used(keys: Keys) -> None:
    while True:
        await asyncio.sleep(20)
        with contextlib.suppress(Unavailable):
            await keys.write_last_used()
