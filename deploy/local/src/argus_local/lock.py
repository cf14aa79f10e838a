"""Who holds a stack: one `argus-local up` per ARGUS_HOME."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_ASKING_SECONDS = 0.5


class HomeLock:
    """Held by `up` for its whole life; the kernel lets it go when the process ends, however it ends."""

    def __init__(self, home: Path) -> None:
        self.path = home / "up.lock"
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """False when another process holds it: one that only asks who does (see `holder`) lets go at once."""
        descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600)
        deadline = time.monotonic() + _ASKING_SECONDS
        while True:
            is_last_try = time.monotonic() > deadline
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_last_try:
                    os.close(descriptor)
                    return False
                time.sleep(0.01)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """The pid of the `up` that holds the lock now."""
        try:
            descriptor = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode()
            return int(text) if text.isdigit() else None
        else:
            return None
        finally:
            os.close(descriptor)
