"""What an outbox knows of one retention class: its messages, and which of its seqs need no more care."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field

from argus.segments import FileSegment, Identity, Segment
from argus.spool import SpoolClass

RESEND_FIRST_S = 10.0
RESEND_LAST_S = 300.0


@dataclass(slots=True, eq=False)
class Message:
    """A row of events that travels together, for ever with the same bounds."""

    name: SpoolClass
    first_seq: int
    count: int
    segment: Segment
    read_at: int
    """Where its first frame stands in a file segment."""
    body: bytes | None = None
    taken: bool = False
    """The broker has it."""
    unheard: bool = False
    """It was handed over and no answer came: the broker may have it."""
    retry_at: float = 0.0
    tries: int = 0

    @property
    def next_seq(self) -> int:
        return self.first_seq + self.count

    def tried(self, now: float, *, taken: bool) -> None:
        """It was handed over (`taken`) or refused: it is due again when nobody has confirmed it for long enough."""
        self.retry_at = now + min(RESEND_FIRST_S * 2**self.tries, RESEND_LAST_S)
        self.tries += 1
        if taken:
            self.taken, self.body = True, None


@dataclass(slots=True)
class Track:
    """One retention class of the producer."""

    name: SpoolClass
    identity: Identity
    segments: list[Segment] = field(default_factory=list[Segment])
    reading: int = 0
    """Index of the segment that frames are taken from."""
    waiting: deque[Message] = field(default_factory=deque[Message])
    """Messages formed and not known to be stored, in the order of seq."""
    fixed: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]])
    """Bounds (first seq, count) that an earlier sender has used and that are not formed here yet."""
    stored_next: int = 0
    stored_ranges: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def remove(self, index: int) -> None:
        """The segment is gone, with its file."""
        segment = self.segments.pop(index)
        self.reading -= self.reading > index
        segment.close()
        if isinstance(segment, FileSegment):
            with contextlib.suppress(OSError):
                segment.path.unlink()

    def settle(self, first_seq: int, next_seq: int) -> None:
        """There is nothing to send or to wait for in [first_seq, next_seq) any more."""
        if next_seq > first_seq:
            self.stored_ranges = sorted([*self.stored_ranges, (first_seq, next_seq - 1)])
        while self.stored_ranges and self.stored_ranges[0][0] <= self.stored_next:
            self.stored_next = max(self.stored_next, self.stored_ranges.pop(0)[1] + 1)

    def edge_behind(self, seq: int) -> int | None:
        """The first seq behind `seq` where stored and unstored meet: no message may straddle it."""
        edges = [self.stored_next, *(edge for a, b in self.stored_ranges for edge in (a, b + 1))]
        return min((edge for edge in edges if edge > seq), default=None)

    def n_unstored(self, first_seq: int, next_seq: int) -> int:
        """How many seqs of [first_seq, next_seq) Argus has not confirmed."""
        at, count = max(first_seq, self.stored_next), 0
        for first, last in self.stored_ranges:  # ascending; they may overlap
            count += max(0, min(first, next_seq) - at)
            at = max(at, last + 1)
        return count + max(0, next_seq - at)

    def end(self) -> int:
        """The seq behind everything that was written. May raise `OSError`."""
        if not self.segments:
            return 0
        last = self.segments[-1]
        if not isinstance(last, FileSegment):
            return last.first_seq + len(last.events)
        counter = last.reread()
        try:
            counter.skip_to_end()
        finally:
            counter.close()
        return counter.next_seq

    def left(self) -> tuple[int, int]:
        """How many events were written and are not confirmed: in segments on disk, and in memory only."""
        on_disk = in_memory = 0
        for number, segment in enumerate(self.segments):
            if not isinstance(segment, FileSegment):
                in_memory += self.n_unstored(segment.first_seq, segment.first_seq + len(segment.events))
                continue
            end = segment.next_seq
            if number + 1 < len(self.segments):
                end = self.segments[number + 1].first_seq
            else:
                with contextlib.suppress(OSError):
                    end = self.end()
            on_disk += self.n_unstored(segment.first_seq, end)
        return on_disk, in_memory

    def is_stored(self, first_seq: int, next_seq: int) -> bool:
        """Whether every seq of [first_seq, next_seq) is in the log or in dead_letters."""
        at = max(first_seq, self.stored_next)
        for first, last in self.stored_ranges:
            if first <= at <= last:
                at = last + 1
        return at >= next_seq
