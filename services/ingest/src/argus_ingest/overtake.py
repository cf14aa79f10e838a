"""Fairness: while one sender's flood fills the stream, what everybody else says is appended first.

The stream is one queue, and a flood of a minute would hold up a quiet user for as long. So a quiet user's messages are also
read out of it by their subject, ahead of their turn, and appended. They are not acknowledged: when their turn comes they are
recognised as repeats, like everything that is delivered twice, and acknowledged then. `docs/decisions/0015` says why so.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from argus_contracts.errors import WrongSubject
from argus_contracts.subjects import EVENTS_STREAM, EVENTS_SUBJECTS, parse_event_subject
from argus_ingest.receive import Receiver

LOOK_EVERY_S = 0.5
MESSAGES_AT_ONCE = 50
"""Of one quiet user, in one look."""
USERS_AT_ONCE = 50
Sender = str
"""What the subjects of one sender begin with: they say whose a message is (and whose decision, where Argus itself speaks)."""
logger = logging.getLogger(__name__)


class Overtaker:
    """longest_queue: with fewer messages in the stream nobody waits long enough to be worth a look."""

    def __init__(self, receiver: Receiver, longest_queue: int) -> None:
        self._receiver = receiver
        self._longest_queue = longest_queue
        self.n_behind = 0
        """Messages that waited behind the last one that was delivered in its turn."""
        self._seen: dict[Sender, int] = {}
        """The last stream sequence that was appended ahead of its turn."""

    async def run(self, jetstream: JetStreamContext) -> None:
        """Runs for ever. Trouble of the broker or the database costs one look: the queue itself goes on by other means."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not (self._receiver.busy or self.n_behind):
                continue  # whatever comes now is delivered at once: the broker need not be asked
            try:
                await self.look(jetstream)
            except (TimeoutError, NatsError, JetStreamError) as error:
                logger.debug("nobody could be served ahead: %r", error)
            except Exception:
                # Fairness is a courtesy: a fault in it must be seen, and must not end with the first look.
                logger.exception("nobody could be served ahead")

    async def look(self, jetstream: JetStreamContext) -> int:
        """How many messages of quiet users were appended ahead of their turn."""
        state = (await jetstream.stream_info(EVENTS_STREAM)).state
        if state.messages <= self._longest_queue:
            self._seen.clear()
            return 0
        waiting = (await jetstream.stream_info(EVENTS_STREAM, subjects_filter=EVENTS_SUBJECTS)).state.subjects or {}
        quiet = quiet_senders(waiting)[:USERS_AT_ONCE]
        self._seen = {sender: max(self._seen.get(sender, 0), state.first_seq - 1) for sender in quiet}
        n = 0
        for sender in quiet:
            n += await self._append_ahead(jetstream, sender)
        return n

    async def _append_ahead(self, jetstream: JetStreamContext, sender: Sender) -> int:
        messages: list[tuple[str, bytes]] = []
        seen = self._seen[sender]
        while len(messages) < MESSAGES_AT_ONCE:
            try:
                message = await jetstream.get_msg(EVENTS_STREAM, seq=seen + 1, subject=f"{sender}.*", next=True)
            except NotFoundError:
                break
            seen = message.seq or seen + 1
            messages.append((message.subject or "", message.data or b""))
        if messages and await self._receiver.receive_ahead(messages, jetstream._nc):
            self._seen[sender] = seen
        return len(messages)


def quiet_senders(waiting: Mapping[str, int]) -> Sequence[Sender]:
    """Whose messages take less than half of an equal share of the queue, those with the fewest first.

    waiting: messages by subject.
    """
    by_sender: Counter[Sender] = Counter()
    for subject, n in waiting.items():
        try:
            parse_event_subject(subject)
        except WrongSubject:
            continue  # buried when its turn comes
        by_sender[subject.rpartition(".")[0]] += n
    fair_share = sum(by_sender.values()) / max(1, len(by_sender))
    return [sender for sender, n in reversed(by_sender.most_common()) if n < fair_share / 2]
