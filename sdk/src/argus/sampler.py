"""The second background thread: what the machine is and does. Apart from the sender, because a driver may hang."""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from argus import capture
from argus.forks import no_fork_meanwhile
from argus.gpus import Gpus
from argus.trouble import warn

FIRST_AFTER_S = 1.0


class Sampler(threading.Thread):
    """Says the environment once, then a resource snapshot every `interval_s` (0: none).

    say_environment, say_snapshot: get the data of one event. Called in this thread.
    """

    def __init__(
        self,
        interval_s: float,
        folder: str | None,
        say_environment: Callable[[dict[str, Any]], None],
        say_snapshot: Callable[[dict[str, Any]], None],
    ) -> None:
        super().__init__(name="argus-sampler", daemon=True)
        self._interval_s, self._folder = interval_s, folder or "."
        self._say_environment, self._say_snapshot = say_environment, say_snapshot
        self._stopping = threading.Event()
        self._saying = threading.Lock()
        self.gpus_known = threading.Event()
        self.environment_said = threading.Event()
        self.gpu_indexes: list[int] = []

    def stop(self, timeout_s: float) -> None:
        """The environment is said, after `timeout_s` at the latest (without what takes longer), and the thread ends."""
        if self.is_alive() and not self.environment_said.wait(timeout_s):
            self._say_environment_once(capture.environment([], at_once=True))
        self._stopping.set()

    def _say_environment_once(self, data: dict[str, Any]) -> None:
        with self._saying:
            if not self.environment_said.is_set():
                self._say_environment(data)
                self.environment_said.set()

    def run(self) -> None:
        try:
            with no_fork_meanwhile():
                preload()
            gpus = Gpus()
            self.gpu_indexes = gpus.indexes
            self.gpus_known.set()
            machine, began = Machine(self._folder), time.monotonic()
            self._say_environment_once(capture.environment(gpus.inventory()))
            self._sample_until_stopped(gpus, machine, began)
        except Exception as error:
            warn("sampler", f"cannot watch the machine: {error!r:.200}")
        finally:
            self.gpus_known.set()
            self.environment_said.set()

    def _sample_until_stopped(self, gpus: Gpus, machine: Machine, began: float) -> None:
        if self._interval_s <= 0:
            return
        wait = max(min(FIRST_AFTER_S, self._interval_s) - (time.monotonic() - began), 0.05)
        while not self._stopping.wait(wait):
            wait = self._interval_s
            self._say_snapshot({"gpus": gpus.sample(), **machine.sample()})


def preload() -> None:
    """Every module that this thread needs is imported."""
    for name in ("psutil", "pynvml", "importlib.metadata", "importlib.metadata._adapters", "email.parser"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


class Machine:
    """CPU, memory, disk and network by psutil; rates and totals count from the making of this object."""

    def __init__(self, folder: str) -> None:
        import psutil

        self._psutil, self._folder = psutil, folder
        self._process = psutil.Process()
        self._network = self._ask(psutil.net_io_counters)
        self._ask(lambda: psutil.cpu_percent(None))
        self._ask(lambda: self._process.cpu_percent(None))

    def sample(self) -> dict[str, Any]:
        """`cpu_pct` is the machine's (0 to 100), `process_cpu_pct` this process' (up to 100 per core)."""
        psutil = self._psutil
        memory, network = self._ask(psutil.virtual_memory), self._ask(psutil.net_io_counters)
        said: dict[str, Any] = {
            "cpu_pct": self._ask(lambda: psutil.cpu_percent(None)),
            "process_cpu_pct": self._ask(lambda: self._process.cpu_percent(None)),
            "rss_bytes": self._ask(lambda: self._process.memory_info().rss),
            "memory_used_bytes": self._ask(lambda: memory.total - memory.available),
            "memory_total_bytes": self._ask(lambda: memory.total),
            "disk_free_bytes": self._ask(lambda: psutil.disk_usage(self._existing_folder()).free),
            "net_rx_bytes": self._ask(lambda: max(network.bytes_recv - self._network.bytes_recv, 0)),
            "net_tx_bytes": self._ask(lambda: max(network.bytes_sent - self._network.bytes_sent, 0)),
        }
        return {key: value for key, value in said.items() if value is not None}

    def _existing_folder(self) -> str:
        return self._folder if os.path.isdir(self._folder) else "."  # noqa: PTH112

    def _ask(self, question: Callable[[], Any]) -> Any:
        with contextlib.suppress(Exception):
            return question()
        return None
