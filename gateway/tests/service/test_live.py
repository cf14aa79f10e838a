"""The live stream: frames, replay from Last-Event-ID, limits, rights that end."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Iterator

import httpx
import pytest

from argus_gateway import live_response
from argus_testkit.waiting import eventually


class Stream:
    """One open stream, read in a thread; `frames` has what has come: (event, id, data)."""

    def __init__(self, client: httpx.Client, topics: str, **options) -> None:
        self.frames: list[tuple[str, str | None, dict]] = []
        self.comments = 0
        self.ended = threading.Event()
        self.status = 0
        self._socket: socket.socket | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(client, topics, options), daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _read(self, client: httpx.Client, topics: str, options: dict) -> None:
        params = {"topics": topics, **options.pop("params", {})}
        try:
            with client.stream("GET", "/api/stream", params=params, timeout=60, **options) as answer:
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
                        self.frames.append((name, number, json.loads(value)))
        except httpx.HTTPError:
            pass
        finally:
            self._ready.set()
            self.ended.set()

    def listen(self) -> Stream:
        """It knows from where on it tells what happens: whatever is posted from now on comes."""
        eventually(lambda: any(number for _, number, _ in self.frames), within=60, what="the stream listens")
        return self

    def next_status(self) -> None:
        """It has come round once more since the call: what it had to say before, it has said."""
        n_said = self.n_statuses()
        eventually(lambda: self.n_statuses() > n_said, within=60, what="the next status")

    def n_statuses(self) -> int:
        return sum(name == "status" for name, _, _ in self.frames)

    def events(self) -> list[dict]:
        return [event for name, _, data in self.frames if name == "events" for event in data["events"]]

    def close(self) -> None:
        """The reader has gone, at once: not only when the next frame comes."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the server was faster
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)


@contextlib.contextmanager
def streaming(client: httpx.Client, topics: str, **options) -> Iterator[Stream]:
    stream = Stream(client, topics, **options)
    try:
        yield stream
    finally:
        stream.close()


def metric(door, name: str) -> float:
    """0 where nothing was counted yet."""
    page = door.client(door.metrics_token).get("/metrics").text
    return next((float(line.split()[1]) for line in page.splitlines() if line.startswith(f"{name} ")), 0.0)


def n_streams(door) -> float:
    return metric(door, "argus_gateway_sse_connections")


def no_stream_is_open(door) -> None:
    """Those of earlier tests have ended, too."""
    eventually(lambda: n_streams(door) == 0, within=60, what="no stream is open")


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
    topics = f"job:{sender.batch}/j"

    def first_frame() -> tuple[str, str | None, dict]:
        with streaming(sender.person.client, topics) as stream:
            eventually(lambda: stream.frames)
            return stream.frames[0]

    # `behind` or `unavailable` while the machine still works on what tests before this one have posted
    name, number, data = eventually(lambda: (first := first_frame())[2].get("state") == "live" and first, within=60)
    assert name == "status"
    assert number is not None and int(number) == data["position"]
    with streaming(sender.person.client, topics) as stream:
        stream.listen()
        for n, (kind, said) in enumerate((
            ("job_start", {}), ("job_epoch", point(0)), ("log_line", {"line": "hello\ndata: forged\n\nevent: forged"}),
        )):  # fmt: skip
            sender(kind, job_id="j", data=said)
            eventually(lambda n=n: len(stream.events()) > n, within=100)
        assert [one["kind"] for one in stream.events()] == ["job_start", "job_epoch", "log_line"]
        positions = [one["position"] for one in stream.events()]
        assert positions == sorted(set(positions))
        assert stream.events()[2]["data"]["line"] == "hello\ndata: forged\n\nevent: forged"
        frames = [(number, data) for name, number, data in stream.frames if name == "events"]
        assert all(int(number or -1) == data["position"] for number, data in frames)


def test_last_event_id_replays_what_was_missed_and_nothing_twice(door, sender):
    topics = f"job:{sender.batch}/j"
    with streaming(sender.person.client, topics) as stream:
        stream.listen()
        sender("job_start", job_id="j")
        eventually(lambda: stream.events(), within=100)
        last = [number for _, number, _ in stream.frames if number][-1]
    for n in range(5):
        sender("job_epoch", job_id="j", data=point(n))
    for options in ({"headers": {"Last-Event-ID": last}}, {"params": {"last_event_id": last}}):
        with streaming(sender.person.client, topics, **options) as again:
            eventually(lambda again=again: len(again.events()) >= 5, within=100)
            again.next_status()
            assert sorted(one["data"]["epoch"] for one in again.events()) == list(range(5))


