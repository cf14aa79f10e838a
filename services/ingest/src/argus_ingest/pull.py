"""Makes FastStream's pull loop safe to run for weeks (seen with faststream 0.7.8 and nats-py 2.16)."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js import JetStreamContext
from nats.js.errors import Error as JetStreamError

PAUSE_S = 0.5
logger = logging.getLogger(__name__)


def calm_pull_loops(jetstream: JetStreamContext) -> None:
    """From now on every pull subscription that is made through `jetstream` is calm: an empty or broken fetch costs one turn
    of the loop, and no more. To be called before the subscribers start, because they fetch at once.

    - An empty fetch sometimes ends with `asyncio.TimeoutError`, where the loop expects only nats-py's subclass: its task
      would die and be replaced, at once and for ever, and every dead task is kept.
    - On a closed connection, and where the stream or the durable is gone, a fetch fails without ever waiting: the loop
      would hold the processor for itself, or ask the broker as fast as it can.
    """
    subscribe = jetstream.pull_subscribe

    async def calm_subscribe(*args: Any, **kwargs: Any) -> Any:
        subscription: Any = await subscribe(*args, **kwargs)
        subscription.fetch = _calm(subscription.fetch)
        return subscription

    jetstream.pull_subscribe = calm_subscribe


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
