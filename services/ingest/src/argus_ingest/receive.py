"""Take messages from the stream, append them in one commit, and only then acknowledge them."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import TypeAdapter

from argus_contracts.envelope import Stored
from argus_contracts.quantities import MAX_WATERMARKS_PER_MESSAGE
from argus_contracts.subjects import stored_subject
from argus_ingest.accept import Buried, Incoming, accept
from argus_ingest.database import lent
from argus_ingest.log import Appended, LogAppender
from argus_ingest.measures import Measures

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 2.0
APPEND_WITHIN_S = 15.0
"""A database that says nothing for so long is asked anew, on another connection."""
DOCUMENTS_PER_COMMIT = 2_000
"""A commit takes no further message from here on, so that bundles do not make it long: others wait for its lock. A message is
never cut, so it has at most `MAX_DOCUMENTS_PER_BUNDLE` more."""
_MARKS = TypeAdapter(list[Stored])
logger = logging.getLogger(__name__)


class Receiver:
    """Deals with one list of messages at a time. Trouble of the database is waited out, for ever, with the messages in hand:
    nothing is delivered again meanwhile, their order stays, and no others are fetched.

    is_stopping: True when the process wants to end; then messages in hand are given back. ack_wait_s: when the broker takes
    a message for forgotten; it is told in time that it is not.
    """

    def __init__(
        self, pool: AsyncConnectionPool, measures: Measures, is_stopping: Callable[[], bool], ack_wait_s: float
    ) -> None:
        self._pool = pool
        self._measures = measures
        self._is_stopping = is_stopping
        self._speak_every_s = ack_wait_s / 4
        self._appender, self._ahead = LogAppender(), LogAppender()
        self.last_activity = time.monotonic()
        self.busy = False

    async def receive(self, messages: Sequence[Msg]) -> bool:
        """The messages are in the log or in `dead_letters` and acknowledged; or (False) those that are not will be delivered
        again. In several commits, where bundles make them many documents."""
        self.busy, self.last_activity = True, time.monotonic()
        try:
            waiting = list(messages)
            while waiting:
                n = await self._receive(waiting)
                if n is None:
                    await self._give_back(waiting)
                    return False
                del waiting[:n]
            return True
        finally:
            self.busy, self.last_activity = False, time.monotonic()

    async def _receive(self, messages: Sequence[Msg]) -> int | None:
        """How many of the first messages were dealt with. None: the process wants to end."""
        appended = await self._append(messages)
        if appended is None:
            return None
        n, what = appended
        self._measures.appended(what)
        await self._acknowledge(messages[:n])
        await self._publish_watermarks(messages[0]._client, what)
        return n

    async def receive_ahead(self, messages: Sequence[tuple[str, bytes]], client: Client) -> bool:
        """Messages (subject, bytes) that stay in the stream until their turn are in the log or in `dead_letters`.

        False: not now, or not all of them. They are dealt with when their turn comes.
        """
        waiting = list(messages)
        while waiting:
            n, arrived = _commit_of(waiting)
            try:
                async with lent(self._pool, APPEND_WITHIN_S) as connection:
                    appended = await self._ahead.append(connection, arrived)
            except (DatabaseError, PoolTimeout, OSError):
                self._ahead.forget()
                return False
            self._measures.appended(appended)
            await self._publish_watermarks(client, appended)
            del waiting[:n]
        return True

    async def _append(self, messages: Sequence[Msg]) -> tuple[int, Appended] | None:
        """What is a commit's share of `messages` was appended: so many of the first. Tries again for as long as it takes.
        None: the process wants to end before it has worked."""
        longest, told = FIRST_DELAY_S, time.monotonic()
        while True:
            # Read anew for every try: an append takes out of them what it refuses.
            n, arrived = _commit_of([(message.subject, message.data) for message in messages])
            try:
                async with lent(self._pool, APPEND_WITHIN_S) as connection:
                    return n, await self._appender.append(connection, arrived)
            except (DatabaseError, PoolTimeout, OSError) as error:
                self._appender.forget()
                delay = longest * random.uniform(0.7, 1.0)  # noqa: S311
                logger.warning("cannot append %d messages, again in %.1f s: %s", len(messages), delay, _one_line(error))
            self._measures.tried_again()
            if self._is_stopping():
                return None
            if time.monotonic() - told > self._speak_every_s:
                told = time.monotonic()
                await self._still_working(messages)
            await asyncio.sleep(delay)
            longest = min(LONGEST_DELAY_S, longest * 2)
            self.last_activity = time.monotonic()

    async def _still_working(self, messages: Sequence[Msg]) -> None:
        """The broker does not deliver them again yet. Where it cannot be told: again, and they are recognised as repeats."""
        for message in messages:
            try:
                await message.in_progress()
            except (NatsError, JetStreamError):
                self._measures.ack_failed()

    async def _give_back(self, messages: Sequence[Msg]) -> None:
        """The next process gets them at once, and not only after ack_wait."""
        for message in messages:
            try:
                await message.nak()
            except (NatsError, JetStreamError):
                self._measures.ack_failed()

    async def _acknowledge(self, messages: Sequence[Msg]) -> None:
        for message in messages:
            try:
                await message.ack()
            except (NatsError, JetStreamError):
                # Delivered again later, and recognised as a repeat.
                self._measures.ack_failed()

    async def _publish_watermarks(self, client: Client, appended: Appended) -> None:
        """Tells senders what they need not keep. One that is lost heals: the sender sends again, and hears again."""
        said = [
            *(
                (whose, mark.model_dump_json(by_alias=True).encode())
                for whose, marks in appended.stored.items()
                for mark in marks
            ),
            *((whose, message) for whose, marks in appended.stored_in_bundles.items() for message in _lists_of(marks)),
        ]
        for (workspace, user), message in said:
            try:
                await client.publish(stored_subject(workspace, user), message)
            except NatsError as error:
                logger.info("watermarks were not published: %s", _one_line(error))


def _commit_of(messages: Sequence[tuple[str, bytes]]) -> tuple[int, list[Incoming | Buried]]:
    """How many of the first messages go into one commit, and what is in them. At least one."""
    arrived: list[Incoming | Buried] = []
    for n, (subject, raw) in enumerate(messages):
        if len(arrived) >= DOCUMENTS_PER_COMMIT:
            return n, arrived
        arrived += accept(subject, raw)
    return len(messages), arrived


def _lists_of(marks: Sequence[Stored]) -> Iterator[bytes]:
    """One by itself is an object, several are lists."""
    if len(marks) == 1:
        yield marks[0].model_dump_json(by_alias=True).encode()
        return
    for first in range(0, len(marks), MAX_WATERMARKS_PER_MESSAGE):
        yield _MARKS.dump_json(list(marks[first : first + MAX_WATERMARKS_PER_MESSAGE]), by_alias=True)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
