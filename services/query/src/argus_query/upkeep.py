"""Finds what has many small rows, and has them merged a little at a time."""

from __future__ import annotations

from collections.abc import Sequence, Set
from itertools import islice
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from psycopg import AsyncConnection

OLD_SECONDS = 600.0
_WORK_SECONDS = 0.05
"""A piece of work is not begun after so long; one piece takes about as long at most. New events wait meanwhile."""
_OLD_AT_ONCE = 500
_DUE_AT_ONCE = 50

Key = TypeVar("Key", bound=tuple[Any, ...])


class Merging(Protocol[Key]):
    """What can be done to the rows of one table. Answers do not depend on any of it.

    many_rows, much: as many rows under a key, or as much in them, are merged without waiting until they are old.
    """

    many_rows: int
    much: int

    async def loose(self, connection: AsyncConnection[Any]) -> Sequence[tuple[Key, int, int]]:
        """What folds have written and `tidy` has not seen: by key how many rows and how much is in them."""
        ...

    async def tidy(self, connection: AsyncConnection[Any], keys: Sequence[Key], thorough: Set[Key]) -> set[Key]:
        """Small rows under `keys` are merged; but for those in `thorough` only where it pays. Where there is more to do."""
        ...

    async def settle_lonely(self, connection: AsyncConnection[Any], keys: Sequence[Key]) -> set[Key]:
        """Those of `keys` with nothing to merge; they are as tidy now as they will be."""
        ...


class _Loose:
    """What folds have added under one key since it was last looked at."""

    __slots__ = ("amount", "n_rows", "since")

    def __init__(self) -> None:
        self.n_rows, self.amount, self.since = 0, 0, monotonic()


class Upkeep(Generic[Key]):
    """Tidies the keys that folds have given many rows or much; and once, thoroughly, those that were given something
    ten minutes ago and are not among the first.
    """

    def __init__(self, merging: Merging[Key]) -> None:
        self._merging = merging
        self._loose: dict[Key, _Loose] | None = None
        self._due: dict[Key, None] = {}
        self._old: list[Key] = []
        self._next_aging = monotonic() + OLD_SECONDS

    def forget(self) -> None:
        self._loose = None
        self._due.clear()
        self._old.clear()

    def note(self, key: Key, n_rows: int, amount: int) -> None:
        """A fold has written `n_rows` small rows with `amount` under `key`."""
        if self._loose is None:  # the next `work` reads all of it from the table
            return
        loose = self._loose.get(key)
        if loose is None:
            loose = self._loose[key] = _Loose()
        loose.n_rows += n_rows
        loose.amount += amount
        if loose.n_rows > self._merging.many_rows or loose.amount > self._merging.much:
            self._due[key] = None

    async def work(self, connection: AsyncConnection[Any]) -> bool:
        """Some keys are tidy, after at most about 100 ms. True: more are due."""
        until = monotonic() + _WORK_SECONDS
        if self._loose is None:
            self._loose = {}
            for key, n_rows, amount in await self._merging.loose(connection):
                self.note(key, n_rows, amount)
        self._find_old(self._loose)
        while (self._due or self._old) and monotonic() < until:
            if self._due:
                await self._tidy(connection, list(islice(self._due, _DUE_AT_ONCE)), self._loose)
            else:
                piece, self._old = self._old[:_OLD_AT_ONCE], self._old[_OLD_AT_ONCE:]
                done = await self._merging.settle_lonely(connection, piece)
                for key in piece:
                    if key in done:
                        self._loose.pop(key, None)
                    elif key in self._loose:
                        self._due[key] = None
        return bool(self._due or self._old)

    async def _tidy(self, connection: AsyncConnection[Any], keys: list[Key], loose: dict[Key, _Loose]) -> None:
        old = {key for key in keys if self._is_old(loose.get(key))}
        unfinished = await self._merging.tidy(connection, keys, old)
        for key in keys:
            if key not in unfinished:
                del self._due[key]
                loose.pop(key, None)

    def _find_old(self, loose: dict[Key, _Loose]) -> None:
        """Only once in a while, because all keys are looked through."""
        if monotonic() < self._next_aging:
            return
        self._next_aging = monotonic() + OLD_SECONDS / 10
        self._old = [key for key in loose if self._is_old(loose[key])]

    def _is_old(self, loose: _Loose | None) -> bool:
        return loose is not None and monotonic() - loose.since > OLD_SECONDS
