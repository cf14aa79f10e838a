"""The unsent and unstored part of one producer's spool: messages with fixed bounds, watermarks, trimming.

Used by one thread at a time: the sender of the live producer, or whoever adopted the folder of a dead one.
"""

from __future__ import annotations

import contextlib
from collections import deque
from pathlib import Path
from typing import Any

import orjson

from argus import folders
from argus.bounds import Bounds
from argus.dropping import Dropping
from argus.files import write_private
from argus.rolling import discover, frames_bytes, roll, trim_memory, undiscovered
from argus.segments import FileSegment, Identity, MemorySegment, Segment, find_segments
from argus.spool import CLASSES, Spool, SpoolClass
from argus.tracks import Message, Track
from argus.trouble import warn

MAX_EVENTS = 500
MAX_BYTES = 240 * 1024
"""Of a message; the wire takes 256 KiB."""
ENVELOPE_BYTES = 80
"""What an event grows by when it is sent: its id and its seq."""
SEGMENT_BYTES = 4 * 1024 * 1024


class Outbox:
    """Everything of one producer that Argus has not stored yet.

    spool: given for the live producer, whose lanes still write; None for an adopted folder.
    """

    def __init__(self, folder: Path, producer_id: str, batch_id: str, spool: Spool | None = None) -> None:
        self.folder, self.producer_id, self.batch_id, self.spool = folder, producer_id, batch_id, spool
        self.tracks: dict[SpoolClass, Track] = {n: Track(n, Identity(producer_id, n)) for n in CLASSES}
        self.n_stored = self.n_torn = 0
        self.ended = spool is None
        """True: nothing more is written. What is left then has one way only to be cut into messages."""
        self._formed = False
        self._bounds = Bounds(folder / "bounds")
        self._stored_changed = False
        self.dropping = Dropping(folder, spool)
        if spool is None:
            self._load()

    def no_more(self) -> None:
        """The lanes are closed: what was written is all."""
        self.ended = True

    # -- forming -------------------------------------------------------------------------------------------------

    def form(self, room: int) -> None:
        """At most `room` further messages are formed from what has been written since, and their bounds are fixed."""
        if self._formed:
            return
        ended, whole = self.ended, True
        for track in self.tracks.values():
            if self.spool is not None:
                discover(self.spool, track)
            try:
                while room > 0 and self._next_message(track) is not None:
                    room -= 1
            except OSError as error:
                whole = False
                warn("spool-read", f"cannot read the spool in {self.folder}: {error.strerror}", every_s=60)
        if ended and whole and room > 0 and not self.holds_memory():
            self.finish_reading()
            self._formed = self._all_read()
            self._close_files()

    def _next_message(self, track: Track) -> Message | None:
        while track.reading < len(track.segments):
            segment = track.segments[track.reading]
            before = segment.next_seq
            message = self._take(track, segment, self._limit(track, segment.next_seq))
            if message is not None:
                if track.is_stored(message.first_seq, message.next_seq):
                    continue
                if not (self.ended or (track.fixed and track.fixed[0] == (message.first_seq, message.count))):
                    self._fix(message)
                track.waiting.append(message)
                return message
            if segment.next_seq > before:
                continue  # only damaged events stood there; whole ones may follow
            if track.reading == len(track.segments) - 1:
                return None
            self._leave(track, segment, track.segments[track.reading + 1].first_seq)
        return None

    def _limit(self, track: Track, seq: int) -> int:
        """How many events a message from `seq` on may have, so that bounds used before stay as they were."""
        while track.fixed and sum(track.fixed[0]) <= seq:
            track.fixed.popleft()
        limit = MAX_EVENTS
        if track.fixed:
            first, size = track.fixed[0]
            limit = min(limit, size if first <= seq else first - seq)
        edge = track.edge_behind(seq)
        return limit if edge is None else min(limit, edge - seq)

    def _leave(self, track: Track, segment: Segment, next_first: int) -> None:
        """Everything readable was taken from `segment`; what is damaged at its end is counted and never waited for."""
        if isinstance(segment, FileSegment) and segment.count_torn_tail():
            self.n_torn += 1
            warn("torn", f"{segment.path}: the end was never written whole and was left out")
        track.settle(segment.next_seq, next_first)
        track.reading += 1

    def _take(self, track: Track, segment: Segment, limit: int) -> Message | None:
        torn, start = segment.torn, segment.next_seq
        first, events = segment.take(limit)
        self.n_torn += segment.torn - torn
        track.settle(start, first)
        if not events:
            return None
        fitting = len(events)
        size = sum(map(len, events)) + ENVELOPE_BYTES * fitting
        while size > MAX_BYTES and fitting > 1:
            fitting -= 1
            size -= len(events[fitting]) + ENVELOPE_BYTES
        read_at = 0
        if isinstance(segment, FileSegment):
            read_at = segment.read_at - frames_bytes(events)
            segment.read_at -= frames_bytes(events[fitting:])
        segment.next_seq -= len(events) - fitting
        del events[fitting:]
        message = Message(track.name, first, len(events), segment, read_at)
        message.body = self._encode(track, first, events)
        return message

    def _encode(self, track: Track, first_seq: int, events: list[bytes]) -> bytes:
        head = f'{{"v":2,"producer_id":"{self.producer_id}","class":"{track.name}","first_seq":{first_seq},"events":['
        return b"%b%b]}" % (head.encode(), b",".join(track.identity.wear(first_seq, events)))

    def body_of(self, message: Message) -> bytes:
        """The message's bytes, the same at every call."""
        if message.body is not None:
            return message.body
        segment = message.segment
        if isinstance(segment, MemorySegment):
            at = message.first_seq - segment.first_seq
            events = segment.events[at : at + message.count]
        else:
            again = segment.at(message.first_seq, message.first_seq, message.read_at)
            try:
                _, events = again.take(message.count)
            finally:
                again.close()
        if len(events) != message.count:
            raise OSError(f"{self.folder}: {message.name} {message.first_seq} cannot be read any more")
        return self._encode(self.tracks[message.name], message.first_seq, events)

    def due(self, now: float, limit: int) -> list[Message]:
        """At most `limit` messages to send now, lifecycle first, each class in the order of seq."""
        found: list[Message] = []
        for track in self.tracks.values():
            for message in track.waiting:
                if len(found) >= limit:
                    return found
                if now >= message.retry_at:
                    found.append(message)
        return found

    def unsent(self) -> int:
        """How many messages are formed and not taken by the broker."""
        return sum(not message.taken for track in self.tracks.values() for message in track.waiting)

    # -- stored --------------------------------------------------------------------------------------------------

    def stored(self, name: SpoolClass, next_seq: int, ranges: list[tuple[int, int]]) -> None:
        """Argus has every event below `next_seq` and in `ranges` (both ends inclusive): they need not be kept."""
        track = self.tracks[name]
        track.stored_next = max(track.stored_next, next_seq)
        track.stored_ranges = sorted({*track.stored_ranges, *((int(a), int(b)) for a, b in ranges)})
        track.settle(0, 0)
        kept: deque[Message] = deque()
        for message in track.waiting:
            if track.is_stored(message.first_seq, message.next_seq):
                self.n_stored += message.count
            else:
                kept.append(message)
        track.waiting = kept
        self._stored_changed = True

    def tidy(self, cap_bytes: int) -> None:
        """Stored segments are gone, full ones rolled, the cap is kept, the watermark is on disk."""
        if self._formed and (not self._stored_changed or self.is_empty()):
            return
        if self.spool is not None and self.spool.is_gone():
            warn("gone", f"{self.folder} was deleted; what is not sent when this process ends is lost")
        for track in self.tracks.values():
            if self.spool is not None:
                discover(self.spool, track)
                roll(self.spool, track, min(SEGMENT_BYTES, max(cap_bytes // 16, 4096)))
            while track.reading > 0 and track.is_stored(track.segments[0].first_seq, track.segments[1].first_seq):
                track.remove(0)
            if self.spool is not None:
                trim_memory(self.spool.lanes[track.name], track)
        self.dropping.keep_cap(self.tracks, cap_bytes)
        if self._stored_changed and self.folder.exists():
            self._stored_changed = False
            marks = {name: [track.stored_next, track.stored_ranges] for name, track in self.tracks.items()}
            with contextlib.suppress(OSError):
                write_private(self.folder / "stored.json", orjson.dumps(marks))

    def unstored(self) -> int:
        """How many events of formed messages Argus has not confirmed."""
        return sum(message.count for track in self.tracks.values() for message in track.waiting)

    def left(self) -> tuple[int, int]:
        """How many events are not confirmed: on disk, and in memory only."""
        if self.spool is not None:
            for track in self.tracks.values():
                discover(self.spool, track)  # the sender may not have come to that yet: it waits for an answer
        each = [track.left() for track in self.tracks.values()]
        on_disk, in_memory = sum(on_disk for on_disk, _ in each), sum(in_memory for _, in_memory in each)
        return (on_disk, in_memory) if self.folder.exists() else (0, on_disk + in_memory)

    def is_empty(self) -> bool:
        """True where everything that was written is stored."""
        return not any(track.waiting for track in self.tracks.values()) and (self._formed or self._all_read())

    def _all_read(self) -> bool:
        """Whether messages were formed of everything that was written."""
        for name, track in self.tracks.items():
            if track.reading < len(track.segments) - 1:
                return False
            last = track.segments[-1] if track.segments else None
            if isinstance(last, FileSegment) and last.read_at < last.size():
                return False
            if isinstance(last, MemorySegment) and last.next_seq < last.first_seq + len(last.events):
                return False
            lane = self.spool.lanes[name] if self.spool is not None else None
            if lane is not None and (undiscovered(lane, track) or (last is None and lane.begun)):
                return False
        return True

    def holds_memory(self) -> bool:
        """Whether events wait here that no disk has taken yet."""
        return any(
            isinstance(track.segments[-1], MemorySegment) if track.segments else False for track in self.tracks.values()
        ) or (self.spool is not None and self.spool.holds_memory())

    def written(self) -> dict[SpoolClass, int]:
        """The seq behind everything that was written so far, by class."""
        ends: dict[SpoolClass, int] = {}
        for name, track in self.tracks.items():
            if self.spool is not None:
                discover(self.spool, track)
            ends[name] = track.end()
        return ends

    def has_stored(self, until: dict[SpoolClass, int]) -> bool:
        """Whether Argus has every event below these seqs."""
        return all(self.tracks[name].is_stored(0, seq) for name, seq in until.items())

    def remove_folder(self) -> None:
        """The folder is gone. Call it with everything stored and its lock held."""
        self.close()
        self.forget_segments()
        for path in sorted(self.folder.glob("*"), key=lambda path: path.name == folders.LOCK):
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def forget_segments(self) -> None:
        """Nothing is left here to be read: the folder goes."""
        for track in self.tracks.values():
            track.segments.clear()

    def finish_reading(self) -> None:
        """A torn tail of a dead producer is counted and passed over, so that the outbox can become empty.

        What is whole and was not read yet stays: only an end that holds no whole event counts as torn.
        """
        for track in self.tracks.values():
            last = track.segments[-1] if track.segments and track.reading >= len(track.segments) - 1 else None
            if isinstance(last, FileSegment) and last.ends_torn():
                self.n_torn += 1
                warn("torn", f"{last.path}: the end was never written whole and was left out")
                last.read_at = last.size()

    def close(self) -> None:
        self._close_files()
        self._bounds.close()

    def _close_files(self) -> None:
        for track in self.tracks.values():
            for segment in track.segments:
                segment.close()

    def _load(self) -> None:
        for name, segments in find_segments(self.folder).items():
            self.tracks[name].segments.extend(segments)
        with contextlib.suppress(OSError, ValueError):
            marks: Any = orjson.loads((self.folder / "stored.json").read_bytes())
            for name, track in self.tracks.items():
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):  # then it is sent once more
                    next_seq, ranges = marks[name]
                    ranges = sorted((int(first), int(last)) for first, last in ranges)
                    track.stored_next, track.stored_ranges = max(int(next_seq), 0), ranges
        for name, first_seq, size in self._bounds.read():
            track = self.tracks[name]
            if not track.is_stored(first_seq, first_seq + size):
                track.fixed.append((first_seq, size))

    def _fix(self, message: Message) -> None:
        with contextlib.suppress(OSError):  # a re-send with other bounds is recognised all the same, event by event
            self._bounds.fix(message.name, message.first_seq, message.count)
