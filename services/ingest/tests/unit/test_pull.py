"""A fetch waits for the first message where none comes, and never while something is in hand."""

from __future__ import annotations

from typing import Any

import pytest
from nats.errors import ConnectionClosedError
from nats.errors import TimeoutError as NatsTimeoutError

from argus_ingest.pull import GATHER_S, LINGER_S, calm_pull_loops

FULL, WINDOW_S = 100, 0.03
NOTHING = NatsTimeoutError()


class Broker:
    """Stands for nats-py: subscribes, and answers fetches with what it was given, in this order."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[int, float]] = []

    async def pull_subscribe(self) -> Broker:
        return self

    async def fetch(self, batch: int, timeout: float) -> list[str]:
        self.asked.append((batch, timeout))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def subscribed(broker: Broker) -> Any:
    jetstream: Any = broker
    calm_pull_loops(jetstream, FULL)
    return await jetstream.pull_subscribe()


async def test_what_comes_in_time_is_all_that_is_asked_for() -> None:
    broker = Broker(["a", "b"])
    assert await (await subscribed(broker)).fetch(batch=FULL, timeout=WINDOW_S) == ["a", "b"]
    assert broker.asked == [(FULL, WINDOW_S)]


async def test_where_nothing_comes_one_request_waits_and_what_comes_with_the_first_message_is_taken_along() -> None:
    broker = Broker(NOTHING, ["a"], ["b", "c"])
    assert await (await subscribed(broker)).fetch(batch=FULL, timeout=WINDOW_S) == ["a", "b", "c"]
    assert broker.asked == [(FULL, WINDOW_S), (1, LINGER_S), (FULL - 1, GATHER_S)]


async def test_while_nothing_happens_a_fetch_is_one_request() -> None:
    broker = Broker(NOTHING, NOTHING, NOTHING, ["a"], NOTHING, ["b"])
    subscription = await subscribed(broker)
    for _ in range(2):
        with pytest.raises(NatsTimeoutError):
            await subscription.fetch(batch=FULL, timeout=WINDOW_S)
    assert await subscription.fetch(batch=FULL, timeout=WINDOW_S) == ["a"]
    assert broker.asked == [(FULL, WINDOW_S), (1, LINGER_S), (1, LINGER_S), (1, LINGER_S), (FULL - 1, GATHER_S)]
    assert await subscription.fetch(batch=FULL, timeout=WINDOW_S) == ["b"]  # as before, now that something happens
    assert broker.asked[-1] == (FULL, WINDOW_S)


async def test_with_messages_in_hand_nobody_waits_for_more() -> None:
    broker = Broker(NOTHING)
    with pytest.raises(NatsTimeoutError):
        await (await subscribed(broker)).fetch(batch=FULL - 1, timeout=WINDOW_S)
    assert broker.asked == [(FULL - 1, WINDOW_S)]


async def test_a_link_that_breaks_takes_nothing_that_is_in_hand() -> None:
    broker = Broker(NOTHING, ["a"], ConnectionClosedError())
    assert await (await subscribed(broker)).fetch(batch=FULL, timeout=WINDOW_S) == ["a"]
