"""X4: the live stream behind proxies that buffer, cut and fall silent, and readers that vanish. Nobody misses anything."""

from __future__ import annotations

import ctypes
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from argus_testkit import LocalStack, eventually
from argus_testkit.faults import LiveCapture, Workload, check, pick, settle
from argus_testkit.proxy import FaultProxy

N_VANISHED = 4
FREED_WITHIN_S = pick(180.0, 60.0)
"""The goal is 30 s; the figure is printed."""


def open_streams(stack: LocalStack) -> int:
    with stack.client() as client:
        page = client.get("/metrics").raise_for_status().text
    found = re.search(r"^argus_gateway_sse_connections (\S+)$", page, re.MULTILINE)
    assert found, page[:500]
    return int(float(found[1]))


def connect(stack: LocalStack) -> socket.socket:
    """A reader of the live stream, by hand."""
    reader = socket.create_connection(("127.0.0.1", stack.port), timeout=60)
    lines = [
        "GET /api/stream?topics=dashboard HTTP/1.1", f"Host: 127.0.0.1:{stack.port}",
        f"Authorization: Bearer {stack.credentials.token}", "Accept: text/event-stream", "", "",
    ]  # fmt: skip
    reader.sendall("\r\n".join(lines).encode())
    return reader


def vanish(reader: socket.socket) -> None:
    """From now on the kernel throws away whatever comes for this socket: no acknowledgement, no reset, as after a laptop is closed."""
    drop_all = struct.pack("HBBI", 0x06, 0, 0, 0)  # one instruction of the classic packet filter: return 0 bytes
    program = ctypes.create_string_buffer(drop_all, len(drop_all))
    reader.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(program)))  # SO_ATTACH_FILTER


def reset(reader: socket.socket) -> None:
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reader.close()


def test_streams_behind_bad_proxies_miss_nothing_and_dead_readers_are_let_go(
    faulty_stack: LocalStack, workload: Callable[..., Workload]
) -> None:
    stack, work = faulty_stack, workload(n_jobs=2, events_per_s=100)
    eventually(lambda: open_streams(stack) == 0, FREED_WITHIN_S)
    topics = [f"job:{work.name}-{sender}/job-{n}" for sender in range(2) for n in range(2)]
    with ExitStack() as entered:
        gone = _vanished(stack) if sys.platform == "linux" else []
        for reader in gone:
            entered.callback(reader.close)
        buffers, cuts, silent = (entered.enter_context(FaultProxy(stack.port)) for _ in range(3))
        captures = [
            entered.enter_context(LiveCapture(stack, topics, url=f"http://127.0.0.1:{proxy.port}"))
            for proxy in (buffers, cuts, silent)
        ]
        buffers.hold(1.5)
        work.start(2)
        _connect_and_reset(stack, pick(100, 500))
        work.wait_for_more(100)
        ends_at, n_cut = time.monotonic() + pick(3.0, 120.0), 0
        silent.stall(b"", "down")
        while time.monotonic() < ends_at or not n_cut:
            time.sleep(work.dice.uniform(0.3, 1.0))
            n_cut += cuts.cut()
        silent.cut()
        silent.heal()
        said = work.finish()
        settle(stack)
        check(stack, said, captures=captures).require()
        print(
            f"{n_cut} cuts; connections {[capture.connections for capture in captures]}; {len(gone)} readers vanished"
        )
        assert n_cut > 0
        assert captures[1].connections > 1
        began = time.monotonic()
        eventually(lambda: open_streams(stack) <= len(captures), FREED_WITHIN_S, "dead readers are let go")
        print(f"dead readers were let go within {time.monotonic() - began:.1f} s of the end")
    eventually(lambda: open_streams(stack) == 0, FREED_WITHIN_S, "no stream is left")


def _vanished(stack: LocalStack) -> list[socket.socket]:
    """Readers that have got their first frames, and then vanished without a word."""
    readers = [connect(stack) for _ in range(N_VANISHED)]
    for reader in readers:
        began = time.monotonic()
        assert reader.recv(4096).startswith(b"HTTP/1.1 200")
        print(f"first byte after {time.monotonic() - began:.2f} s")
    eventually(lambda: open_streams(stack) == N_VANISHED, what="they are counted")
    for reader in readers:
        vanish(reader)
    return readers


def _connect_and_reset(stack: LocalStack, n: int) -> None:
    """Readers that go away at once, one after the other."""
    for _ in range(n):
        reset(connect(stack))
