from __future__ import annotations

import contextlib
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from argus import folders
from argus import outbox as outboxes
from argus.bounds import Bounds
from argus.outbox import Outbox
from argus.segments import Identity
from argus.spool import CLASSES, Spool, new_producer_id
from argus.tracks import Message
from argus_contracts.quantities import MAX_EVENTS_PER_MESSAGE, MAX_MESSAGE_BYTES, RETENTION_CLASSES

CAP = 2 * 1024**3
NOW = 1000.0
"""It stands still: what was handed over is not due again, however long a test takes."""


def payload(number: int, size: int = 0) -> bytes:
    return orjson.dumps({"kind": "job_epoch", "n": number, "pad": "x" * size})


class Producer:
    """A spool and its outbox, as a live run has them."""

    def __init__(self, root: Path) -> None:
        self.spool = Spool(root, new_producer_id(), {"batch_id": "b", "url": None, "key_id": ""})
        self.outbox = Outbox(self.spool.folder, self.spool.producer_id, "b", self.spool)

    def say(self, *numbers: int, name: Any = "metrics", size: int = 0) -> None:
        for number in numbers:
            self.spool.lanes[name].append(payload(number, size))

    def adopted(self) -> Outbox:
        """The same folder after the death of the process: read from the disk alone."""
        self.spool.close()
        self.outbox.close()
        return Outbox(self.spool.folder, self.spool.producer_id, "b")


@pytest.fixture
def producer(tmp_path: Path) -> Producer:
    return Producer(tmp_path / "spool")


def send_all(outbox: Outbox) -> list[dict[str, Any]]:
    """Every message that is due, as the wire has it; the broker takes them all."""
    sent: list[dict[str, Any]] = []
    while True:
        outbox.form(100)
        due = outbox.due(NOW, 100)
        if not due:
            return sent
        for message in due:
            body = outbox.body_of(message)
            assert len(body) <= MAX_MESSAGE_BYTES
            sent.append(orjson.loads(body))
            message.tried(NOW, taken=True)


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [event["n"] for message in messages for event in message["events"]]


def test_the_classes_are_those_of_the_contract() -> None:
    assert CLASSES == RETENTION_CLASSES


def test_what_was_said_is_on_disk_when_the_call_returns(producer: Producer) -> None:
    producer.say(1, 2, 3)
    raw = b"".join(path.read_bytes() for path in producer.spool.folder.glob("metrics.*.seg"))
    assert all(payload(number) in raw for number in (1, 2, 3))


def test_folder_and_files_belong_to_their_owner_only(producer: Producer) -> None:
    producer.say(1)
    producer.outbox.form(1)
    producer.outbox.stored("metrics", 1, [])
    producer.outbox.tidy(CAP)
    assert stat.S_IMODE(producer.spool.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(producer.spool.root.stat().st_mode) == 0o700
    files = list(producer.spool.folder.iterdir())
    assert {path.name.split(".")[0] for path in files} >= {"lock", "meta", "metrics", "bounds", "stored"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_seqs_are_contiguous_and_ids_derived_per_class(producer: Producer) -> None:
    producer.say(*range(1200))
    producer.say(*range(3), name="log_lines")
    messages = send_all(producer.outbox)
    metrics = [message for message in messages if message["class"] == "metrics"]
    assert [(m["first_seq"], len(m["events"])) for m in metrics] == [(0, 500), (500, 500), (1000, 200)]
    assert numbers(metrics) == list(range(1200)) == [e["seq"] for m in metrics for e in m["events"]]
    ids = [UUID(event["event_id"]) for message in messages for event in message["events"]]
    assert {one.version for one in ids} == {7}
    assert {one.variant for one in ids} == {"specified in RFC 4122"}
    assert len(set(ids)) == 1203
    born = ids[0].int >> 80
    assert abs(born / 1000 - time.time()) < 60


def test_ids_of_two_producers_of_the_same_millisecond_differ() -> None:
    one, other = "0" * 12 + "a" * 20, "0" * 12 + "b" * 20
    seen = {Identity(p, name).wear(seq, [b"{}"])[0] for p in (one, other) for name in CLASSES for seq in (0, 2**38 - 1)}
    assert len(seen) == 16


def test_large_events_make_small_messages(producer: Producer) -> None:
    producer.say(*range(20), size=50_000)
    messages = send_all(producer.outbox)
    assert numbers(messages) == list(range(20))
    assert len(messages) >= 5
    assert max(len(m["events"]) for m in messages) <= MAX_EVENTS_PER_MESSAGE


@pytest.mark.parametrize("cut", [1, 5, 8, 20, 40])
def test_a_torn_tail_is_dropped_alone_and_counted(producer: Producer, cut: int) -> None:
    producer.say(0, 1, 2)
    path = next(producer.spool.folder.glob("metrics.*.seg"))
    os.truncate(path, path.stat().st_size - cut)
    dead = producer.adopted()
    messages = send_all(dead)
    assert numbers(messages) == [0, 1]
    dead.finish_reading()
    assert dead.n_torn == 1
    dead.stored("metrics", 2, [])
    assert dead.is_empty()


def test_a_damaged_event_in_the_middle_is_left_out_alone(producer: Producer) -> None:
    producer.say(*range(5))
    path = next(producer.spool.folder.glob("metrics.*.seg"))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b'"n":2') + 4] ^= 1
    path.write_bytes(raw)
    dead = producer.adopted()
    messages = send_all(dead)
    assert [(event["seq"], event["n"]) for m in messages for event in m["events"]] == [(0, 0), (1, 1), (3, 3), (4, 4)]
    assert dead.n_torn == 1
    dead.stored("metrics", 2, [(3, 4)])
    assert dead.is_empty()


