"""How much the SDK has on its way to the broker at once: what the link takes, and no more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from argus.settings import settings
from argus.transport.base import ANSWER_S, LONGEST_ANSWER_S, answer_s
from argus.transport.nats import FIRST_WINDOW_BYTES, LEAST_WINDOW_BYTES, MOST_WINDOW_BYTES, NatsTransport

KB = 1024


@pytest.fixture
def transport() -> Iterator[NatsTransport]:
    made = NatsTransport(settings("nats://127.0.0.1:1", "ak_a_b"))
    yield made
    made.close()


def n_in_window(transport: NatsTransport) -> int:
    packed, n_bytes = transport._window_of([("b", b"x" * (100 * KB))] * 1_000)
    assert n_bytes == sum(len(body) for bundle in packed for _, body in bundle)
    return sum(map(len, packed))


def test_a_good_link_is_filled_soon_and_within_bounds(transport: NatsTransport) -> None:
    assert n_in_window(transport) == FIRST_WINDOW_BYTES // (100 * KB)
    for _ in range(20):
        transport._fit_window(MOST_WINDOW_BYTES, 0.01, is_taken=True)
    assert MOST_WINDOW_BYTES - 200 * KB < n_in_window(transport) * 100 * KB <= MOST_WINDOW_BYTES


def test_what_failed_at_once_says_nothing_of_a_good_link(transport: NatsTransport) -> None:
    transport._fit_window(FIRST_WINDOW_BYTES, 0.01, is_taken=False)
    assert transport._window_bytes == FIRST_WINDOW_BYTES


def test_a_slow_link_gets_what_passes_in_two_seconds_and_one_message_at_least(transport: NatsTransport) -> None:
    transport._fit_window(200 * KB, 8.0, is_taken=True)
    assert transport._window_bytes == 50 * KB
    for _ in range(20):
        transport._fit_window(100 * KB, 25.0, is_taken=False)
    assert transport._window_bytes == LEAST_WINDOW_BYTES
    assert n_in_window(transport) == 1


def test_an_answer_is_waited_for_as_long_as_the_bytes_take() -> None:
    assert answer_s(0) == ANSWER_S
    assert answer_s(160 * KB) == ANSWER_S + 10
    assert answer_s(10 * KB * KB) == LONGEST_ANSWER_S
