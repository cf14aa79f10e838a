"""Commands from the stream: decided, answered, and only then acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import Any
from uuid import UUID

import orjson
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError
from pydantic import ValidationError

from argus_contracts.commands import Decision, MeasureOutputs
from argus_contracts.subjects import COMMANDS_STREAM, decided_subject
from argus_deleter.decide import VERBS, Decider
from argus_deleter.decisions import Decisions, storable
from argus_deleter.errors import Unavailable
from argus_deleter.facts import event_id_of
from argus_deleter.measures import Measures
from argus_deleter.settings import Settings
from argus_deleter.stream import AT_ONCE, DURABLE, ensure_stream_and_consumer

FETCH_S = 2.0
"""How long one request waits for a command. A broker that forgot it, at a restart, is asked anew so much later at most."""
LONGEST_DELAY_S = 30.0
CATCH_UP_S, LOOK_AGAIN_S = 10.0, 0.1
IN_THE_LOG_S = 0.5
"""How long an answer waits for its facts to be in the log. Whoever asked waits 2 s in all."""
TRIES = 5
"""Of a command that fails though no neighbour is away. Those while one is are not counted."""
logger = logging.getLogger(__name__)


class Receiver:
    """Passing trouble gives a command back, for ever; bad content, and what fails again and again for any other reason, is
    kept with its bytes, refused and acknowledged."""

    def __init__(
        self,
        jetstream: JetStreamContext,
        decider: Decider,
        decisions: Decisions,
        measures: Measures,
        settings: Settings,
    ) -> None:
        self._jetstream = jetstream
        self._decider, self._decisions, self._measures, self._settings = decider, decisions, measures, settings
        self._in_hand: set[asyncio.Task[None]] = set()
        self._failures: dict[int, int] = {}
        """Tries that failed for no passing reason, by the command's place in the stream."""

    async def run(self) -> None:
        """Without end."""
        while True:
            try:
                await ensure_stream_and_consumer(self._jetstream, self._settings)
                subscription = await self._jetstream.pull_subscribe_bind(DURABLE, COMMANDS_STREAM)
                await self._pull(subscription)
            except (TimeoutError, NatsError, JetStreamError) as error:
                logger.warning("cannot fetch commands, again in 1 s: %r", error)
                await asyncio.sleep(1)

    async def caught_up(self) -> None:
        """The commands that have waited for a deleter are decided: a cancellation among them comes before the deletion whose grace
        time has ended meanwhile. What a deleter had in hand when it died comes again after the broker's own time; much longer than
        that nothing is waited for, unless the broker itself does not answer."""
        left_s = within_s = self._settings.commands_ack_wait_s + CATCH_UP_S
        while left_s > 0:
            n_waiting = await self._n_waiting()
            if n_waiting == 0:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
            if n_waiting is not None:
                left_s -= LOOK_AGAIN_S
        logger.warning("some commands still wait after %.0f s: deletions that are due begin all the same", within_s)

    async def _n_waiting(self) -> int | None:
        """None: the broker does not say."""
        try:
            known = await self._jetstream.consumer_info(COMMANDS_STREAM, DURABLE)
        except (TimeoutError, NatsError, JetStreamError):
            return None
        return (known.num_pending or 0) + (known.num_ack_pending or 0)

    async def _pull(self, subscription: Any) -> None:
        try:
            while True:
                try:
                    messages: list[Msg] = await subscription.fetch(AT_ONCE - len(self._in_hand), timeout=FETCH_S)
                except TimeoutError:
                    continue  # nothing came; nats-py's own is one, too
                for message in messages:
                    task = asyncio.create_task(self._receive(message))
                    self._in_hand.add(task)
                    task.add_done_callback(self._in_hand.discard)
                if len(self._in_hand) >= AT_ONCE:
                    await asyncio.wait(self._in_hand, return_when=asyncio.FIRST_COMPLETED)
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def _receive(self, message: Msg) -> None:
        verb = message.subject.rpartition(".")[2]
        try:
            await self._decide(message, verb)
        except Unavailable as error:
            logger.warning("a command to %s waits: %s", verb, error)
            await self._given_back(message, verb)
        except Exception as error:
            logger.exception("a command to %s", verb)
            await self._failed(message, verb, error)
        else:
            self._failures.pop(message.metadata.sequence.stream, None)

    async def _failed(self, message: Msg, verb: str, error: Exception) -> None:
        """Tried again a few times; a command that never can be decided takes no other's place for ever."""
        place = message.metadata.sequence.stream
        if len(self._failures) > 10_000:  # of those that somebody else has decided
            self._failures.clear()
        self._failures[place] = self._failures.get(place, 0) + 1
        if self._failures[place] >= TRIES:
            try:
                await self._bury(message, f"it cannot be decided: {error!r}")
                self._measures.command(verb, "buried")
                del self._failures[place]
                return
            except Exception:
                logger.exception("a command to %s cannot be kept", verb)
        await self._given_back(message, verb)

    async def _decide(self, message: Msg, verb: str) -> None:
        try:
            command = VERBS[verb].model_validate_json(message.data)
        except (KeyError, ValidationError) as error:
            reason = f"no verb of the deleter: {verb}" if isinstance(error, KeyError) else _first(error)
            await self._bury(message, reason)
            self._measures.command("unknown" if isinstance(error, KeyError) else verb, "buried")
            return
        decision = await self._still_working(message, self._decider.decide(command, message.data))
        self._measures.command(verb, decision.outcome)
        if decision.outcome == "accepted" and not isinstance(command, MeasureOutputs):
            decision = decision.model_copy(update={"position": await self._position()})
        await self._answer(message, decision)

    async def _position(self) -> int | None:
        """How far the log is once it has all that is decided now. None: that takes longer than whoever asked shall wait."""
        newest = await asyncio.to_thread(self._decisions.rows, "newest_decision")
        event_id = event_id_of(*newest[0])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IN_THE_LOG_S):
                while True:
                    if found := await asyncio.to_thread(self._decisions.rows, "log_with", event_id=event_id):
                        return found[0][0]
                    await asyncio.sleep(0.02)
        return None

    async def _still_working(self, message: Msg, work: Any) -> Decision:
        """The broker does not deliver it again while it is being decided."""
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait({task}, timeout=self._settings.commands_ack_wait_s / 3)
            if not task.done():
                with contextlib.suppress(NatsError, JetStreamError):
                    await message.in_progress()
        return task.result()

    async def _bury(self, message: Msg, reason: str) -> None:
        reason = storable(reason)[:2_000]
        logger.error("a command on %s is refused for good: %s", message.subject, reason)
        values = {"subject": storable(message.subject), "reason": reason, "raw": message.data}
        await asyncio.to_thread(self._decisions.write, "bury_command", **values)
        if (command_id := _command_id(message.data)) is not None:
            await self._answer(message, Decision(command_id=command_id, outcome="refused", reason=reason))
        else:
            await self._acknowledged(message)

    async def _answer(self, message: Msg, decision: Decision) -> None:
        """Whoever listens just then hears it; whoever does not sends the command again, or follows the facts."""
        with contextlib.suppress(NatsError, ValueError):
            await message._client.publish(
                decided_subject(str(decision.command_id)), decision.model_dump_json().encode()
            )
        await self._acknowledged(message)

    async def _acknowledged(self, message: Msg) -> None:
        with contextlib.suppress(NatsError, JetStreamError):  # delivered again then, and answered as before
            await message.ack()

    async def _given_back(self, message: Msg, verb: str) -> None:
        tries = message.metadata.num_delivered
        delay = min(LONGEST_DELAY_S, 0.5 * 2 ** min(tries, 10)) * random.uniform(0.7, 1.0)  # noqa: S311
        self._measures.command(verb, "given back")
        with contextlib.suppress(NatsError, JetStreamError):
            await message.nak(delay=delay)


def _command_id(raw: bytes) -> UUID | None:
    try:
        return UUID(str(orjson.loads(raw)["command_id"]))
    except (ValueError, KeyError, TypeError):
        return None


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'command'}: {first['msg']}"
