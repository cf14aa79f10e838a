"""The second background thread of a process: what the machine is and does. Apart from the sender, because a driver may hang.

It is shared by all runs of the process, as the sender is: the machine is looked at once for all of them.
"""

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
ENVIRONMENT_FRESH_S = 10.0
"""Runs that begin so soon after another one in the same folder were started from the same code."""
SAMPLE_FRESH_S = 0.5
"""Runs whose turns come so soon after each other share one look: a rate needs time between two."""
IDLE_S = 10.0

_gate = threading.RLock()
"""Reentrant: a signal may end the process in the middle of what it guards."""
_sampler: Sampler | None = None


def watch(
    interval_s: float,
    folder: str | None,
    say_environment: Callable[[dict[str, Any]], None],
    say_snapshot: Callable[[dict[str, Any]], None],
) -> Watch:
    """The environment is said once, then a resource snapshot every `interval_s` (0: none), until `Watch.stop`.

    say_environment, say_snapshot: get the data of one event. Called in this process' sampler thread, or here.
    """
    global _sampler  # noqa: PLW0603
    with _gate:
        sampler = _sampler
        if sampler is None or sampler.ending:
            sampler = Sampler()
            sampler.start()
            _sampler = sampler
        one = Watch(sampler, interval_s, folder or ".", say_environment, say_snapshot)
        sampler.watches.append(one)
    if (known := sampler.environment_known(one.cwd)) is not None:
        one.say_environment_once(known)
    sampler.changed.set()
    return one


def forget_after_fork() -> None:
    """In the child, which has no such thread: nobody looks at the machine until a run begins there."""
    global _gate, _sampler
    _gate, _sampler = threading.RLock(), None


class Watch:
    """What one run wants to know of the machine."""

    def __init__(
        self,
        sampler: Sampler,
        interval_s: float,
        folder: str,
        say_environment: Callable[[dict[str, Any]], None],
        say_snapshot: Callable[[dict[str, Any]], None],
    ) -> None:
        self.interval_s, self.folder, self.say_snapshot = interval_s, folder, say_snapshot
        self.cwd = _cwd()
        self.next_at = time.monotonic() + min(FIRST_AFTER_S, interval_s)
        self.network: Any = None
        """The machine's counters at the first look: what is said counts from then on."""
        self._sampler, self._say_environment = sampler, say_environment
        self._saying = threading.RLock()
        self.knows_environment = False
        """True once it was said."""

    def stop(self, timeout_s: float) -> None:
        """The environment is said, after `timeout_s` at the latest (without what takes longer), and nothing else will be."""
        deadline = time.monotonic() + timeout_s
        while not self.knows_environment and self._sampler.is_alive() and time.monotonic() < deadline:
            # No `Event.wait`: a signal may bring this very thread here again while it holds the event's lock.
            time.sleep(0.005)
        if not self.knows_environment:
            self.say_environment_once(capture.environment([], at_once=True))
        self._sampler.forget(self)

    def gpu_indexes(self) -> list[int]:
        """The GPUs that this process may see; none where the driver has not told in time."""
        return self._sampler.gpu_indexes()

    def say_environment_once(self, data: dict[str, Any]) -> None:
        with self._saying:
            if not self.knows_environment:
                self._say_environment(data)
                self.knows_environment = True


