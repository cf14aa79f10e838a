"""Waiting on a condition with a deadline: tests never sleep for a guessed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
_PAUSE_SECONDS = 0.02


class NeverHappened(AssertionError):
    """The condition was still false at the deadline; the message has its last answer or error."""


def eventually(predicate: Callable[[], T], within: float = 60.0, what: str = "") -> T:
    """The first truthy answer of `predicate`. An AssertionError or an OSError inside counts as "not yet".

    within: seconds; a safety net on a loaded machine, no promise of the product. what: a few words for the message when it never happens.
    """
    deadline, last = time.monotonic() + within, None
    while True:
        try:
            last = predicate()
            if last:
                return last
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise _never(predicate, within, what, last)
        time.sleep(_PAUSE_SECONDS)


async def eventually_async(predicate: Callable[[], Awaitable[T] | T], within: float = 60.0, what: str = "") -> T:
    """As `eventually`, for code inside an event loop; `predicate` may be a coroutine function or plain."""
    deadline, last = time.monotonic() + within, None
    while True:
        try:
            answer = predicate()
            last = await answer if inspect.isawaitable(answer) else answer
            if last:
                return last  # type: ignore[return-value]
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise _never(predicate, within, what, last)
        await asyncio.sleep(_PAUSE_SECONDS)


def _never(predicate: Callable[[], object], within: float, what: str, last: object) -> NeverHappened:
    name = what or getattr(predicate, "__name__", "the condition")
    error = NeverHappened(f"{name} did not come true within {within:g} s; last answer: {last!r}")
    if isinstance(last, BaseException):
        error.__cause__ = last
    return error
