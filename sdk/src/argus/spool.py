"""What a run has said, on the user's disk: one folder per producer, written by the calling threads, one `write` a call.

A folder holds `meta.json`, `lock` (held by flock while somebody works on it) and, per retention class, segments
`<class>.<first seq, 16 digits>.seg`. A segment is a row of frames: length (u32), crc32 (u32), the event as JSON without
its `event_id`; in front of them stands a mark where the file was another producer's before. The seq of an event is the first seq of its segment plus its place in it, so nothing that a signal may
interrupt has to be counted while writing. Segments are rolled, trimmed and dropped by the sender's thread alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import orjson

from argus import files, folders
from argus.files import append_only, write_private
from argus.host import host
from argus.trouble import warn

SpoolClass = Literal["lifecycle", "metrics", "snapshots", "log_lines"]
CLASSES: tuple[SpoolClass, ...] = ("lifecycle", "metrics", "snapshots", "log_lines")
DROPPABLE: tuple[SpoolClass, ...] = ("log_lines", "snapshots")
"""What may be dropped, the first one first. Lifecycle and metrics never are while there is disk."""

HEADER = struct.Struct("<II")
MAX_FRAME_BYTES = 64 * 1024
USED_BEFORE = b"argus 1\n"
"""At the beginning of a segment whose file is used again. No frame begins so: it would be larger than one may be."""
DROPPABLE_MEMORY_BYTES = 8 * 1024 * 1024
KEPT_MEMORY_BYTES = 128 * 1024 * 1024
"""Without a usable disk this much is kept per class in memory."""

_pack = HEADER.pack
_write = os.write
_NO_FILE = -1


def frame(payload: bytes) -> bytes:
    """`payload` as it stands in a segment."""
    return _pack(len(payload), crc32(payload)) + payload


def segment_path(folder: Path, name: str, first_seq: int) -> Path:
    return folder / f"{name}.{first_seq:016d}.seg"


_FIRST_SEGMENTS = {segment_path(Path(), name, 0).name for name in CLASSES}


class Lane:
    """The write end of one retention class. `append` may be called by any thread.

    `fd` is -1 until the first event (and again after a fork or a disk error): the failing `write` leads to `_recover`,
    so that the usual call pays for no check.
    """

    __slots__ = ("begun", "closed", "dropped", "fd", "lock", "memory", "memory_bytes", "name", "refusing", "spool")

    def __init__(self, spool: Spool, name: SpoolClass) -> None:
        self.spool = spool
        self.name: SpoolClass = name
        self.fd = _NO_FILE
        self.begun = False
        """True once a first segment was opened; from then on only the sender's thread opens further ones."""
        self.closed = False
        """True at the end of the run: what is said afterwards is not recorded."""
        self.lock = threading.RLock()
        self.memory: list[bytes] | None = None
        """What could not be written to disk, behind everything in the segments; None while the disk works."""
        self.memory_bytes = 0
        self.refusing = False
        """True while the spool is full and nothing older can be dropped (droppable classes only)."""
        self.dropped = 0

    def append(self, payload: bytes) -> None:
        """`payload` (an event as JSON) is on disk, or in memory where the disk refuses it. Never raises `OSError`."""
        record = _pack(len(payload), crc32(payload)) + payload
        with self.lock:
            try:
                written = _write(self.fd, record)
            except OSError as error:
                self._recover(payload, record, error)
                return
            if written != len(record):
                self._undo_short_write(written)
                self._recover(payload, record, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _undo_short_write(self, written: int) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self.fd, os.fstat(self.fd).st_size - written)

    def _recover(self, payload: bytes, record: bytes, error: OSError) -> None:
        if self.closed:
            return
        if self.refusing:
            self.dropped += 1
            return
        if self.spool.on_first_event is not None:
            call, self.spool.on_first_event = self.spool.on_first_event, None
            call()
        if self.memory is None:
            if not self.begun:
                try:
                    self.spool.open_first_segment(self)
                    written = _write(self.fd, record)
                    if written == len(record):
                        return
                    self._undo_short_write(written)
                    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                except OSError as second:
                    error = second
            self.close()  # from here on everything goes to memory, until the sender's thread has moved that to disk
            self.memory, self.memory_bytes = [], 0
        warn("spool", f"cannot write to {self.spool.folder} ({error.strerror}); keeping events in memory", every_s=60)
        limit = DROPPABLE_MEMORY_BYTES if self.name in DROPPABLE else KEPT_MEMORY_BYTES
        if self.memory_bytes + len(payload) > limit:
            self.dropped += 1
            return
        self.memory.append(payload)
        self.memory_bytes += len(payload)

    def close(self) -> None:
        with self.lock:
            fd, self.fd = self.fd, _NO_FILE
            if fd != _NO_FILE:
                with contextlib.suppress(OSError):
                    os.close(fd)


