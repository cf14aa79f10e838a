"""The live view: which streams are open, what wakes them, and how far everything is. Keeps no events."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from nats.aio.msg import Msg

from argus_contracts.errors import Unavailable, WrongSubject
from argus_contracts.quantities import BATCH_ID_PATTERN
from argus_contracts.queries.live import GetPosition, Positions
from argus_contracts.subjects import LIVE_OF_MANY, LIVE_SUBJECTS, untoken
from argus_gateway.ask import Asker
from argus_gateway.metrics import Metrics
from argus_gateway.nats_connection import NatsConnection
from argus_gateway.problems import HttpProblem, too_many

logger = logging.getLogger(__name__)

MAX_PER_USER = 12
MAX_IN_ALL = 200
_POLL_S = 1.0
_BEHIND_S = 5.0
_TOPIC = re.compile(r"dashboard|(?:batch|log):(?P<batch>[^/]+)|job:(?P<job_batch>[^/]+)/(?P<job>.{1,256})", re.DOTALL)
_BETWEEN = re.compile(r",(?=dashboard(?:,|$)|batch:|log:|job:)")


@dataclass(frozen=True, slots=True)
class Topics:
    """What a stream is about."""

    names: tuple[str, ...]
    batches: frozenset[str]
    everything: bool
    """Any hint may matter (the dashboard)."""

    @classmethod
    def parse(cls, said: list[str]) -> Topics:
        """HTTP 422 for what is no topic."""
        names = [name for value in said for name in _BETWEEN.split(value) if name]
        if not 1 <= len(names) <= 50:
            raise HttpProblem(422, "topics: 1 to 50 of them")
        batches: set[str] = set()
        for name in names:
            match = _TOPIC.fullmatch(name)
            batch = match and (match["batch"] or match["job_batch"])
            if not match or (batch and not BATCH_ID_PATTERN.fullmatch(batch)) or not name.isprintable():
                raise HttpProblem(422, f"topics: {name[:80]!r} is not dashboard, batch:<b>, log:<b> or job:<b>/<j>")
            if batch:
                batches.add(batch)
        return cls(tuple(dict.fromkeys(names)), frozenset(batches), "dashboard" in names)


class Waker:
    """Set when there may be something new for one stream."""

    def __init__(self, topics: Topics) -> None:
        self.topics = topics
        self.event = asyncio.Event()
        self.check_rights = False
        """Somebody's rights have changed: perhaps those of this stream's reader."""


@dataclass(frozen=True, slots=True)
class State:
    """What the badge on the page shows."""

    name: str
    """`live`, `behind` or `unavailable`."""
    projected: int
    lag_seconds: float


class LiveView:
    def __init__(self, nats: NatsConnection, asker: Asker, metrics: Metrics) -> None:
        self._nats, self._asker, self._metrics = nats, asker, metrics
        self._wakers: set[Waker] = set()
        self._per_user: dict[str, int] = {}
        self._closing = False
        self.state = State("unavailable", 0, 0.0)

    async def listen(self) -> None:
        await self._nats.subscribe(LIVE_SUBJECTS, self._hint)

    @contextlib.contextmanager
    def slot(self, user: str, topics: Topics) -> Iterator[Waker]:
        """One open stream, counted from here to the end of the block whatever happens. HTTP 429 beyond the limits."""
        if len(self._wakers) >= MAX_IN_ALL:
            raise too_many("too many live streams are open", 10)
        if self._per_user.get(user, 0) >= MAX_PER_USER:
            raise too_many(f"you have {MAX_PER_USER} live streams open; close a tab", 10)
        waker = Waker(topics)
        self._wakers.add(waker)
        self._per_user[user] = self._per_user.get(user, 0) + 1
        self._metrics.streams.set(len(self._wakers))
        try:
            yield waker
        finally:
            self._wakers.discard(waker)
            self._per_user[user] -= 1
            if not self._per_user[user]:
                del self._per_user[user]
            self._metrics.streams.set(len(self._wakers))

    @property
    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Every stream ends soon, so that the process can."""
        self._closing = True
        self._wake_all()

    async def check_rights(self) -> None:
        """Every open stream asks now whether its reader may still see it."""
        for waker in self._wakers:
            waker.check_rights = True
        self._wake_all()

    def _wake_all(self) -> None:
        for waker in self._wakers:
            waker.event.set()

    async def _hint(self, message: Msg) -> None:
        try:
            if message.subject == LIVE_OF_MANY:
                batch_ids = set(orjson.loads(message.data))
            else:
                batch_ids = {untoken(message.subject.split(".", 2)[2])}
        except (WrongSubject, IndexError, ValueError, TypeError):
            return
        for waker in self._wakers:
            if waker.topics.everything or not batch_ids.isdisjoint(waker.topics.batches):
                waker.event.set()

    async def watch_position(self) -> None:
        """Runs for ever: asks once a second for all streams together, and wakes those that a lost hint would have left asleep."""
        while True:
            if self._wakers:
                before = self.state.projected
                await self.refresh()
                if self.state.projected != before:
                    self._wake_all()
            await asyncio.sleep(_POLL_S)

    async def refresh(self) -> None:
        try:
            said = await self._asker.ask_for(GetPosition(), Positions, timeout_s=2.0)
        except (Unavailable, HttpProblem):
            self.state = State("unavailable", self.state.projected, self.state.lag_seconds)
            return
        name = "behind" if said.lag_seconds > _BEHIND_S else "live"
        self.state = State(name, said.projected, said.lag_seconds)
