"""What has been decided is said to the log: in order, at least once, for as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError

from argus_contracts.subjects import EVENTS_STREAM, decision_subject
from argus_deleter.decisions import SQL, Decisions
from argus_deleter.errors import Unavailable
from argus_deleter.facts import documents, fact_of
from argus_deleter.output_deletion import OutputDeletion

AT_ONCE = 200
POLL_S = 5.0
PUBLISH_S = 5.0
ODD_S = 30.0
"""How long to wait after an error that is nobody else's."""
logger = logging.getLogger(__name__)


class Outbox:
    """Follows the library's notification log by position. Where two processes do it, one document may be said twice, and ingest
    recognises it; none is ever passed over, as a position moves only behind what JetStream has acknowledged."""

    def __init__(self, decisions: Decisions, jetstream: JetStreamContext) -> None:
        self._decisions, self._jetstream = decisions, jetstream
        self._news = asyncio.Event()
        self._batch_ids: dict[Any, str] = {}

    def wake(self) -> None:
        """Something has been decided. To be called in the event loop."""
        self._news.set()

    async def run(self) -> None:
        """Without end."""
        pause = 0.2
        while True:
            self._news.clear()
            try:
                while await self.say_some():
                    pass
                pause = 0.2
            except (Unavailable, TimeoutError, NatsError, JetStreamError) as error:
                logger.warning("decisions wait to be said, again in %.1f s: %s", pause, error or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(5.0, pause * 2)
                continue
            except Exception:  # another process would stand before the same
                logger.exception("decisions cannot be said, again in %.0f s", ODD_S)
                await asyncio.sleep(ODD_S)
                continue
            try:
                await asyncio.wait_for(self._news.wait(), POLL_S)
            except TimeoutError:
                continue

    async def say_some(self) -> bool:
        """The next decisions were said. False: there are no more."""
        position, by_run = await asyncio.to_thread(self._next)
        if position is None:
            return False
        await asyncio.gather(*(self._say(batch_id, facts) for batch_id, facts in by_run.items()))
        await asyncio.to_thread(self._decisions.write, "move_outbox", notification_id=position)
        return True

    def _next(self) -> tuple[int | None, dict[str, list[dict[str, Any]]]]:
        decisions = self._decisions
        with decisions.connection() as connection:
            (position,) = connection.execute("SELECT notification_id FROM deleter.outbox").fetchall()[0]
            rows = connection.execute(SQL["unsaid"], {"above": position, "limit": AT_ONCE}).fetchall()
        by_run: dict[str, list[dict[str, Any]]] = {}
        for _, *stored in rows:
            decision = decisions.event_of(*stored)
            batch_id = self._batch_id_of(decision)
            if (fact := fact_of(decision, batch_id)) is not None:
                by_run.setdefault(batch_id, []).append(fact)
        return (rows[-1][0] if rows else None), by_run

    def _batch_id_of(self, decision: Any) -> str:
        """Named by the first event of the run's aggregate."""
        found = self._batch_ids.get(decision.originator_id)
        if found is None:
            if isinstance(decision, OutputDeletion.Created):
                found = decision.batch_id
            else:
                first = self._decisions.rows("decisions_of", ids=[decision.originator_id])[0]
                found = self._decisions.event_of(*first).batch_id
            if len(self._batch_ids) > 2_000:
                self._batch_ids.clear()
            self._batch_ids[decision.originator_id] = found
        return found

    async def _say(self, batch_id: str, facts: list[dict[str, Any]]) -> None:
        for document in documents(facts):
            await self._jetstream.publish(
                decision_subject("deleter", batch_id), document, timeout=PUBLISH_S, stream=EVENTS_STREAM
            )
