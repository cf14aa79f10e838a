"""The live stream: frames, replay from Last-Event-ID, limits, rights that end."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import statistics
import threading
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from argus_testkit.waiting import eventually


class Stream:
    """One open stream, read in a thread; `frames` has what has come: (event, id, data)."""

    def __init__(self, client: httpx.Client, topics: str, **options) -> None:
        self.frames: list[tuple[str, str | None, dict]] = []
        self.at: list[float] = []
        self.comments = 0
        self.ended = threading.Event()
        self.status = 0
        self._socket: socket.socket | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(client, topics, options), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _read(self, client: httpx.Client, topics: str, options: dict) -> None:
        params = {"topics": topics, **options.pop("params", {})}
        try:
            with client.stream("GET", "/api/stream", params=params, timeout=20, **options) as answer:
                self.status = answer.status_code
                self._socket = answer.extensions["network_stream"].get_extra_info("socket")
                self._ready.set()
                name, number = "", None
                for line in answer.iter_lines():
                    if line.startswith(":"):
                        self.comments += 1
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif key == "id":
                        number = value
                    elif key == "data":
                        self.at.append(time.perf_counter())
                        self.frames.append((name, number, json.loads(value)))
        except httpx.HTTPError:
            pass
        finally:
            self._ready.set()
            self.ended.set()

    def events(self) -> list[dict]:
        return [event for name, _, data in self.frames if name == "events" for event in data["events"]]

    def close(self) -> None:
        """The reader has gone, at once: not only when the next frame comes."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the server was faster
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


@contextlib.contextmanager
def streaming(client: httpx.Client, topics: str, **options) -> Iterator[Stream]:
    stream = Stream(client, topics, **options)
    try:
        yield stream
    finally:
        stream.close()


def n_streams(door) -> float:
    page = door.client(door.metrics_token).get("/metrics").text
    return next(
        float(line.split()[1]) for line in page.splitlines() if line.startswith("argus_gateway_sse_connections ")
    )


@pytest.fixture
def sender(door, event):
    """A person with a run of their own: `send(kind, …)` posts one event of it."""
    person = door.new_person()
    key = door.client(door.key_of(person))
    batch = f"live-{uuid.uuid4().hex[:10]}"

    def send(kind: str, **more) -> dict:
        said = event(kind, batch, **more)
        assert key.post("/api/events", json=said).status_code == 200
        return said

    send("batch_start", data={"name": "live"})
    eventually(lambda: key.get(f"/api/batches/{batch}").status_code == 200, within=60)
    send.batch, send.person, send.key = batch, person, key  # type: ignore[attr-defined]
    return send


def point(n: int) -> dict:
    return {"epoch": n, "metrics": {"loss": 1 / (n + 1)}}


def test_an_event_reaches_the_browser(door, sender):
    with streaming(sender.person.client, f"job:{sender.batch}/j") as stream:
        eventually(lambda: stream.frames)
        name, number, data = stream.frames[0]
        assert (name, data["state"]) == ("status", "live")
        assert number is not None and int(number) == data["position"]
        sender("job_start", job_id="j")
        sender("job_epoch", job_id="j", data=point(0))
        sender("log_line", job_id="j", data={"line": "hello\ndata: forged\n\nevent: forged"})
        eventually(lambda: len(stream.events()) >= 3, within=60)
        assert [one["kind"] for one in stream.events()] == ["job_start", "job_epoch", "log_line"]
        positions = [one["position"] for one in stream.events()]
        assert positions == sorted(set(positions))
        assert stream.events()[2]["data"]["line"] == "hello\ndata: forged\n\nevent: forged"
        frames = [(number, data) for name, number, data in stream.frames if name == "events"]
        assert all(int(number or -1) == data["position"] for number, data in frames)


def test_last_event_id_replays_what_was_missed_and_nothing_twice(door, sender):
    topics = f"job:{sender.batch}/j"
    with streaming(sender.person.client, topics) as stream:
        sender("job_start", job_id="j")
        eventually(lambda: stream.events(), within=60)
        last = [number for _, number, _ in stream.frames if number][-1]
    missed = [sender("job_epoch", job_id="j", data=point(n)) for n in range(5)]
    for options in ({"headers": {"Last-Event-ID": last}}, {"params": {"last_event_id": last}}):
        with streaming(sender.person.client, topics, **options) as again:
            eventually(lambda again=again: len(again.events()) >= 5, within=60)
            time.sleep(0.5)
            assert [one["data"]["epoch"] for one in again.events()] == list(range(5))
    assert len(missed) == 5


def test_a_replay_that_failed_is_asked_for_again_though_nothing_new_happens(door, sender):
    """Query was too busy for one moment, and the page stood still until the next event, which may never come."""
    topics = f"job:{sender.batch}/j"
    with streaming(sender.person.client, topics) as stream:
        eventually(lambda: stream.frames)
        last = next(number for _, number, _ in stream.frames if number)
        sender("job_start", job_id="j")
        eventually(lambda: stream.events(), within=60)
    with door.database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE read.projection_swaps IN ACCESS EXCLUSIVE MODE")  # no answer but how far it is
        stream = Stream(sender.person.client, topics, headers={"Last-Event-ID": last})
        time.sleep(4)  # an answer gives up after 2 s
        assert stream.events() == []
    try:
        eventually(lambda: [one["kind"] for one in stream.events()] == ["job_start"], within=30)
    finally:
        stream.close()


def test_a_cursor_ahead_of_the_log_is_reset(door, sender):
    with streaming(sender.person.client, f"batch:{sender.batch}", headers={"Last-Event-ID": str(2**50)}) as stream:
        eventually(lambda: any(name == "reset" for name, _, _ in stream.frames))
        position = next(data["position"] for name, _, data in stream.frames if name == "reset")
        assert position < 2**50