def test_whoever_adopts_the_spool_sends_with_the_bounds_that_were_used_before(producer: Producer) -> None:
    bounds: list[tuple[int, int]] = []
    first_bodies: dict[int, bytes] = {}
    for start, stop in ((0, 3), (3, 4), (4, 90)):
        producer.say(*range(start, stop))
        producer.outbox.form(10)
        message = producer.outbox.due(NOW, 1)[0]
        first_bodies[message.first_seq] = producer.outbox.body_of(message)
        bounds.append((message.first_seq, message.count))
        message.tried(NOW, taken=True)
    producer.say(*range(90, 100))
    dead = producer.adopted()
    dead.form(10)
    due = dead.due(NOW, 10)
    assert [(m.first_seq, m.count) for m in due] == [*bounds, (90, 10)]
    assert {m.first_seq: dead.body_of(m) for m in due[:3]} == first_bodies


def test_a_large_spool_is_adopted_whole_however_often_its_end_is_looked_at(producer: Producer) -> None:
    producer.say(*range(60_000))
    dead = producer.adopted()
    seen: list[int] = []
    for _ in range(1_000):
        dead.form(3)
        dead.finish_reading()
        for message in dead.due(NOW, 3):
            seen += [event["n"] for event in orjson.loads(dead.body_of(message))["events"]]
            message.tried(NOW, taken=True)
            dead.stored("metrics", message.next_seq, [])
        dead.tidy(CAP)
        if dead.is_empty():
            break
    assert seen == list(range(60_000))
    assert dead.n_torn == 0


