"""What becomes of a spool that is full: log lines go first, then snapshots, and every one of them is counted once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from argus.rolling import hold_back
from argus.segments import FileSegment
from argus.spool import DROPPABLE, Spool, SpoolClass
from argus.tracks import Track
from argus.trouble import warn


class Dropping:
    """Of one live producer. A dead one drops nothing: what it left grows no more, and its count was told."""

    def __init__(self, folder: Path, spool: Spool | None) -> None:
        self._folder, self._spool = folder, spool
        self._may_drop = spool is not None
        self._working = threading.Lock()
        self.dropped: dict[str, int] = {}
        """Events by class that neither Argus nor the broker has, and that are gone from the spool."""

    def stop(self) -> None:
        """`dropped` is final: the end of the run is about to tell it. Called by the thread that ends the run."""
        with self._working:
            self._may_drop = False

    def keep_cap(self, tracks: Mapping[SpoolClass, Track], cap_bytes: int) -> None:
        """Whole segments are gone until the files have at most `cap_bytes`; where that is not enough, lanes refuse."""
        total = sum(s.size() for t in tracks.values() for s in t.segments if isinstance(s, FileSegment))
        with self._working:
            for name in DROPPABLE if self._may_drop else ():
                while total > cap_bytes and (place := _first_droppable(tracks[name])) is not None:
                    total -= place[1].size()
                    self._drop(tracks[name], *place)
        if self._spool is not None:
            for name in DROPPABLE:
                hold_back(self._spool, tracks[name], total, cap_bytes)

    def _drop(self, track: Track, index: int, segment: FileSegment) -> None:
        first, end = segment.first_seq, track.segments[index + 1].first_seq
        for message in track.waiting:
            if message.taken and message.segment is segment:
                track.settle(message.first_seq, message.next_seq)
        self.dropped[track.name] = self.dropped.get(track.name, 0) + track.n_unstored(first, end)
        track.waiting = deque(message for message in track.waiting if message.segment is not segment)
        track.settle(first, end)
        if track.reading == index:
            track.reading += 1
        track.remove(index)
        warn("full", f"the spool in {self._folder} is full; log lines and snapshots are dropped and counted")


def _first_droppable(track: Track) -> tuple[int, FileSegment] | None:
    """The oldest segment that is written to its end and of which it is known what the broker has."""
    unheard = {id(message.segment) for message in track.waiting if message.unheard and not message.taken}
    for index, segment in enumerate(track.segments[:-1]):
        if isinstance(segment, FileSegment) and id(segment) not in unheard:
            return index, segment
    return None
