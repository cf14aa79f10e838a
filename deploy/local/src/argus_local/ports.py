"""TCP ports of this machine."""

from __future__ import annotations

import random
import socket

LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = (
    20_000,
    32_000,
)  # below the ephemeral range: an outgoing connection never takes one between two starts


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
    """A port of 127.0.0.1 on which nobody listens now and that is not in `avoid`."""
    for _ in range(1_000):
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311  not a secret
        if port not in avoid and port_is_free(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {_HIGHEST}")


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """True when somebody listens on `host:port`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