def test_a_row_of_damaged_events_hides_none_behind_it(producer: Producer) -> None:
    producer.say(*range(1000), size=1000)
    path = next(producer.spool.folder.glob("metrics.*.seg"))
    raw = bytearray(path.read_bytes())
    at = raw.index(b'"n":500')
    for start in range(8, at, len(payload(0, 1000)) // 2):
        if raw[start] == ord("x"):
            raw[start] = ord("y")
    path.write_bytes(raw)
    dead = producer.adopted()
    found = numbers(send_all(dead))
    assert set(range(501, 1000)) <= set(found)
    assert len(found) + dead.n_torn == 1000


def test_a_segment_that_the_disk_refused_at_once_is_not_read_twice(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 1_000)
    producer.say(*range(20), size=100)
    producer.outbox.tidy(CAP)
    lane = producer.spool.lanes["metrics"]
    os.close(lane.fd)
    lane.fd = os.open("/dev/full", os.O_WRONLY)
    producer.say(*range(20, 30))
    assert lane.memory is not None
    producer.outbox.form(10)
    producer.outbox.tidy(CAP)
    assert lane.memory is None
    producer.say(*range(30, 40))
    live = numbers([orjson.loads(producer.outbox.body_of(m)) for m in producer.outbox.due(NOW, 99)])
    assert live + numbers(send_all(producer.outbox))[len(live) :] == list(range(40))
    assert numbers(send_all(producer.adopted())) == list(range(40))


def test_a_resend_has_the_same_bytes_and_waits_longer_each_time(producer: Producer) -> None:
    producer.say(*range(10))
    producer.outbox.form(1)
    now = 1000.0
    message = producer.outbox.due(now, 1)[0]
    body = producer.outbox.body_of(message)
    waits = []
    for _ in range(8):
        message.tried(now, taken=True)
        waits.append(message.retry_at - now)
        assert producer.outbox.due(message.retry_at - 0.1, 1) == []
        now = message.retry_at
        assert producer.outbox.due(now, 1) == [message]
        assert producer.outbox.body_of(message) == body
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


def test_only_what_is_stored_is_trimmed(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 20_000)
    for start in range(0, 1000, 100):
        producer.say(*range(start, start + 100), size=100)
        producer.outbox.tidy(CAP)
    files = len(list(producer.spool.folder.glob("metrics.*.seg")))
    assert files >= 5
    messages = send_all(producer.outbox)
    producer.outbox.tidy(CAP)
    assert len(list(producer.spool.folder.glob("metrics.*.seg"))) == files, "sent is not stored"
    half = messages[len(messages) // 2]["first_seq"]
    producer.outbox.stored("metrics", half, [])
    producer.outbox.tidy(CAP)
    assert 1 < len(list(producer.spool.folder.glob("metrics.*.seg"))) < files
    dead = producer.adopted()
    assert numbers(send_all(dead)) == list(range(half, 1000))
    dead.stored("metrics", 1000, [])
    assert dead.is_empty()
    dead.remove_folder()
    assert not producer.spool.folder.exists()


def test_ranges_above_the_watermark_are_not_sent_again(producer: Producer) -> None:
    for start in range(0, 50, 10):
        producer.say(*range(start, start + 10))
        producer.outbox.form(10)
    producer.outbox.stored("metrics", 10, [(20, 29), (40, 49)])
    assert [(m.first_seq, m.count) for m in producer.outbox.due(NOW, 10)] == [(10, 10), (30, 10)]
    producer.outbox.tidy(CAP)
    dead = producer.adopted()
    assert [(m["first_seq"], len(m["events"])) for m in send_all(dead)] == [(10, 10), (30, 10)]


def test_over_the_cap_log_lines_go_first_then_snapshots_and_are_counted(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 10_000)
    for start in range(0, 1000, 50):
        for name in ("metrics", "snapshots", "log_lines"):
            producer.say(*range(start, start + 50), name=name, size=100)
        producer.outbox.tidy(300_000)
    lost = producer.outbox.dropping.dropped
    refused = producer.spool.dropped()
    assert lost["log_lines"] > 0
    assert lost["log_lines"] >= lost.get("snapshots", 0)
    assert "metrics" not in lost
    assert "metrics" not in refused
    dead = producer.adopted()
    by_class: dict[str, list[dict[str, Any]]] = {}
    for message in send_all(dead):
        by_class.setdefault(message["class"], []).append(message)
    assert numbers(by_class["metrics"]) == list(range(1000))
    for name in ("log_lines", "snapshots"):
        kept = len(numbers(by_class.get(name, [])))
        assert kept + lost.get(name, 0) + refused.get(name, 0) == 1000, name


def test_what_the_broker_has_is_not_dropped_and_what_it_may_have_stays(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted are events that nobody has: said = stored + dropped, to the unit."""
    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 5_000)
    for start in range(0, 300, 50):  # a segment each
        producer.say(*range(start, start + 50), name="log_lines", size=100)
        producer.outbox.form(10)
        producer.outbox.tidy(CAP)
    taken, unheard, refused = producer.outbox.due(NOW, 3)
    taken.tried(NOW, taken=True)
    unheard.unheard = True
    producer.outbox.tidy(0)
    left = [message.first_seq for message in producer.outbox.due(NOW + 1000, 10)]
    assert (taken.first_seq in left, unheard.first_seq in left, refused.first_seq in left) == (False, True, False)
    dropped = producer.outbox.dropping.dropped["log_lines"]
    kept = len(numbers(send_all(producer.adopted())))
    assert (taken.count, kept) == (50, unheard.count)
    assert taken.count + kept + dropped == 300


def test_nothing_is_dropped_once_the_number_was_told(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 5_000)
    for start in range(0, 300, 50):
        producer.say(*range(start, start + 50), name="log_lines", size=100)
        producer.outbox.tidy(CAP)
    producer.outbox.dropping.stop()
    producer.outbox.tidy(0)
    assert producer.outbox.dropping.dropped == {}
    dead = producer.adopted()
    dead.tidy(0)
    assert dead.dropping.dropped == {}
    assert numbers(send_all(dead)) == list(range(300))


def in_a_small_disk(code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` where no file may grow beyond 40 kB, as on a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    head = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    return subprocess.run(
        [sys.executable, "-c", head + code], capture_output=True, text=True, preexec_fn=limit, timeout=120, check=False
    )


def test_a_full_disk_keeps_events_in_memory_in_order_and_warns_once(tmp_path: Path) -> None:
    done = in_a_small_disk(f"""
import sys; sys.path[:0] = {sys.path!r}
import resource, orjson
from pathlib import Path
from argus.bounds import Bounds
from argus.outbox import Outbox
from argus.spool import Spool, new_producer_id
spool = Spool(Path({str(tmp_path / "spool")!r}), new_producer_id(), {{"batch_id": "b"}})
outbox = Outbox(spool.folder, spool.producer_id, "b", spool)
lane = spool.lanes["metrics"]
for n in range(2000):
    lane.append(orjson.dumps({{"kind": "job_epoch", "n": n, "pad": "x" * 50}}))
seen, now = [], 1000.0
while True:
    outbox.form(100)
    due = outbox.due(now, 100)
    if not due:
        break
    for message in due:
        seen += [(e["seq"], e["n"]) for e in orjson.loads(outbox.body_of(message))["events"]]
        message.tried(now, taken=True)
print(lane.memory is not None, seen == [(n, n) for n in range(2000)], lane.dropped)
outbox.tidy(2**31)
print(lane.memory is not None, [m.count for m in outbox.tracks["metrics"].waiting] != [])
outbox.stored("metrics", 1990, [])
outbox.tidy(2**31)
lane.append(orjson.dumps({{"kind": "job_epoch", "n": 2000}}))
outbox.tidy(2**31)
print(lane.memory is None)
outbox.form(10)
print([e["n"] for m in outbox.tracks["metrics"].waiting for e in orjson.loads(outbox.body_of(m))["events"]][-11:])
""")
    assert done.returncode == 0, done.stderr
    out = done.stdout.splitlines()
    assert out[0] == "True True 0"
    assert out[1] == "True True"
    assert out[2] == "True", "the disk takes events again, and so they go there"
    assert out[3] == str(list(range(1990, 2001)))
    assert done.stderr.count("argus:") == 1


def test_a_spool_that_cannot_be_made_never_raises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from argus.trouble import forget_warnings

    forget_warnings()
    (tmp_path / "file").write_text("")
    producer = Producer(tmp_path / "file" / "spool")
    producer.say(*range(700))
    assert numbers(send_all(producer.outbox)) == list(range(700))
    assert capsys.readouterr().err.count("argus:") == 1


def test_two_threads_and_the_roll_lose_and_double_nothing(producer: Producer, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 30_000)
    threads = [threading.Thread(target=producer.say, args=range(k, 20_000, 2)) for k in range(2)]
    for thread in threads:
        thread.start()
    sent: list[dict[str, Any]] = []
    alive: Callable[[], bool] = lambda: any(thread.is_alive() for thread in threads)  # noqa: E731
    while alive():
        sent += send_all(producer.outbox)
        producer.outbox.tidy(CAP)
    producer.outbox.tidy(CAP)  # however the threads were scheduled, it has rolled
    producer.say(20_000)
    sent += send_all(producer.outbox)
    assert sorted(numbers(sent)) == list(range(20_001))
    assert [event["seq"] for message in sent for event in message["events"]] == list(range(20_001))
    assert len(list(producer.spool.folder.glob("metrics.*.seg"))) >= 2


def test_zeros_that_a_power_cut_left_behind_are_no_events(producer: Producer) -> None:
    producer.say(0, 1, 2)
    path = next(producer.spool.folder.glob("metrics.*.seg"))
    with path.open("ab") as file:
        file.write(
            bytes(4096)
        )  # the size was on disk, the contents were not: eight zeros are a frame with a right checksum
    outbox = producer.adopted()
    assert numbers(send_all(outbox)) == [0, 1, 2]
    outbox.stored("metrics", 3, [])
    outbox.finish_reading()
    assert outbox.is_empty()
    assert outbox.n_torn == 1


def test_events_in_memory_get_no_number_twice_where_files_cannot_be_opened(producer: Producer) -> None:
    producer.say(*range(5))
    os.close(producer.spool.lanes["metrics"].fd)  # the next write fails
    producer.say(5, 6)
    with no_descriptor_left():
        producer.outbox.form(100)
        producer.outbox.tidy(CAP)
        assert not producer.outbox.is_empty()
    sent = send_all(producer.outbox)
    assert numbers(sent) == list(range(7))
    assert [event["seq"] for message in sent for event in message["events"]] == list(range(7))


@contextlib.contextmanager
def no_descriptor_left() -> Iterator[None]:
    """As in a training process that has opened too many files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    held: list[int] = []
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_bounds_behind_a_torn_record_are_readable(tmp_path: Path) -> None:
    path = tmp_path / "bounds"
    first = Bounds(path)
    first.fix("metrics", 0, 3)
    first.close()
    with path.open("ab") as file:
        file.write(b"\x01\x02\x03")  # what a full disk or a power cut leaves
    again = Bounds(path)
    again.fix("metrics", 3, 2)
    again.close()
    assert list(again.read()) == [("metrics", 0, 3), ("metrics", 3, 2)]


def test_what_an_ended_run_left_is_cut_alike_by_everybody_though_no_bounds_are_written(producer: Producer) -> None:
    """Its sender, killed before anything was stored, and whoever adopts the folder: the re-sent messages are the same."""
    producer.say(*range(3))
    producer.outbox.form(1)  # while it lives: these bounds are written
    size = (producer.spool.folder / "bounds").stat().st_size
    producer.say(*range(3, 1500))
    producer.outbox.no_more()
    first = [producer.outbox.body_of(m) for m in formed(producer.outbox)]
    assert (producer.spool.folder / "bounds").stat().st_size == size
    again = producer.adopted()
    assert [again.body_of(m) for m in formed(again)] == first
    assert [len(orjson.loads(body)["events"]) for body in first] == [3, 500, 500, 497]
    again.close()


def formed(outbox: Outbox) -> list[Message]:
    outbox.form(100)
    return outbox.due(NOW, 100)


def test_what_is_left_is_counted_per_event(producer: Producer) -> None:
    producer.say(*range(10))
    producer.say(*range(4), name="log_lines")
    producer.outbox.form(10)
    assert producer.outbox.left() == (14, 0)
    producer.outbox.stored("metrics", 3, [(5, 6), (6, 7)])
    assert producer.outbox.left() == (8, 0)
    producer.outbox.stored("log_lines", 4, [])
    assert producer.outbox.left() == (4, 0)


def test_a_folder_that_is_used_again_says_whose_it_is_now(tmp_path: Path) -> None:
    """Also where what it said before was longer; and nothing of what was in it is left."""
    folders.give_back(tmp_path, "a", folders.make(tmp_path, "a", orjson.dumps({"batch_id": "long" * 300})))
    lock_fd = folders.make(tmp_path, "b", orjson.dumps({"batch_id": "b"}))
    assert orjson.loads((tmp_path / "b" / "meta.json").read_bytes()) == {"batch_id": "b"}
    assert names(tmp_path) == ["b"]
    (tmp_path / "b" / "lifecycle.0000000000000000.seg").write_bytes(b"x")
    folders.give_back(tmp_path, "b", lock_fd)
    assert names(tmp_path / ".b.new") == ["lock", "meta.json"]
    folders.remove_spares()
    assert names(tmp_path) == []


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
