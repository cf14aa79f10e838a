"""HTTPS: one turn of the sender is short, however far away Argus is and however many producers wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from argus.settings import Settings
from argus.transport import http
from argus.transport.http import HttpTransport


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that takes everything and has stored nothing, and what it was asked."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            paths.append(self.path)
            self._answer(b"[]")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self._answer(b"{}")

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_turn_over_its_time_leaves_the_rest_for_the_next(
    asked: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, paths = asked
    monkeypatch.setattr(http, "TURN_S", 0.0)
    transport = HttpTransport(Settings(url, "key", tmp_path, 1 << 20, None))
    assert transport.publish([("a", b"{}")] * 3) == ["taken", "later", "later"]
    assert transport.publish([("a", b"{}")] * 2) == ["taken", "later"], "it is not held to be away"
    del paths[:]
    for _ in range(4):
        transport.watermarks(["one", "three", "two"])
    assert [path.split("/")[3] for path in paths] == ["one", "three", "two", "one"]
    transport.close()


def test_all_that_wait_are_asked_for_in_one_turn_where_there_is_time(
    asked: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, paths = asked
    monkeypatch.setattr(http, "TURN_S", 60.0)
    transport = HttpTransport(Settings(url, "key", tmp_path, 1 << 20, None))
    transport.watermarks([f"producer-{number}" for number in range(50)])
    assert len(set(paths)) == 50
    transport.close()