class Sampler(threading.Thread):
    """Ends when nobody has watched for a while, and where it finds that it cannot watch at all."""

    def __init__(self) -> None:
        super().__init__(name="argus-sampler", daemon=True)
        self.watches: list[Watch] = []
        self.changed = threading.Event()
        self.ending = False
        """True: it takes no more watches. Changed under `_gate`."""
        self._gpus_known = threading.Event()
        self._gpu_indexes: list[int] = []
        self._gpu_wait_s = 0.2
        self._environments: dict[str, tuple[float, dict[str, Any]]] = {}

    def environment_known(self, cwd: str) -> dict[str, Any] | None:
        """What was found out about this folder a moment ago, if anything was."""
        found = self._environments.get(cwd)
        return found[1] if found is not None and time.monotonic() - found[0] < ENVIRONMENT_FRESH_S else None

    def gpu_indexes(self) -> list[int]:
        """Waits a moment for the driver, once."""
        wait_s, self._gpu_wait_s = self._gpu_wait_s, 0.0
        self._gpus_known.wait(wait_s)
        return self._gpu_indexes

    def forget(self, one: Watch) -> None:
        with _gate, contextlib.suppress(ValueError):
            self.watches.remove(one)

    def run(self) -> None:
        try:
            with no_fork_meanwhile():
                preload()
            gpus = Gpus()
            self._gpu_indexes = gpus.indexes
            self._gpus_known.set()
            self._watch(gpus, Machine())
        except Exception as error:
            warn("sampler", f"cannot watch the machine: {error!r:.200}")
        finally:
            self._gpus_known.set()
            with _gate:
                self.ending = True

    def _watch(self, gpus: Gpus, machine: Machine) -> None:
        idle_since = time.monotonic()
        while True:
            self.changed.clear()
            for one in list(self.watches):
                if one.interval_s > 0 and one.network is None:
                    machine.begin(one)
                if not one.knows_environment:
                    one.say_environment_once(self._environment(one.cwd, gpus))
            now = time.monotonic()
            for one in list(self.watches):
                if one.interval_s > 0 and now >= one.next_at:
                    one.next_at = now + one.interval_s
                    one.say_snapshot({"gpus": gpus.sample(), **machine.sample(one)})
            if self.watches:
                idle_since = now
            with _gate:
                if not self.watches and now - idle_since >= IDLE_S:
                    self.ending = True
                    return
            due = min((one.next_at for one in list(self.watches) if one.interval_s > 0), default=now + IDLE_S)
            self.changed.wait(max(due - time.monotonic(), 0.01))

    def _environment(self, cwd: str, gpus: Gpus) -> dict[str, Any]:
        found = self.environment_known(cwd)
        if found is None:
            found = capture.environment(gpus.inventory())
            self._environments = {cwd: (time.monotonic(), found)}
        return found


def _cwd() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return ""


def preload() -> None:
    """Every module that this thread needs is imported."""
    for name in ("psutil", "pynvml", "importlib.metadata", "importlib.metadata._adapters", "email.parser"):
        with contextlib.suppress(Exception):
            importlib.import_module(name)


class Machine:
    """CPU, memory, disk and network by psutil; rates count from the look before, totals from a watch's first one."""

    def __init__(self) -> None:
        import psutil

        self._psutil = psutil
        self._process = psutil.Process()
        self._looked_at = 0.0
        self._seen: dict[str, Any] = {}
        self._network: Any = None
        self._look()

    def sample(self, one: Watch) -> dict[str, Any]:
        """`cpu_pct` is the machine's (0 to 100), `process_cpu_pct` this process' (up to 100 per core)."""
        if time.monotonic() - self._looked_at >= SAMPLE_FRESH_S:
            self._look()
        folder = one.folder if os.path.isdir(one.folder) else "."  # noqa: PTH112
        said = {
            **self._seen,
            "disk_free_bytes": self._ask(lambda: self._psutil.disk_usage(folder).free),
            "net_rx_bytes": self._ask(lambda: max(self._network.bytes_recv - one.network.bytes_recv, 0)),
            "net_tx_bytes": self._ask(lambda: max(self._network.bytes_sent - one.network.bytes_sent, 0)),
        }
        return {key: value for key, value in said.items() if value is not None}

    def begin(self, one: Watch) -> None:
        """The network's totals of this watch count from now on."""
        one.network = self._ask(self._psutil.net_io_counters)

    def _look(self) -> None:
        psutil = self._psutil
        self._looked_at = time.monotonic()
        self._network = self._ask(psutil.net_io_counters)
        memory = self._ask(psutil.virtual_memory)
        self._seen = {
            "cpu_pct": self._ask(lambda: psutil.cpu_percent(None)),
            "process_cpu_pct": self._ask(lambda: self._process.cpu_percent(None)),
            "rss_bytes": self._ask(lambda: self._process.memory_info().rss),
            "memory_used_bytes": self._ask(lambda: memory.total - memory.available),
            "memory_total_bytes": self._ask(lambda: memory.total),
        }

    def _ask(self, question: Callable[[], Any]) -> Any:
        with contextlib.suppress(Exception):
            return question()
        return None
