"""Makes FastStream's pull loop safe to run for weeks, and quiet while nothing comes (faststream 0.7.8, nats-py 2.16)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError

PAUSE_S = 0.5
LINGER_S = 1.0
"""How long one request waits for the first message where none came. A broker that is back after it forgot that request (it
forgets all, at a restart) is asked anew so much later at most."""
GATHER_S = 0.005
"""How long a fetch goes on after such a first message: what one sender says at once is several messages."""
logger = logging.getLogger(__name__)


def calm_pull_loops(jetstream: JetStreamContext, most: int) -> None:
    """From now on every pull subscription that is made through `jetstream` is calm: a fetch that finds nothing waits for the
    first message instead of asking again, and a broken one costs one turn of the loop. To be called before the subscribers
    start, because they fetch at once.

    - An empty fetch sometimes ends with `asyncio.TimeoutError`, where the loop expects only nats-py's subclass: its task
      would die and be replaced, at once and for ever, and every dead task is kept.
    - On a closed connection, and where the stream or the durable is gone, a fetch fails without ever waiting: the loop
      would hold the processor for itself, or ask the broker as fast as it can.

    most: messages that a loop asks for at once.
    """
    subscribe = jetstream.pull_subscribe

    async def calm_subscribe(*args: Any, **kwargs: Any) -> Any:
        subscription: Any = await subscribe(*args, **kwargs)
        subscription.fetch = _calm(_patient(subscription.fetch, most))
        return subscription

    jetstream.pull_subscribe = calm_subscribe


def _patient(fetch: Any, most: int) -> Any:
    """Fills up as `fetch` does while messages come. Where none came in its time, it waits for one, and returns at once with
    what has come with it: nobody is kept waiting until a list is full.

    most: what a fetch asks for that has nothing in hand yet. So one request a second is made where nothing happens, instead
    of two in each time of a fetch.
    """
    quiet = False

    async def patient_fetch(batch: int, timeout: float) -> Any:
        nonlocal quiet
        if batch < most:
            return await fetch(batch, timeout)
        if not quiet:
            try:
                return await fetch(batch, timeout)
            except TimeoutError:
                quiet = True
        messages = await fetch(1, LINGER_S)
        quiet = False
        if batch > 1:
            with contextlib.suppress(TimeoutError, NatsError, JetStreamError):  # what is in hand is not let go
                messages += await fetch(batch - 1, GATHER_S)
        return messages

    return patient_fetch


def _calm(fetch: Any) -> Any:
    async def calm_fetch(*args: Any, **kwargs: Any) -> Any:
        try:
            return await fetch(*args, **kwargs)
        except TimeoutError:
            raise NatsTimeoutError from None
        except (NatsError, JetStreamError) as error:
            logger.debug("a fetch failed: %r", error)  # `health` finds out why, and mends it or ends the process
            await asyncio.sleep(PAUSE_S)
            raise NatsTimeoutError from None

    return calm_fetch
