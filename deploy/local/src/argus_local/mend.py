"""What the supervisor cannot see: a broker that runs, and takes nothing any more."""

from __future__ import annotations

import http.client
import shutil
import time

from argus_local.nats import NatsSettings

EVERY_S = 1.0
PATIENCE_S = 5.0
"""Between two restarts of the same broker."""
ROOM_BYTES = 4 * 2**20
_REFUSES = b"write error"


class BrokerWatch:
    """After one write that failed (a full disk) nats-server refuses every message of that stream until it is started again,
    also when there is space: seen with 2.15.1. Its `/healthz` says so."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings
        self._next_look = self._next_restart = 0.0

    def needs_restart(self) -> bool:
        """Whether it refuses because of a write that failed, and a write would succeed now. Looks once a second at most."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + EVERY_S
        if now < self._next_restart or not self._refuses() or self._free_bytes() < ROOM_BYTES:
            return False
        self._next_restart = now + PATIENCE_S
        return True

    def _refuses(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._settings.monitor_port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            with connection.getresponse() as answer:
                return answer.status == 503 and _REFUSES in answer.read()
        except (OSError, http.client.HTTPException):
            return False  # it does not run, or is about to: that is the supervisor's affair
        finally:
            connection.close()

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._settings.store_dir or self._settings.folder).free
