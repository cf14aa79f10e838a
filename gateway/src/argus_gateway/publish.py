"""Messages into JetStream: what `publish` has returned for is on the broker's disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from argus_contracts.errors import TooLarge, Unavailable
from argus_contracts.subjects import EVENTS_STREAM
from argus_gateway.nats_connection import NatsConnection

ACK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    subject: str
    payload: bytes
    n_events: int


class Publisher:
    def __init__(self, nats: NatsConnection) -> None:
        self._nats = nats
        self._in_flight = asyncio.Semaphore(256)

    async def publish(self, messages: Sequence[Outgoing]) -> None:
        """All of them are durable, in this order per subject.

        `Unavailable` where that is not known of every one: the caller's sender repeats them, and repeats change nothing.
        No `Nats-Msg-Id`: the log recognises repeats for ever, and nobody can make another's message look like one.
        """
        if not messages:
            return
        stream: JetStreamContext = self._nats.client.jetstream(timeout=ACK_TIMEOUT_S)
        outcomes = await asyncio.gather(*(self._one(stream, message) for message in messages), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _one(self, stream: JetStreamContext, message: Outgoing) -> None:
        try:
            async with self._in_flight:
                await stream.publish(message.subject, message.payload, stream=EVENTS_STREAM)
        except nats.errors.MaxPayloadError:
            raise TooLarge(f"a message of {len(message.payload)} bytes is larger than NATS takes") from None
        except nats.js.errors.APIError as error:  # e.g. the stream is full and refuses (discard: new)
            raise Unavailable(f"JetStream refuses: {error.description or error.code}") from None
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(f"JetStream does not acknowledge ({type(error).__name__})") from None
