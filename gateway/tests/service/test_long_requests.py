"""Requests that are too long or no HTTP at all: one clear problem that the sender can read, and the door stays open."""

from __future__ import annotations

import json
import socket
import urllib.parse

import httpx
import psutil
import pytest

LONG = 200 * 1024


def exchange(door, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
    """Everything is written before anything is read, as a browser does it: a reset would lose the answer.

    The gateway listens on for 2 s only: who was stopped for longer reads what has come, like any client.
    """
    place = urllib.parse.urlsplit(door.url)
    answer = b""
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except ConnectionError:
            answer = connection.recv(65536)
            if not answer:
                raise
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionError:
            if not answer:
                raise
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


LONG_REQUESTS = {
    "query string": (
        b"GET /api/batches?search=" + b"x" * LONG + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        414,
    ),
    "path": (b"GET /" + b"x" * LONG + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 414),
    "address without an end": (b"GET /" + b"x" * LONG, 414),
    "one header": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: " + b"x" * LONG + b"\r\n\r\n",
        431,
    ),
    "10,000 headers": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n",
        431,
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 100 + b"\r\n\r\n", 400),
    "a header of two lines": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n\x00c: d\r\n\r\n", 400),
    "two lengths": (b"POST /api/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400),
    "a length and chunks": (
        b"POST /api/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        b"GET /api/auth/me HTTP/1.1\r\nHost: localhost\r\n\r\n",
        400,
    ),
}


@pytest.mark.parametrize(("request_bytes", "status"), LONG_REQUESTS.values(), ids=LONG_REQUESTS.keys())
def test_it_is_one_clear_problem(door, request_bytes, status):
    got, headers, body = exchange(door, request_bytes)
    assert got == status
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    problem = json.loads(body)
    assert (problem["status"], problem["request_id"]) == (status, headers["x-request-id"])
    assert problem["code"] in ("address_too_long", "headers_too_large", "bad_request")


def test_a_client_library_reads_the_answer(door):
    answer = httpx.get(f"{door.url}/api/batches", params={"search": "x" * 60_000}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (414, "address_too_long")


def test_a_head_that_never_ends_is_cut_and_costs_no_memory(door):
    process = psutil.Process(door.gateway.pid)
    processes = [process, *process.children(recursive=True)]
    before = sum(one.memory_info().rss for one in processes)
    for _ in range(20):
        try:
            exchange(door, b"GET / HTTP/1.1\r\nX-A: ", *[b"x" * 65536] * 160)  # 10 MB each
        except (ConnectionError, TimeoutError):
            continue  # cut off: more than anybody sends by mistake
    after = sum(one.memory_info().rss for one in processes)
    print(f"200 MB of headers: {(after - before) / 2**20:+.1f} MiB")
    assert after - before < 64 * 2**20
    assert door.client().get("/healthz").status_code == 200


def test_garbage_behind_a_request_does_not_garble_its_answer(door):
    token = door.admin["token"].encode()
    good = b"GET /api/auth/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + b"\r\n\r\n"
    place = urllib.parse.urlsplit(door.url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
        connection.sendall(good + b"\x00\x01garbage\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.count(b"HTTP/1.1 ") in (1, 2)  # the answer, and perhaps a problem behind it, never within
    assert b'"username"' in answer.split(b"HTTP/1.1 ")[1]
