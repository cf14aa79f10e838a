"""What is watched all through a fault: the memory and CPU of every process of a stack, and messages that the broker gave up."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from types import TracebackType

import nats
import psutil
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from argus_testkit.stack import LocalStack

EVERY_S = 0.5
GIVEN_UP = ("MSG_TERMINATED", "MAX_DELIVERIES")


class Watch:
    """Use it in a `with` block around the whole fault.

    given_up: what JetStream announced of messages that it will not deliver again. Announcements while the watcher itself is not
    connected are lost, so a broker that restarts hides those of that moment.
    """

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self.peak_rss: dict[str, int] = {}
        """Bytes, by program and pid."""
        self.given_up: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._measure, self._listen)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(10)

    @property
    def largest(self) -> tuple[str, int]:
        """(program and pid, bytes) of the process that was the largest."""
        return max(self.peak_rss.items(), key=lambda known: known[1], default=("none", 0))

    def _measure(self) -> None:
        assert self._stack.process is not None
        while not self._ended.wait(EVERY_S):
            with contextlib.suppress(psutil.Error):
                for process in psutil.Process(self._stack.process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        name = f"{_named(process)} {process.pid}"
                        self.peak_rss[name] = max(self.peak_rss.get(name, 0), process.memory_info().rss)

    def _listen(self) -> None:
        asyncio.run(self._subscribed())

    async def _subscribed(self) -> None:
        settings = self._stack.facts.nats

        async def note(message: Msg) -> None:
            self.given_up.append(message.subject)

        while not self._ended.is_set():
            try:
                client = await nats.connect(
                    settings.url, user="admin", password=settings.passwords["admin"], inbox_prefix=b"_INBOX_admin",
                    max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_ignore,
                )  # fmt: skip
            except (NatsError, OSError, TimeoutError):
                await asyncio.sleep(EVERY_S)
                continue
            for word in GIVEN_UP:
                await client.subscribe(f"$JS.EVENT.ADVISORY.CONSUMER.{word}.>", cb=note)
            await asyncio.to_thread(self._ended.wait)
            await client.close()


class Cpu:
    """CPU seconds of one process and its children, from now on."""

    def __init__(self, pid: int) -> None:
        self._pid, self._before, self._began = pid, cpu_seconds(pid), time.monotonic()

    def share(self) -> float:
        """Of one core, on the average since then."""
        return (cpu_seconds(self._pid) - self._before) / max(time.monotonic() - self._began, 1e-9)


def cpu_seconds(pid: int) -> float:
    total = 0.0
    for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _named(process: psutil.Process) -> str:
    return next((part for part in process.cmdline() if "argus-" in part), process.name()).rpartition("/")[2]


async def _ignore(_error: Exception) -> None:
    """The watcher reconnects by itself."""
