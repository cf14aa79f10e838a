"""What operators ask ingest over HTTP: alive, ready, measures."""

from __future__ import annotations

import asyncio
import logging

import orjson
from faststream.asgi import AsgiResponse, get
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.errors import Error as JetStreamError
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from argus_contracts.subjects import ASK_BROKER_SETTINGS, ASK_BROKER_SETTINGS_BODY, EVENTS_STREAM, syncs_always
from argus_ingest.database import lent
from argus_ingest.measures import Measures
from argus_ingest.receive import Receiver
from argus_ingest.settings import Settings
from argus_ingest.sql import statements
from argus_ingest.stream import DURABLE, ensure_stream_and_consumer

SILENT_S = 10.0
STUCK_S = 60.0
CHECK_EVERY_S = 5.0
DATABASE_S = 3.0
"""How long the database may take to answer these questions."""
SQL = statements("log")
logger = logging.getLogger(__name__)


class Silence:
    """How long nothing has moved although there was work, counted in looks CHECK_EVERY_S apart.

    Looks and not a clock: to whoever was frozen himself (a laptop that slept, a machine that stood still) the whole of that
    time would look like somebody else's silence.
    """

    def __init__(self) -> None:
        self._activity: float | None = None
        self._looks = 0

    def seconds(self, activity: float) -> float:
        """At least so long, by this look, there has been work and `activity` has stayed the same."""
        self._looks = self._looks + 1 if activity == self._activity else 0
        self._activity = activity
        return self._looks * CHECK_EVERY_S

    def forget(self) -> None:
        """There is no work, or nobody could look."""
        self._activity, self._looks = None, 0


class Health:
    """Looks at ingest from outside its loop: is it connected, and does it move while there is work?"""

    def __init__(self, pool: AsyncConnectionPool, receiver: Receiver, measures: Measures, settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._receiver = receiver
        self._measures = measures
        self.jetstream: JetStreamContext | None = None
        self._silence = Silence()
        self._passed_over: int | None = None
        """The first message of the stream at the last look, if the durable had passed it over."""

    async def problems(self) -> list[str]:
        """Why ingest cannot do its work now, in sentences; empty when it can."""
        problems: list[str] = []
        try:
            async with lent(self._pool, DATABASE_S) as connection:
                for name, setting in await (await connection.execute(SQL["unsafe_settings"])).fetchall():
                    problems.append(f"Postgres runs with {name} = {setting}: a commit might not be on disk")
        except (DatabaseError, PoolTimeout, OSError) as error:
            problems.append(f"Postgres does not answer: {' '.join(str(error).split())[:200]}")
        if self.jetstream is None:
            return [*problems, "not connected to NATS yet"]
        try:
            await self.jetstream.consumer_info(EVENTS_STREAM, DURABLE, timeout=2)
        except (TimeoutError, NatsError, JetStreamError) as error:
            return [*problems, f"the durable {DURABLE} does not answer: {error or type(error).__name__}"]
        if not await self._broker_is_safe(self.jetstream):
            problems.append("NATS acknowledges before events are on its disk: set jetstream.sync_interval to always")
        return problems

    async def _broker_is_safe(self, jetstream: JetStreamContext) -> bool:
        """Whether the server says so; a server of somebody's own need not tell us."""
        try:
            said = await jetstream._nc.request(ASK_BROKER_SETTINGS, ASK_BROKER_SETTINGS_BODY, timeout=2)
        except (TimeoutError, NatsError):
            return True
        return syncs_always(said.data)

    async def watch(self) -> str:
        """Returns, with a sentence, when ingest must be restarted: it is silent although there is work, or stuck.

        What somebody has deleted or changed in the broker is made anew, or set back.
        """
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            await self._measure_gaps()
            if self.jetstream is None:
                continue
            try:
                if (reason := await self._why_restart(self.jetstream)) is not None:
                    return reason
            except JetStreamError as error:
                self._silence.forget()
                logger.warning("cannot look after the stream %s: %s", EVENTS_STREAM, error)
            except (TimeoutError, NatsError):
                # Not connected: the client reconnects for ever, and ends the process when it gives up.
                self._silence.forget()

    async def _why_restart(self, jetstream: JetStreamContext) -> str | None:
        stream, durable = await ensure_stream_and_consumer(jetstream, self._settings)
        self._measures.pending.set(durable.num_pending or 0)
        if not (self._receiver.busy or durable.num_pending):
            self._silence.forget()
        else:
            quiet = self._silence.seconds(self._receiver.last_activity)
            if self._receiver.busy and quiet >= STUCK_S:
                return f"one commit has been going on for {quiet:.0f} s"
            if not self._receiver.busy and quiet >= SILENT_S:
                return f"{durable.num_pending} messages wait and none came for {quiet:.0f} s"
        if durable.ack_floor and stream.state.last_seq < durable.ack_floor.stream_seq:
            await self._make_durable_anew(
                jetstream, f"it stands behind the end of the stream at {stream.state.last_seq}"
            )
        elif (passed_over := _passed_over(stream, durable)) is not None and passed_over == self._passed_over:
            await self._make_durable_anew(jetstream, f"it never delivers {passed_over}, which nobody has acknowledged")
        else:
            self._passed_over = passed_over
        return None

    async def _make_durable_anew(self, jetstream: JetStreamContext, why: str) -> None:
        """What is in the stream is delivered from its beginning; what was in the log already is recognised."""
        logger.error("the broker lost data: the durable %s is made anew, because %s", DURABLE, why)
        self._passed_over = None
        await jetstream.delete_consumer(EVENTS_STREAM, DURABLE)
        await ensure_stream_and_consumer(jetstream, self._settings)

    async def _measure_gaps(self) -> None:
        try:
            async with lent(self._pool, DATABASE_S) as connection:
                row = await (await connection.execute(SQL["missing_events"])).fetchone()
        except (DatabaseError, PoolTimeout, OSError):
            return  # `problems` says so; the last figure stays.
        if row is not None:
            self._measures.missing.set(row[0])

    def routes(self) -> list[tuple[str, object]]:
        """ASGI routes for the operators."""

        @get
        async def readyz(scope: object) -> AsgiResponse:
            problems = await self.problems()
            return AsgiResponse(
                orjson.dumps({"ready": not problems, "problems": problems}),
                503 if problems else 200,
                {"content-type": "application/json"},
            )

        @get
        async def healthz(scope: object) -> AsgiResponse:
            return AsgiResponse(b'{"alive":true}', 200, {"content-type": "application/json"})

        return [("/healthz", healthz), ("/readyz", readyz)]


def _passed_over(stream: StreamInfo, durable: ConsumerInfo) -> int | None:
    """The first message of the stream, where the durable takes it for acknowledged, or for nobody's.

    A work queue keeps no message that was acknowledged. The two states are asked for one after the other: only a message
    that two looks agree about has been passed over.
    """
    if not stream.state.messages:
        return None
    first = stream.state.first_seq
    acknowledged = durable.ack_floor is not None and first <= durable.ack_floor.stream_seq
    return first if acknowledged or not (durable.num_pending or durable.num_ack_pending) else None
