"""The name of this machine."""

from __future__ import annotations

import functools
import socket


@functools.cache
def host() -> str:
    """As it was at the first question: it is part of every run's events, and asking lets other threads go first."""
    return socket.gethostname()
