"""What the routes work with, made once at start: one object in `app.state`, no globals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from argus_gateway.ask import Asker
from argus_gateway.command import Commander
from argus_gateway.identity.database import Database
from argus_gateway.identity.keys import Keys
from argus_gateway.identity.passwords import Passwords
from argus_gateway.identity.people import People
from argus_gateway.identity.sessions import Sessions
from argus_gateway.live import LiveView
from argus_gateway.metrics import Metrics
from argus_gateway.nats_connection import NatsConnection
from argus_gateway.publish import Publisher
from argus_gateway.rates import Rates
from argus_gateway.settings import Settings
from argus_gateway.stored import Watermarks


@dataclass
class Parts:
    settings: Settings
    metrics: Metrics
    database: Database
    passwords: Passwords
    sessions: Sessions
    keys: Keys
    people: People
    nats: NatsConnection
    publisher: Publisher
    commander: Commander
    watermarks: Watermarks
    asker: Asker
    live: LiveView
    rates: Rates


def parts_of(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


async def _parts(request: Request) -> Parts:
    # A coroutine, though it waits for nothing: FastAPI takes others to a thread, for each request.
    return parts_of(request)


AllParts = Annotated[Parts, Depends(_parts)]
