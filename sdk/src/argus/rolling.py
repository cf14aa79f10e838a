"""Where a lane writes: its segments are discovered, rolled, and moved from memory to disk. In the sender's thread alone."""

from __future__ import annotations

import contextlib
import os

from argus.files import append_only
from argus.segments import FileSegment, MemorySegment
from argus.spool import HEADER, Lane, Spool, frame, segment_path
from argus.tracks import Track
from argus.trouble import warn


def discover(spool: Spool, track: Track) -> None:
    """The lane's first segment, and what the lane holds in memory, are in `track`.

    Not yet, where the segment before cannot be read just now: nobody knows then which seq comes next.
    """
    lane = spool.lanes[track.name]
    if not track.segments and lane.begun:
        track.segments.append(_held(lane, FileSegment(segment_path(spool.folder, track.name, 0), 0)))
    if undiscovered(lane, track):
        with lane.lock:
            first = _end_of(track)
            if first is not None and lane.memory is not None:
                track.segments.append(MemorySegment(first, lane.memory))


def undiscovered(lane: Lane, track: Track) -> bool:
    """Whether the lane holds events in memory that `track` does not know of yet."""
    return lane.memory is not None and not (track.segments and isinstance(track.segments[-1], MemorySegment))


def roll(spool: Spool, track: Track, limit: int) -> None:
    """A full segment is followed by a new one; what waits in memory is on disk, if the disk can."""
    lane = spool.lanes[track.name]
    last = track.segments[-1] if track.segments else None
    if isinstance(last, MemorySegment):
        _to_disk(spool, track, lane, last)
    elif isinstance(last, FileSegment) and lane.fd >= 0 and last.size() >= limit:
        open_next(spool, track)


def open_next(spool: Spool, track: Track) -> None:
    """The lane writes to a new segment; or, where that cannot be opened, to where it did."""
    lane = spool.lanes[track.name]
    last, counter = track.segments[-1], None
    if isinstance(last, FileSegment):
        counter = last.reread()
        with contextlib.suppress(OSError):
            counter.skip_to_end()  # most of it without the lock, so that no call waits for it
    with lane.lock:
        first = _end_of(track, counter)
        if first is None:
            return
        try:
            fd = append_only(segment_path(spool.folder, track.name, first))
        except OSError:
            return
        old, lane.fd = lane.fd, fd
        if old >= 0:
            os.close(old)
    track.segments.append(_held(lane, FileSegment(segment_path(spool.folder, track.name, first), first)))


def hold_back(spool: Spool, track: Track, total_bytes: int, cap_bytes: int) -> None:
    """A lane of a full spool takes nothing, and counts that; below 90 % of the cap it writes again."""
    lane = spool.lanes[track.name]
    if total_bytes > cap_bytes and not lane.refusing and lane.memory is None:
        warn("full", f"the spool in {spool.folder} is full; log lines and snapshots are dropped and counted")
        with lane.lock:
            lane.refusing = True
            lane.close()
    elif lane.refusing and not lane.closed and total_bytes <= cap_bytes * 0.9:
        if track.segments:
            open_next(spool, track)
        lane.refusing = False


def trim_memory(lane: Lane, track: Track) -> None:
    """What is stored of the events in memory is forgotten."""
    if not track.segments or not isinstance(track.segments[-1], MemorySegment):
        return
    memory = track.segments[-1]
    done = (track.waiting[0].first_seq if track.waiting else memory.next_seq) - memory.first_seq
    if done > 0:
        with lane.lock:
            lane.memory_bytes -= sum(len(event) for event in memory.events[:done])
            del memory.events[:done]
            memory.first_seq += done


def _held(lane: Lane, segment: FileSegment) -> FileSegment:
    """`segment`, which the lane writes, readable to its end whoever deletes it."""
    with lane.lock:
        if lane.fd >= 0:
            segment.hold(lane.fd)
    return segment


def frames_bytes(events: list[bytes]) -> int:
    """What `events` take in a segment."""
    return sum(map(len, events)) + HEADER.size * len(events)


def _end_of(track: Track, counter: FileSegment | None = None) -> int | None:
    """The seq behind everything in the last segment; None where it cannot be read. Under the lane's lock.

    counter: has counted most of it. A seq that is too low would be given to two events, and the log keeps the first.
    """
    if not track.segments:
        return 0
    last = track.segments[-1]
    if isinstance(last, MemorySegment):
        return last.first_seq + len(last.events)
    counter = counter or last.reread()
    try:
        counter.skip_to_end()
    except OSError:
        return None
    finally:
        counter.close()
    return counter.next_seq


def _to_disk(spool: Spool, track: Track, lane: Lane, memory: MemorySegment) -> None:
    """What waited in memory stands in a segment of its own, and the lane writes to disk again, if the disk can."""
    path = segment_path(spool.folder, track.name, memory.first_seq)
    with lane.lock:
        fd = -1
        try:
            spool.make_folder()
            fd = append_only(path)
            os.ftruncate(fd, 0)
            for start in range(0, len(memory.events), 1000):
                block = b"".join(frame(event) for event in memory.events[start : start + 1000])
                if os.write(fd, block) != len(block):
                    raise OSError("no space")  # noqa: TRY301
        except OSError:
            if fd >= 0:
                os.close(fd)
                with contextlib.suppress(OSError):
                    path.unlink()
            return
        lane.fd, lane.begun, lane.memory, lane.memory_bytes = fd, True, None, 0
    read = memory.events[: memory.next_seq - memory.first_seq]
    on_disk = FileSegment(path, memory.first_seq, memory.next_seq, frames_bytes(read))
    for message in track.waiting:
        if message.segment is memory:
            before = memory.events[: message.first_seq - memory.first_seq]
            message.segment, message.read_at = on_disk, frames_bytes(before)
    index = track.segments.index(memory)
    track.segments[index] = on_disk
    earlier = track.segments[index - 1] if index else None
    if isinstance(earlier, FileSegment) and earlier.path == path:  # it was opened, and then the disk took nothing
        earlier.close()
        del track.segments[index - 1]
        track.reading -= track.reading >= index
