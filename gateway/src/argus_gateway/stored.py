"""How far each producer's events are in the log, as ingest says on `argus.stored.<workspace>.<user>`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict, deque

from nats.aio.msg import Msg
from pydantic import TypeAdapter, ValidationError

from argus_contracts.envelope import Stored
from argus_contracts.errors import WrongSubject
from argus_contracts.quantities import RETENTION_CLASSES
from argus_contracts.subjects import STORED_SUBJECTS, untoken
from argus_gateway.nats_connection import NatsConnection

_MARKS = TypeAdapter(Stored | list[Stored])
logger = logging.getLogger(__name__)

_MAX_KEPT = 50_000
_MAX_UNREAD_BYTES = 1 << 20
"""Of the messages themselves. About 8,000 words: read at once they hold the gateway up for less than 0.1 s."""
_ATTENTIVE_S = 60.0
Producer = tuple[str, str, str, str]
"""(workspace, user, producer_id, class)"""


class Watermarks:
    """The newest word per producer and class, of the 50,000 heard of last. A producer that asks for a forgotten one gets
    nothing, or an older one, re-sends, and ingest says it anew.

    Only who sends over HTTPS asks; the others hear ingest themselves. Until somebody has asked within the last minute,
    words are put aside as they came, the newest MiB of them.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Producer, Stored] = OrderedDict()
        self._unread: deque[Msg] = deque()
        self._unread_bytes = 0
        self._asked_at = -_ATTENTIVE_S
        self._changed = asyncio.Condition()

    async def listen(self, nats: NatsConnection) -> None:
        await nats.subscribe(STORED_SUBJECTS, self._hear)

    async def _hear(self, message: Msg) -> None:
        self._unread.append(message)
        self._unread_bytes += len(message.data)
        if time.monotonic() - self._asked_at >= _ATTENTIVE_S:
            while self._unread_bytes > _MAX_UNREAD_BYTES:
                self._unread_bytes -= len(self._unread.popleft().data)
            return
        self._read_all()
        async with self._changed:
            self._changed.notify_all()

    def _attend(self) -> None:
        self._asked_at = time.monotonic()
        self._read_all()

    def _read_all(self) -> None:
        """Every word heard is kept by its producer."""
        while self._unread:
            self._read(self._unread.popleft())
        self._unread_bytes = 0

    def _read(self, message: Msg) -> None:
        try:
            workspace, user = (untoken(part) for part in message.subject.split(".")[2:4])
            said = _MARKS.validate_json(message.data)
        except (ValidationError, WrongSubject, ValueError):
            logger.warning("not a stored watermark on %s", message.subject)
            return
        for stored in said if isinstance(said, list) else [said]:
            self.keep(workspace, user, stored)

    def keep(self, workspace: str, user: str, stored: Stored) -> None:
        """A lower word than the one we have is old, come late."""
        producer = (workspace, user, stored.producer_id, stored.retention_class)
        known = self._kept.get(producer)
        if known is None or (stored.next_seq, _top(stored)) >= (known.next_seq, _top(known)):
            self._kept[producer] = stored
        self._kept.move_to_end(producer)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    def of(self, workspace: str, user: str, producer_id: str) -> list[Stored]:
        self._attend()
        found = (self._kept.get((workspace, user, producer_id, name)) for name in RETENTION_CLASSES)
        return [stored for stored in found if stored is not None]

    def one(self, producer: Producer) -> Stored | None:
        self._attend()
        return self._kept.get(producer)

    async def wait_for(self, producer: Producer, last_seq: int, within_s: float) -> Stored | None:
        """The watermark once it covers `last_seq`, or whatever it is after `within_s`."""
        try:
            async with asyncio.timeout(within_s), self._changed:
                await self._changed.wait_for(lambda: covers(self.one(producer), last_seq))
        except TimeoutError:
            pass
        return self.one(producer)


def covers(stored: Stored | None, seq: int) -> bool:
    return stored is not None and (seq < stored.next_seq or any(first <= seq <= last for first, last in stored.ranges))


def _top(stored: Stored) -> int:
    return max((last for _, last in stored.ranges), default=-1)
