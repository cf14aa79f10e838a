"""How many calls to the object store are made at once: fewer as soon as it asks for that, and then slowly more again."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 20.0
HALVE_AT_MOST_EVERY_S = 0.5


class Pace:
    """Shared by all threads that call one store. most: calls at once while it has not complained."""

    def __init__(self, most: int, now: Callable[[], float] = time.monotonic) -> None:
        self._most, self._now = most, now
        self._limit = float(most)
        self._active = 0
        self._pause = FIRST_PAUSE_S
        self._halved_at = self._wait_until = float("-inf")
        self._changed = threading.Condition()

    @property
    def at_once(self) -> int:
        """Calls that may be made at once just now."""
        return max(1, int(self._limit))

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Waits until one more call may be made."""
        with self._changed:
            while True:
                pause = self._wait_until - self._now()
                if self._active < self.at_once and pause <= 0:
                    break
                self._changed.wait(min(pause, 1.0) if pause > 0 else 1.0)
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify()

    def slow_down(self) -> None:
        """The store has asked for fewer calls: half as many, after a pause that doubles each time. Complaints of calls that were
        made at the same time count once."""
        with self._changed:
            now = self._now()
            if now - self._halved_at < HALVE_AT_MOST_EVERY_S:
                return
            self._halved_at = now
            self._limit = max(1.0, self._limit / 2)
            self._wait_until = now + self._pause * random.uniform(0.5, 1.0)  # noqa: S311
            self._pause = min(LONGEST_PAUSE_S, self._pause * 2)

    def went_well(self) -> None:
        """One more at once for each round of calls without a complaint."""
        with self._changed:
            self._pause = max(FIRST_PAUSE_S, self._pause * 0.9)
            if self._limit < self._most:
                self._limit = min(float(self._most), self._limit + 1 / self._limit)
                self._changed.notify()
