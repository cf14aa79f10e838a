"""TCP ports of this machine."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import os
import random
import socket
import tempfile
import threading
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = (
    20_000,
    32_000,
)  # below the ephemeral range: an outgoing connection never takes one between two starts
_chosen_lately: collections.deque[int] = collections.deque(maxlen=1_000)
_choosing = threading.Lock()
_register: int | None = None


def port_is_free(port: int, host: str = LOOPBACK) -> bool:
    """True when a server could listen on `host:port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(avoid: frozenset[int] | set[int] = frozenset()) -> int:
    """A port of 127.0.0.1 on which nobody listens now and that is not in `avoid`.

    Nor is it one that this process has chosen lately, or that another living process of this user has chosen: seconds may
    pass before its server listens, and until a server that was killed listens again.
    """
    for _ in range(10_000):
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311  not a secret
        with _choosing:
            if port not in avoid and port not in _chosen_lately and _is_ours(port) and port_is_free(port):
                _chosen_lately.append(port)
                return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST}")


def _is_ours(port: int) -> bool:
    """This process holds byte number `port` of the register of this user's processes. The kernel gives it back when we end."""
    global _register  # noqa: PLW0603  closing any descriptor of the file would give all our bytes back
    try:
        if _register is None:
            path = Path(tempfile.gettempdir()) / f"argus-ports-{os.getuid()}"
            _register = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return True  # no place to write: then a collision is as unlikely as chance makes it
    with contextlib.suppress(OSError):
        fcntl.lockf(_register, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        return True
    return False


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """True when somebody listens on `host:port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