class Spool:
    """The folder of one producer, for the process that fills it.

    The folder appears with the first event.
    """

    def __init__(self, root: Path, producer_id: str, meta: dict[str, Any]) -> None:
        self.root = root
        self.producer_id = producer_id
        self.folder = root / producer_id
        self.meta = {**meta, "producer_id": producer_id, "pid": os.getpid(), "host": host()}
        self.lanes: dict[SpoolClass, Lane] = {name: Lane(self, name) for name in CLASSES}
        self.lock_fd = _NO_FILE
        self.on_first_event: Callable[[], None] | None = None
        """Called once when the folder is made: a forked child starts its sender only when it has something to say."""
        self._making = threading.RLock()

    def open_first_segment(self, lane: Lane) -> None:
        """`lane.fd` is open for the events from seq 0 on. Called under the lane's lock. May raise `OSError`."""
        self.make_folder()
        lane.fd = append_only(segment_path(self.folder, lane.name, 0))
        lane.begun = True

    def make_folder(self) -> None:
        with self._making:
            if self.lock_fd != _NO_FILE:
                return
            self.lock_fd = folders.make(self.root, self.producer_id, orjson.dumps(self.meta))

    def sync(self) -> bool:
        """True: who the folder belongs to will be known after a power cut, too (or there is no folder yet)."""
        if self.lock_fd == _NO_FILE:
            return False
        with contextlib.suppress(OSError):
            files.sync(self.folder / "meta.json", self.folder, self.root)
            return True
        return False

    def note(self, **facts: Any) -> bool:
        """`meta.json` says these facts too (who the key belongs to, once that is known). True where it did not before."""
        if all(self.meta.get(key) == value for key, value in facts.items()):
            return False
        self.meta.update(facts)
        if self.lock_fd != _NO_FILE:
            with contextlib.suppress(OSError):
                write_private(self.folder / "meta.json", orjson.dumps(self.meta))
        return True

    def is_gone(self) -> bool:
        """Whether somebody has deleted the folder."""
        return self.lock_fd != _NO_FILE and not self.folder.exists()

    def holds_memory(self) -> bool:
        """Whether events wait in memory that no disk has taken yet."""
        return any(lane.memory is not None for lane in self.lanes.values())

    def dropped(self) -> dict[str, int]:
        return {name: lane.dropped for name, lane in self.lanes.items() if lane.dropped}

    def close(self) -> None:
        """No file of this producer is open here any more; its folder can be adopted."""
        for lane in self.lanes.values():
            lane.close()
        if self.lock_fd != _NO_FILE:
            fd, self.lock_fd = self.lock_fd, _NO_FILE
            with contextlib.suppress(OSError):
                os.close(fd)

    def give_back(self) -> None:
        """The folder is gone: nothing in it is needed any more."""
        for lane in self.lanes.values():
            lane.close()
        if self.lock_fd != _NO_FILE:
            fd, self.lock_fd = self.lock_fd, _NO_FILE
            folders.give_back(self.root, self.producer_id, fd, _FIRST_SEGMENTS, USED_BEFORE)

    def forget_after_fork(self) -> None:
        """In the child: the parent's descriptors are closed here, its folder is untouched, no lock is inherited."""
        for lane in self.lanes.values():
            lane.lock = threading.RLock()
            lane.memory = None
        self._making = threading.RLock()
        self.close()


def new_producer_id() -> str:
    """Time in milliseconds (12 hex digits) and 80 random bits (20): unique, and in the order of their birth."""
    born_ms = min(max(time.time_ns() // 1_000_000, 0), 2**48 - 1)  # whatever the clock says
    return f"{born_ms:012x}{os.urandom(10).hex()}"
