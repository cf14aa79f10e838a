"""TCP ports of this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = (
    20_000,
    32_000,
)  # below the ephemeral range: an outgoing connection never takes one between two starts
_KEPT_SECONDS = 600.0


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
    """A port of 127.0.0.1 on which nobody listens now, that is not in `avoid`, and that no process of this user was given
    within the last ten minutes: its server may be about to start, or be between two starts."""
    with _given_lately() as given:
        for _ in range(1_000):
            port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311  not a secret
            if port not in avoid and port not in given and port_is_free(port):
                given[port] = time.time()
                return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST}")


@contextmanager
def _given_lately() -> Iterator[dict[int, float]]:
    """The ports that were given and when; what is added is kept. Nobody else chooses meanwhile.

    Only a help: where the note cannot be kept, ports are chosen without it.
    """
    given: dict[int, float] = {}
    note = Path(tempfile.gettempdir()) / f"argus-ports-{os.getuid()}"
    with contextlib.ExitStack() as stack:
        file = None
        with contextlib.suppress(OSError):
            descriptor = os.open(note, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            file = stack.enter_context(os.fdopen(descriptor, "r+"))
            fcntl.flock(file, fcntl.LOCK_EX)
            now = time.time()
            for line in file:
                port, _, at = line.partition(" ")
                with contextlib.suppress(ValueError):  # half a line of a full disk
                    if abs(now - float(at)) < _KEPT_SECONDS:
                        given[int(port)] = float(at)
        yield given
        with contextlib.suppress(OSError):
            if file is not None:
                file.seek(0)
                file.truncate()
                file.writelines(f"{port} {at}\n" for port, at in given.items())
                file.flush()


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """True when somebody listens on `host:port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
