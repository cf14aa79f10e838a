"""A TCP proxy that misbehaves on demand: it stands between two parties that take it for the network.

It lives in a thread with an event loop of its own, so that tests of any kind can use it. Every fault holds for the connections
whose first bytes contain `match` (a PostgreSQL start-up packet names its user and application, an HTTP request its path; empty:
all of them), from the moment of the call until `heal`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, TypeVar

from argus_local.ports import LOOPBACK

T = TypeVar("T")
Direction = Literal["up", "down"]
"""up: from the client to the server."""
_CHUNK = 64 * 1024
_HELLO_BYTES = 4_096
_ANSWER_SECONDS = 60.0
_APART_S = 1e-6
"""Of two chunks that are late: an event loop calls what is due at the same time in any order."""


@dataclass(slots=True, eq=False)
class _Link:
    """One connection through the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    hello: bytes = b""
    pumps: list[asyncio.Task[None]] = field(default_factory=list["asyncio.Task[None]"])
    forgotten: bool = False
    answered: asyncio.Event | None = None
    """Set by the server's next words, which the client will not hear."""


@dataclass(slots=True)
class _Fault:
    """What happens to some connections."""

    match: bytes
    stalled: set[Direction] = field(default_factory=set["Direction"])
    refused: bool = False
    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    hold_s: float = 0.0

    def meets(self, hello: bytes) -> bool:
        return self.match in hello


@dataclass(slots=True)
class Trap:
    """Cuts connections where the client sends a pattern. sprung: how often it has."""

    pattern: bytes
    match: bytes
    when: Callable[[int], str]
    sprung: int = 0
    left: int = 0


