"""Waiting on a condition with a deadline: tests never sleep for a guessed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

T = TypeVar("T")
WITHIN_S = 60.0
"""A safety net and no promise: whoever waits for less says so, and why."""
_PAUSE_SECONDS = 0.02
_NOT_YET = (AssertionError, OSError, httpx.HTTPError)


class NeverHappened(AssertionError):
    """The condition was still false at the deadline; the message has its last answer or error."""


def eventually(
    predicate: Callable[[], T], within: float = WITHIN_S, what: str = "", every: float = _PAUSE_SECONDS
) -> T:
    """The first truthy answer of `predicate`. An AssertionError, a failed connection or a refused request inside counts as
    "not yet".

    within: seconds; it is asked at least once after them, however long this process stood still meanwhile. what: a few
    words for the message when it never happens. every: seconds between two looks.
    """
    deadline, last = time.monotonic() + within, None
    while True:
        late = time.monotonic() > deadline
        try:
            last = predicate()
            if last:
                return last
        except _NOT_YET as error:
            last = error
        if late:
            raise _never(predicate, within, what, last)
        time.sleep(every)


async def eventually_async(predicate: Callable[[], Awaitable[T] | T], within: float = WITHIN_S, what: str = "") -> T:
    """As `eventually`, for code inside an event loop; `predicate` may be a coroutine function or plain."""
    deadline, last = time.monotonic() + within, None
    while True:
        late = time.monotonic() > deadline
        try:
            answer = predicate()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last  # type: ignore[return-value]
        except _NOT_YET as error:
            last = error
        if late:
            raise _never(predicate, within, what, last)
        await asyncio.sleep(_PAUSE_SECONDS)


def _never(predicate: Callable[[], object], within: float, what: str, last: object) -> NeverHappened:
    name = what or getattr(predicate, "__name__", "the condition")
    error = NeverHappened(f"{name} did not come true within {within:g} s; last answer: {last!r}")
    if isinstance(last, BaseException):
        error.__cause__ = last
    return error
