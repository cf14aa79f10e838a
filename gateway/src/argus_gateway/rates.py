"""Rate limits for what can be abused. Posting events is not among them: facts are never dropped."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from argus_gateway.problems import too_many

_MAX_KEPT = 20_000


class Limit:
    """At most `most` per `window_s` and key, in a sliding window. Remembers the 20,000 keys used last."""

    def __init__(self, most: int, window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.window_s, self._clock = most, window_s, clock
        self._seen: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def wait_s(self, key: Hashable) -> float:
        """Counts this one and answers 0, or how long to wait."""
        now = self._clock()
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        while len(self._seen) > _MAX_KEPT:
            self._seen.popitem(last=False)
        while times and times[0] <= now - self.window_s:
            times.popleft()
        if len(times) >= self.most:
            return times[0] + self.window_s - now
        times.append(now)
        return 0.0

    def forgive(self, key: Hashable) -> None:
        """The last one does not count: it was no attack."""
        if self._seen.get(key):
            self._seen[key].pop()

    def check(self, key: Hashable, what: str) -> None:
        """HTTP 429 with `Retry-After` where it is too many."""
        wait = self.wait_s(key)
        if wait > 0:
            raise too_many(f"too many {what}; wait {int(wait) + 1} s", int(wait) + 1)


class Rates:
    def __init__(self, changes_per_minute: int) -> None:
        self.sign_in = Limit(10, 60.0)  # per account and address; only failures stay counted
        self.sign_in_address = Limit(100, 60.0)  # per address, over all accounts
        self.writes = Limit(changes_per_minute, 60.0)  # per user: keys, users, workspaces, members