class FaultProxy:
    """`with FaultProxy(port) as proxy`: whoever connects to `proxy.port` talks to `target_port`."""

    def __init__(self, target_port: int, target_host: str = LOOPBACK, seed: int = 0) -> None:
        self._target = (target_host, target_port)
        self._dice = random.Random(seed)
        self._faults: list[_Fault] = []
        self._traps: list[Trap] = []
        self._links: set[_Link] = set()
        self.accepted = 0
        """Connections so far."""
        self.carried: dict[Direction, int] = {"up": 0, "down": 0}
        """Bytes so far."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # -- what a test asks for --------------------------------------------------------------------------------------

    def n_links(self, match: bytes = b"") -> int:
        """Connections that are open through the proxy now."""
        return self._call(self._count(match))

    def cut(self, match: bytes = b"") -> int:
        """These connections are reset now, at both ends; new ones work. Answers how many."""
        return self._call(self._cut(match))

    def refuse(self, match: bytes = b"") -> None:
        """These connections are reset, and new ones are as soon as they say something."""
        self._call(self._add(_Fault(match, refused=True)))
        self.cut(match)

    def stall(self, match: bytes = b"", *directions: Direction) -> None:
        """Half-open: nothing is passed on any more (in these directions; none: both), and nothing is closed. New ones too."""
        self._call(self._add(_Fault(match, stalled=set(directions) or {"up", "down"})))

    def forget(self, match: bytes = b"") -> int:
        """The links that exist now stay open and silent for ever, `heal` or not; new ones work. Answers how many."""
        return self._call(self._forget(match))

    def slow(
        self, match: bytes = b"", *, delay_s: float = 0.0, jitter_s: float = 0.0, bytes_per_s: float = 0.0
    ) -> None:
        """As a long thin line: everything comes so much later, in its order, and not faster than that, in each direction."""
        self._call(self._add(_Fault(match, delay_s=delay_s, jitter_s=jitter_s, bytes_per_s=bytes_per_s)))

    def hold(self, seconds: float, match: bytes = b"") -> None:
        """What the server says is collected and passed on every so many seconds: a proxy that buffers."""
        self._call(self._add(_Fault(match, hold_s=seconds)))

    def cut_at(self, pattern: bytes, times: int, match: bytes = b"", when: Callable[[int], str] | None = None) -> Trap:
        """The next `times` connections whose client sends `pattern` are cut there.

        when: by the number of the cut (0, 1, …) `before` (the server never gets it) or `after` (the server has got it and
        answered, and the client never hears the answer). Default: always `after`.
        """
        trap = Trap(pattern, match, when or (lambda _: "after"), left=times)
        self._call(self._arm(trap))
        return trap

    def heal(self) -> None:
        """Everything passes again. What a stalled connection was sent meanwhile arrives now."""
        self._call(self._heal())

    # -- inside the loop -------------------------------------------------------------------------------------------

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [pump for link in self._links for pump in link.pumps]
        await self._cut(b"")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _count(self, match: bytes) -> int:
        return sum(match in link.hello for link in self._links)

    async def _cut(self, match: bytes) -> int:
        chosen = [link for link in self._links if match in link.hello]
        for link in chosen:
            self._reset(link)
        return len(chosen)

    async def _forget(self, match: bytes) -> int:
        chosen = [link for link in self._links if match in link.hello]
        for link in chosen:
            link.forgotten = True
        return len(chosen)

    async def _add(self, fault: _Fault) -> None:
        self._faults.append(fault)
        self._announce()

    async def _arm(self, trap: Trap) -> None:
        self._traps.append(trap)

    async def _heal(self) -> None:
        self._faults.clear()
        self._traps.clear()
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            _reset_socket(writer)
            return
        link = _Link(writer, server_writer)
        self._links.add(link)
        link.pumps = [
            asyncio.create_task(self._pump(link, "up", reader, server_writer)),
            asyncio.create_task(self._pump(link, "down", server_reader, writer)),
        ]

    async def _pump(
        self, link: _Link, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        due = 0.0
        with contextlib.suppress(OSError, TimeoutError):
            while data := await reader.read(self._most_at_once(link)):
                if direction == "up" and len(link.hello) < _HELLO_BYTES:
                    link.hello += data[: _HELLO_BYTES - len(link.hello)]
                await self._suffer(link, direction, len(data))
                self.carried[direction] += len(data)
                if direction == "up" and await self._trapped(link, data, writer):
                    return
                if direction == "down" and link.answered is not None:
                    link.answered.set()
                    return
                due = max(due + _APART_S, self._loop.time() + self._delay(link))
                if due > self._loop.time():
                    self._loop.call_at(due, _pass_on, writer, data)
                else:
                    writer.write(data)
                    await writer.drain()
            await asyncio.sleep(due - self._loop.time())
            if writer.can_write_eof():
                writer.write_eof()
        if direction == "down" or reader.exception() is not None:
            self._links.discard(link)
            link.client.close()
            link.server.close()

    async def _suffer(self, link: _Link, direction: Direction, n_bytes: int) -> None:
        """Waits as long as the faults say; a refused connection is reset."""
        while link.forgotten or any(direction in fault.stalled for fault in self._of(link)):
            await self._changed.wait()
        pause = 0.0
        for fault in self._of(link):
            if fault.refused:
                self._reset(link)
                raise ConnectionResetError
            pause += n_bytes / fault.bytes_per_s if fault.bytes_per_s else 0.0
            if direction == "down" and fault.hold_s:
                pause += fault.hold_s - self._loop.time() % fault.hold_s
        if pause:
            await asyncio.sleep(pause)

    def _delay(self, link: _Link) -> float:
        """Seconds from the end of the line that is nearer to the other."""
        return sum(fault.delay_s + fault.jitter_s * self._dice.random() for fault in self._of(link))

    def _most_at_once(self, link: _Link) -> int:
        """Bytes: of a thin line what it takes in 50 ms."""
        rates = [fault.bytes_per_s for fault in self._of(link) if fault.bytes_per_s]
        return max(512, min(_CHUNK, int(min(rates, default=_CHUNK * 20) * 0.05)))

    def _of(self, link: _Link) -> list[_Fault]:
        return [fault for fault in self._faults if fault.meets(link.hello)]

    async def _trapped(self, link: _Link, data: bytes, server: asyncio.StreamWriter) -> bool:
        """Whether the connection was cut, because `data` holds what a trap waits for."""
        for trap in self._traps:
            if trap.left and trap.pattern in data and trap.match in link.hello:
                trap.left -= 1
                number, trap.sprung = trap.sprung, trap.sprung + 1
                if trap.when(number) == "after":
                    link.answered = asyncio.Event()
                    server.write(data)
                    await asyncio.wait_for(link.answered.wait(), _ANSWER_SECONDS)
                self._reset(link)
                return True
        return False

    def _reset(self, link: _Link) -> None:
        self._links.discard(link)
        _reset_socket(link.client)
        _reset_socket(link.server)


def _pass_on(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


def _reset_socket(writer: asyncio.StreamWriter) -> None:
    """Closed with a reset instead of a farewell."""
    connection: socket.socket | None = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
