"""Reading a producer's segments: frames, where a torn or damaged one ends, and the events as they go out."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from argus.spool import CLASSES, HEADER, MAX_FRAME_BYTES, USED_BEFORE, SpoolClass

_NAME = re.compile(r"(lifecycle|metrics|snapshots|log_lines)\.(\d{16})\.seg")
_READ_BYTES = 320 * 1024
_HEADER_BYTES, _unpack = HEADER.size, HEADER.unpack_from
MIN_FRAME_BYTES = 2
"""Of an object as JSON. Zeros where a power cut left no contents would be empty frames with a right checksum."""


@dataclass(slots=True)
class FileSegment:
    """A file of frames. `read_at` and `next_seq` move together while frames are taken out."""

    path: Path
    first_seq: int
    next_seq: int = -1
    read_at: int = 0
    torn: int = 0
    """Frames that had to be left out, because their bytes are damaged or incomplete."""
    fd: int = -1

    def __post_init__(self) -> None:
        if self.next_seq < 0:
            self.next_seq = self.first_seq

    def size(self) -> int:
        """Bytes on disk; 0 where the file has gone (and is not open here)."""
        try:
            return os.fstat(self.fd).st_size if self.fd >= 0 else self.path.stat().st_size
        except OSError:
            return 0

    def read(self, start: int, length: int) -> bytes:
        if self.fd < 0:
            self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self.fd, length, start)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def take(self, limit: int) -> tuple[int, list[bytes]]:
        """The seq of the first, and at most `limit` whole events behind `read_at`. A damaged one ends the list early."""
        events: list[bytes] = []
        data = self.read(self.read_at, _READ_BYTES)
        at, end, first, torn = self._first_frame(data), len(data), self.next_seq, 0
        while len(events) < limit and end - at >= _HEADER_BYTES:
            length, checksum = _unpack(data, at)
            start = at + _HEADER_BYTES
            stop = start + length
            if not MIN_FRAME_BYTES <= length <= MAX_FRAME_BYTES or stop > end:
                break
            payload = data[start:stop]
            if crc32(payload) == checksum:
                events.append(payload)
            elif events:
                break
            else:
                torn += 1
            at = stop
        self.torn += torn
        self.next_seq = first + torn + len(events)
        self.read_at += at
        return first + torn, events

    def _first_frame(self, data: bytes) -> int:
        """Where frames begin in `data`, which was read at `read_at`."""
        return len(USED_BEFORE) if self.read_at == 0 and data.startswith(USED_BEFORE) else 0

    def reread(self) -> FileSegment:
        """The same file at the same place, to look ahead; close it."""
        return self.at(self.first_seq, self.next_seq, self.read_at)

    def at(self, first_seq: int, next_seq: int, read_at: int) -> FileSegment:
        """The same file, though it was deleted, at another place; close it."""
        other = FileSegment(self.path, first_seq, next_seq, read_at)
        if self.fd >= 0:
            other.hold(self.fd)
        return other

    def hold(self, fd: int) -> None:
        """What `fd` is open for can be read here, also when somebody deletes it. Without it the path is opened."""
        with contextlib.suppress(OSError):
            self.fd = os.dup(fd)

    def skip_to_end(self) -> None:
        """`next_seq` counts every frame that the file has now, damaged ones too: they have a number as well."""
        while True:
            data = self.read(self.read_at, _READ_BYTES)
            at, end = self._first_frame(data), len(data)
            while end - at >= _HEADER_BYTES:
                length, _ = _unpack(data, at)
                stop = at + _HEADER_BYTES + length
                if not MIN_FRAME_BYTES <= length <= MAX_FRAME_BYTES or stop > end:
                    break
                at = stop
                self.next_seq += 1
            if at == 0:
                return
            self.read_at += at

    def ends_torn(self) -> bool:
        """Whether bytes follow `read_at` that hold no whole event. False where they cannot be read just now."""
        if self.read_at >= self.size():
            return False
        probe = self.reread()
        try:
            probe.take(1)
        except OSError:
            return False
        finally:
            probe.close()
        return probe.read_at == self.read_at

    def count_torn_tail(self) -> bool:
        """True (and counted in `torn`) where bytes follow the last whole frame. Only for a file that nobody writes."""
        if self.read_at >= self.size():
            return False
        self.torn += 1
        return True


@dataclass(slots=True)
class MemorySegment:
    """Events that no disk would take."""

    first_seq: int
    events: list[bytes]
    next_seq: int = -1
    torn: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.next_seq < 0:
            self.next_seq = self.first_seq

    def take(self, limit: int) -> tuple[int, list[bytes]]:
        first = self.next_seq
        taken = self.events[first - self.first_seq : first - self.first_seq + limit]
        self.next_seq += len(taken)
        return first, taken

    def close(self) -> None:
        return


Segment = FileSegment | MemorySegment


def find_segments(folder: Path) -> dict[SpoolClass, list[FileSegment]]:
    """The segments of a folder per class, in the order of their seq."""
    found: dict[SpoolClass, list[FileSegment]] = {name: [] for name in CLASSES}
    for path in sorted(folder.glob("*.seg")):
        match = _NAME.fullmatch(path.name)
        if match:
            found[match[1]].append(FileSegment(path, int(match[2])))  # type: ignore[index]
    return found


class Identity:
    """Makes the `event_id` of each event of one producer and class: a UUIDv7 that anybody can derive again.

    48 bits: milliseconds of the producer's birth. 34 bits of the producer's own randomness, 2 bits for the class,
    38 bits of seq. Nothing is drawn per event, and a re-send has the same ids.
    """

    def __init__(self, producer_id: str, name: SpoolClass) -> None:
        born, random = int(producer_id[:12], 16), int(producer_id[12:32], 16)
        high = (born << 16) | 0x7000 | (random >> 68)  # 12 of the 80 random bits
        low = (0b10 << 62) | (((random >> 46) & 0x3FFFFF) << 40) | (CLASSES.index(name) << 38)
        text = f"{high:016x}{low:016x}"
        self._head = f'{{"event_id":"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-'.encode()
        self._base = int(text[20:], 16)

    def wear(self, first_seq: int, payloads: list[bytes]) -> list[bytes]:
        """The events with their ids and seqs, ready to be joined into a message."""
        head, base = self._head, self._base
        return [
            b'%b%012x","seq":%d,%b' % (head, base + seq, seq, payload[1:])
            for seq, payload in enumerate(payloads, first_seq)
        ]
