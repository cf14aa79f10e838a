"""Which of the lines that are read make a page, and how many numbers are missing between them."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from argus_query.logs.chunks import Line
from argus_query.logs.cursors import cursor_of, place_of
from argus_query.logs.scan import Found

MOST_LINES_LOOKED_AT = 200_000
LINES_LOOKED_BACK = 2_000
"""So far from a page is the line before its first one looked for, to know what is missing between them."""

MOST_BYTES = 700_000
"""A page ends where its lines would take more as JSON: an answer has to go into one message of the broker."""

Passes = Callable[[Line], bool]
Stream = tuple[str, int, str]
"""Job, attempt, producer: what counts its lines."""


def cursor_at(found: Found) -> str:
    return cursor_of(place_of(found.job_id, found.line))


def stream_of(found: Found) -> Stream | None:
    """Whose numbers the line's belong to; None where nobody counts (foreign senders)."""
    line = found.line
    return (found.job_id, line.attempt, line.producer) if line.producer and line.line_no is not None else None


class Gaps:
    """How many line numbers are missing just before a line, by its `event_id`."""

    def __init__(self) -> None:
        self.missing: dict[str, int] = {}
        self._waiting: dict[Stream, Line | None] = {}
        """By stream the first line read of it; None where it does not matter what stands before."""

    def between(self, earlier: Line, later: Line) -> None:
        self.missing[later.event_id] = max(0, (later.line_no or 0) - (earlier.line_no or 0) - 1)

    def older(self, found: Found, wanted: bool) -> None:
        """`found` stands before all that was given before; `wanted`: so is the number of those missing before it."""
        stream = stream_of(found)
        if stream is None:
            return
        later = self._waiting.get(stream)
        if later is not None:
            self.between(found.line, later)
        if wanted or later is not None:
            self._waiting[stream] = found.line if wanted else None

    def beginning(self) -> None:
        """Nothing stands before the lines that were given. The SDK counts from 0."""
        for line in self._waiting.values():
            if line is not None:
                self.missing[line.event_id] = line.line_no or 0

    def open(self) -> bool:
        """Is there a line of which it is not known yet?"""
        return any(line is not None for line in self._waiting.values())


class _Room:
    """How much of a page is left."""

    def __init__(self, limit: int) -> None:
        self._n_lines, self._n_bytes = limit, MOST_BYTES
        self._n_looks = MOST_LINES_LOOKED_AT

    def is_full(self) -> bool:
        return self._n_lines <= 0 or self._n_bytes <= 0 or self._n_looks <= 0

    def look(self) -> None:
        self._n_looks -= 1

    def take(self, found: Found) -> bool:
        """`found` is in the page too. False: it does not fit, and the page is full. The first one always fits."""
        line = found.line
        size = len(orjson.dumps([line.text, line.level])) + 3 * len(found.job_id.encode()) + _BYTES_AROUND
        if size > self._n_bytes < MOST_BYTES:
            self._n_bytes = 0
            return False
        self._n_bytes -= size
        self._n_lines -= 1
        return True


_BYTES_AROUND = 320


class LookBack:
    """Reads lines, newest first, only for what they tell of the gap before later ones."""

    def __init__(self, gaps: Gaps) -> None:
        self._gaps, self._n_left = gaps, LINES_LOOKED_BACK

    def has_enough(self, found: Found) -> bool:
        if not self._n_left or not self._gaps.open():
            return True
        self._n_left -= 1
        self._gaps.older(found, wanted=False)
        return False

    def at_end(self) -> None:
        self._gaps.beginning()


class Backwards:
    """The newest `limit` of the lines that pass, read newest first."""

    def __init__(self, passes: Passes, limit: int) -> None:
        self.passed: list[Found] = []
        self.gaps = Gaps()
        self.newest: str | None = None
        self.before: str | None = None
        """The last line looked at, where there are older ones."""
        self._passes, self._room = passes, _Room(limit)
        self._last: Found | None = None
        self._look_back = LookBack(self.gaps)

    def has_enough(self, found: Found) -> bool:
        if self.newest is None:
            self.newest = cursor_at(found)
        passed = not self._room.is_full() and self._passes(found.line)
        if self._room.is_full() or (passed and not self._room.take(found)):
            if self.before is None and self._last is not None:
                self.before = cursor_at(self._last)
            return self._look_back.has_enough(found)
        self._room.look()
        self._last = found
        if passed:
            self.passed.append(found)
        self.gaps.older(found, wanted=passed)
        return False

    def at_end(self) -> None:
        self.gaps.beginning()


class Forwards:
    """The oldest `limit` of the lines that pass, read oldest first. `gaps` is left open for the first of each stream."""

    def __init__(self, passes: Passes, limit: int) -> None:
        self.passed: list[Found] = []
        self.gaps = Gaps()
        self._passes, self._room = passes, _Room(limit)
        self._last: Found | None = None
        self._previous: dict[Stream, Line] = {}

    @property
    def oldest(self) -> str | None:
        return cursor_at(self.passed[0]) if self.passed else None

    @property
    def newest(self) -> str | None:
        """The last line looked at."""
        return cursor_at(self._last) if self._last else None

    def has_enough(self, found: Found) -> bool:
        passed = not self._room.is_full() and self._passes(found.line)
        if self._room.is_full() or (passed and not self._room.take(found)):
            return True
        self._room.look()
        self._last = found
        if passed:
            self.passed.append(found)
        stream = stream_of(found)
        if stream is not None:
            earlier = self._previous.get(stream)
            if passed and earlier is None:
                self.gaps.older(found, wanted=True)
            elif passed and earlier is not None:
                self.gaps.between(earlier, found.line)
            self._previous[stream] = found.line
        return False

    def at_end(self) -> None:
        """The page ends with the newest line there is."""
