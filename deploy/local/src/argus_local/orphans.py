"""Children that end with their parent (Linux; elsewhere a no-op)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(parent_pid: int, with_signal: int = signal.SIGTERM) -> None:
    """Called in the child, after any change of user and before exec: the kernel sends `with_signal` when the parent ends.

    The kernel clears this on a change of user, hence the order. `parent_pid` closes the race with a parent that is already gone.
    """
    if _libc is None:
        return
    _libc.prctl(_PR_SET_PDEATHSIG, int(with_signal))
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), with_signal)