def test_a_replay_that_failed_is_asked_for_again_though_nothing_new_happens(door, sender):
    """Query was too busy for one moment, and the page stood still until the next event, which may never come."""
    topics = f"job:{sender.batch}/j"
    with streaming(sender.person.client, topics) as stream:
        stream.listen()
        last = next(number for _, number, _ in stream.frames if number)
        sender("job_start", job_id="j")
        eventually(lambda: stream.events(), within=100)
    failed = 'argus_gateway_sse_replays_total{result="failed"}'
    before = metric(door, failed)
    with door.database.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE read.projection_swaps IN ACCESS EXCLUSIVE MODE")  # no answer but how far it is
        stream = Stream(sender.person.client, topics, headers={"Last-Event-ID": last})
        eventually(lambda: metric(door, failed) > before, what="a replay has failed")
        assert stream.events() == []
    try:
        eventually(lambda: [one["kind"] for one in stream.events()] == ["job_start"], within=60)
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
        own.listen()
        foreign.listen()
        sender("job_start", job_id="j")
        eventually(lambda: own.events(), within=100)
        foreign.next_status()
        assert foreign.status == 200
        assert foreign.events() == []


@pytest.mark.parametrize(
    "query", ["", "topics=", "topics=everything", "topics=batch:", "topics=log:", "topics=log:b/j", "topics=batch:a%20b", "topics=job:a", "topics=job:a/%00",
              "topics=dashboard&last_event_id=-1", "topics=dashboard&last_event_id=x", "topics=" + ",".join(["dashboard"] * 60)],
)  # fmt: skip
def test_wrong_topics_are_a_problem(door, query):
    assert door.administrator().get(f"/api/stream?{query}").status_code == 422
    assert door.administrator().get("/api/stream?topics=dashboard", headers={"Last-Event-ID": "x"}).status_code == 422


def test_status_and_pings_come_for_ever(door):
    """However little happens: every 5 s and every 11 s at the latest, as the constants say where the machine keeps up."""
    assert live_response._STATUS_EVERY_S < 5
    assert live_response._PING_EVERY_S < 11
    with streaming(door.new_person().client, "dashboard") as stream:
        eventually(lambda: stream.comments and stream.n_statuses() >= 3, within=100)


def test_twelve_streams_a_user_and_every_slot_comes_back(door):
    person = door.new_person()
    no_stream_is_open(door)
    clients = [door.client(cookies=dict(person.client.cookies)) for _ in range(13)]
    streams: list[Stream] = []
    with contextlib.ExitStack() as stack:
        for client in clients[:12]:
            stream = stack.enter_context(streaming(client, "dashboard"))
            streams.append(stream)
            assert stream.status == 200
        refused = clients[12].get("/api/stream", params={"topics": "dashboard"})
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert refused.headers["content-type"] == "application/problem+json"
        assert n_streams(door) == 12
    no_stream_is_open(door)
    with streaming(clients[12], "dashboard") as stream:
        assert stream.status == 200


def test_a_client_that_leaves_before_the_first_byte_leaks_no_slot(door):
    import struct
    import urllib.parse

    no_stream_is_open(door)
    token = door.key_of(door.new_person())
    place = urllib.parse.urlsplit(door.url)
    request = f"GET /api/stream?topics=dashboard HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    for _ in range(100):
        connection = socket.create_connection((place.hostname, place.port))
        connection.sendall(request)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()  # RST
    no_stream_is_open(door)


def test_streams_hold_no_database_connection(door):
    """They ask for their rights now and then; if they held what they ask by, the few connections would never be idle."""

    def held() -> int:
        return door.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'argus_gateway' AND state <> 'idle'"
        )[0][0]

    people = [door.new_person() for _ in range(3)]
    streams: list[Stream] = []
    with contextlib.ExitStack() as stack:
        for person in people:
            for _ in range(10):
                client = door.client(cookies=dict(person.client.cookies))
                streams.append(stack.enter_context(streaming(client, "dashboard")))
        for stream in streams:
            stream.listen()
        eventually(lambda: held() == 0)
        assert people[0].get("/api/keys").status_code == 200


def test_every_event_reaches_the_browser_though_none_follows(door, sender):
    """One after the other, each once; how fast is a figure of the benchmarks."""
    with streaming(sender.person.client, f"job:{sender.batch}/j") as stream:
        stream.listen()
        said = []
        for n in range(20):
            said.append(sender("job_epoch", job_id="j", data=point(n)))
            eventually(lambda: len(stream.events()) >= len(said), within=100)
        assert [one["data"]["epoch"] for one in stream.events()] == list(range(20))


@pytest.mark.timeout(400)
def test_a_slow_reader_costs_no_memory_and_nobody_else_time(door, sender):
    """O4: readers that take nothing: the server stops asking for them, and the others hear on."""
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
            stream.listen()
            for _ in range(10):
                lines = [
                    {"event_id": str(uuid.uuid4()), "kind": "log_line", "batch_id": sender.batch, "job_id": "j",
                     "occurred_at": "2026-11-21T03:00:00Z", "data": {"line": "x" * 4000}}
                    for _ in range(200)
                ]  # fmt: skip
                assert sender.key.post("/api/events/batch", json=lines).status_code == 200
            eventually(lambda: len(stream.events()) >= 2000, within=150)
        after = sum(process.memory_info().rss for process in processes)
        assert after - before < 120 * 1024 * 1024
        print(f"50 slow readers, 8 MB of events: +{(after - before) / 2**20:.0f} MiB")
    finally:
        for connection in slow:
            connection.close()
    no_stream_is_open(door)
