"""The fault proxy does what it says, with a server that answers every line."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from argus_testkit import eventually
from argus_testkit.proxy import FaultProxy

HEARD: list[bytes] = []


class _Answers(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        try:
            for line in self.rfile:
                HEARD.append(line.strip())
                self.wfile.write(b"heard " + line)
        except ConnectionError:
            return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    HEARD.clear()
    with _Server(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        with FaultProxy(server.server_address[1]) as between:
            yield between
        server.shutdown()


def connect(proxy: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=60)


def ask(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words + b"\n")
    return client.recv(100)


def test_it_passes_on(proxy: FaultProxy) -> None:
    with connect(proxy) as one, connect(proxy) as two:
        assert ask(one, b"a") == b"heard a\n"
        assert ask(two, b"b") == b"heard b\n"
        assert proxy.n_links() == proxy.accepted == 2
    eventually(lambda: proxy.n_links() == 0)


def test_a_cut_is_a_reset_of_those_that_match(proxy: FaultProxy) -> None:
    with connect(proxy) as one, connect(proxy) as two:
        ask(one, b"user=a")
        ask(two, b"user=b")
        assert proxy.cut(b"user=a") == 1
        with pytest.raises(ConnectionResetError):
            one.recv(100)
        assert ask(two, b"still") == b"heard still\n"


def test_a_stalled_link_is_silent_until_it_is_healed(proxy: FaultProxy) -> None:
    with connect(proxy) as one:
        ask(one, b"a")
        proxy.stall()
        one.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ask(one, b"b")
        assert HEARD == [b"a"]
        proxy.heal()
        one.settimeout(60)
        assert one.recv(100) == b"heard b\n"


def test_slow_is_slow(proxy: FaultProxy) -> None:
    proxy.slow(delay_s=0.1)
    with connect(proxy) as one:
        began = time.monotonic()
        ask(one, b"a")
        assert time.monotonic() - began >= 0.2


def test_what_is_late_does_not_hold_up_what_follows_and_stays_in_order(proxy: FaultProxy) -> None:
    proxy.slow(delay_s=0.4, jitter_s=0.2, bytes_per_s=100_000)
    words = [b"%d" % number for number in range(20)]
    with connect(proxy) as one:
        began = time.monotonic()
        for word in words:
            one.sendall(word + b"\n")
            time.sleep(0.01)
        one.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: one.recv(1_000), b""))
        assert 0.8 <= time.monotonic() - began < 8, "one after the other they would take 16 s and more"
    assert heard == b"".join(b"heard %s\n" % word for word in words)


@pytest.mark.parametrize(("when", "heard"), [("before", [b"a"]), ("after", [b"a", b"COMMIT"])])
def test_a_trap_cuts_at_the_pattern(proxy: FaultProxy, when: str, heard: list[bytes]) -> None:
    trap = proxy.cut_at(b"COMMIT", 1, when=lambda _: when)
    with connect(proxy) as one, pytest.raises(ConnectionError):
        ask(one, b"a")
        ask(one, b"COMMIT")
    assert heard == HEARD
    assert trap.sprung == 1
    with connect(proxy) as two:
        assert ask(two, b"COMMIT") == b"heard COMMIT\n"


def test_refused_are_those_that_say_the_words(proxy: FaultProxy) -> None:
    proxy.refuse(b"user=a")
    with connect(proxy) as one, pytest.raises(ConnectionError):
        ask(one, b"user=a")
    with connect(proxy) as two:
        assert ask(two, b"user=b") == b"heard user=b\n"