def test_foreign_topics_stay_silent(door, sender):
    stranger = door.new_person(door.new_workspace())
    topics = f"job:{sender.batch}/j,batch:{sender.batch},log:{sender.batch},dashboard"
    with (
        streaming(stranger.client, topics, params={"last_event_id": "0"}) as foreign,
        streaming(sender.person.client, topics) as own,
    ):
        eventually(lambda: own.frames)  # from here on it listens
        sender("job_start", job_id="j")
        eventually(lambda: own.events(), within=60)
        time.sleep(1.5)
        assert foreign.status == 200
        assert foreign.events() == []


@pytest.mark.parametrize(
    "query", ["", "topics=", "topics=everything", "topics=batch:", "topics=log:", "topics=log:b/j", "topics=batch:a%20b", "topics=job:a", "topics=job:a/%00",
              "topics=dashboard&last_event_id=-1", "topics=dashboard&last_event_id=x", "topics=" + ",".join(["dashboard"] * 60)],
)  # fmt: skip
def test_wrong_topics_are_a_problem(door, query):
    assert door.administrator().get(f"/api/stream?{query}").status_code == 422
    assert door.administrator().get("/api/stream?topics=dashboard", headers={"Last-Event-ID": "x"}).status_code == 422


def test_status_comes_every_few_seconds_and_a_ping_within_eleven(door):
    person = door.new_person()
    with streaming(person.client, "dashboard") as stream:
        eventually(lambda: stream.comments and len(stream.frames) >= 3, within=12)
        times = [at for (name, _, _), at in zip(stream.frames, stream.at, strict=False) if name == "status"]
        assert max(b - a for a, b in itertools.pairwise(times)) <= 5


def test_twelve_streams_a_user_and_every_slot_comes_back(door):
    person = door.new_person()
    before = n_streams(door)
    clients = [door.client(cookies=dict(person.client.cookies)) for _ in range(13)]
    with contextlib.ExitStack() as stack:
        for client in clients[:12]:
            assert stack.enter_context(streaming(client, "dashboard")).status == 200
        refused = clients[12].get("/api/stream", params={"topics": "dashboard"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert refused.headers["content-type"] == "application/problem+json"
        assert n_streams(door) == before + 12
    eventually(lambda: n_streams(door) == before, within=30)
    with streaming(clients[12], "dashboard") as stream:
        assert stream.status == 200


def test_a_client_that_leaves_before_the_first_byte_leaks_no_slot(door):
    import struct
    import urllib.parse

    before = n_streams(door)
    token = door.key_of(door.new_person())
    place = urllib.parse.urlsplit(door.url)
    request = f"GET /api/stream?topics=dashboard HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    for _ in range(100):
        connection = socket.create_connection((place.hostname, place.port))
        connection.sendall(request)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # RST
    eventually(lambda: n_streams(door) <= before, within=30)


def test_streams_hold_no_database_connection(door):
    def held() -> int:
        return door.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'argus_gateway' AND state <> 'idle'"
        )[0][0]

    people = [door.new_person() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for person in people:
            for _ in range(10):
                stack.enter_context(streaming(door.client(cookies=dict(person.client.cookies)), "dashboard"))
        time.sleep(1.5)
        assert held() == 0
        started = time.perf_counter()
        assert people[0].get("/api/keys").status_code == 200
        assert time.perf_counter() - started < 2


def test_time_from_post_to_browser(door, sender):
    """Prints the figure; the bound is wide, because this machine does other things too."""
    with streaming(sender.person.client, f"job:{sender.batch}/j") as stream:
        sender("job_start", job_id="j")
        eventually(lambda: stream.events(), within=60)
        took = []
        for n in range(20):
            seen = len(stream.events())
            started = time.perf_counter()
            sender("job_epoch", job_id="j", data=point(n))
            eventually(lambda seen=seen: len(stream.events()) > seen, within=60)
            took.append(time.perf_counter() - started)
    print(f"post to browser: median {statistics.median(took) * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms")
    assert statistics.median(took) < 2


def test_a_slow_reader_costs_no_memory_and_nobody_else_time(door, sender):
    """Readers that take nothing: the server stops asking for them, and the others hear on."""
    import urllib.parse

    import psutil

    tokens = [sender.key.headers["authorization"].removeprefix("Bearer ")]
    tokens += [door.key_of(door.new_person()) for _ in range(4)]  # of the same workspace: they may see the run
    place = urllib.parse.urlsplit(door.url)
    gateway = psutil.Process(door.gateway.pid)
    processes = [gateway, *gateway.children(recursive=True)]
    before = sum(process.memory_info().rss for process in processes)
    slow = []
    for token in tokens * 10:
        request = f"GET /api/stream?topics=job:{sender.batch}/j HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((place.hostname, place.port))
        connection.sendall(request.encode())
        slow.append(connection)
    try:
        with streaming(sender.person.client, f"job:{sender.batch}/j") as stream:
            for _ in range(10):
                lines = [
                    {"event_id": str(uuid.uuid4()), "kind": "log_line", "batch_id": sender.batch, "job_id": "j",
                     "occurred_at": "2026-11-21T03:00:00Z", "data": {"line": "x" * 4000}}
                    for _ in range(200)
                ]  # fmt: skip
                assert sender.key.post("/api/events/batch", json=lines).status_code == 200
            eventually(lambda: len(stream.events()) >= 2000, within=90)
        after = sum(process.memory_info().rss for process in processes)
        assert after - before < 120 * 1024 * 1024
        print(f"50 slow readers, 8 MB of events: +{(after - before) / 2**20:.0f} MiB")
    finally:
        for connection in slow:
            connection.close()
    eventually(lambda: n_streams(door) == 0, within=40)
