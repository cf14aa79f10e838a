"""Disks that are full, torn, damaged or not there, and a process that may open no more files."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from argus import outbox as outboxes
from argus.courier import orphans
from argus.settings import Settings
from argus.trouble import forget_warnings
from argus_testkit.spools import CAP, NOW, Spooled, numbers, payload, send_all


@pytest.mark.parametrize("cut", [1, 5, 8, 20, 40])
def test_a_torn_tail_is_dropped_alone_and_counted(producer: Spooled, cut: int) -> None:
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


def test_a_damaged_event_in_the_middle_is_left_out_alone(producer: Spooled) -> None:
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


def test_a_row_of_damaged_events_hides_none_behind_it(producer: Spooled) -> None:
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


def test_zeros_that_a_power_cut_left_behind_are_no_events(producer: Spooled) -> None:
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


def test_a_segment_that_the_disk_refused_at_once_is_not_read_twice(
    producer: Spooled, monkeypatch: pytest.MonkeyPatch
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
    forget_warnings()
    (tmp_path / "file").write_text("")
    producer = Spooled(tmp_path / "file" / "spool")
    producer.say(*range(700))
    assert numbers(send_all(producer.outbox)) == list(range(700))
    assert capsys.readouterr().err.count("argus:") == 1


def test_events_in_memory_get_no_number_twice_where_files_cannot_be_opened(producer: Spooled) -> None:
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


@pytest.mark.parametrize(
    "marks",
    [
        b"[1, 2]",
        b'{"of_a_newer_sdk": [1, []]}',
        b'{"metrics": [null, []]}',
        b'{"metrics": [0, [["a", 1]]]}',
        b'{"metrics": 3}',
    ],
)
def test_a_watermark_that_cannot_be_read_costs_a_resend(producer: Spooled, marks: bytes) -> None:
    producer.say(*range(5))
    (producer.spool.folder / "stored.json").write_bytes(marks)
    assert numbers(send_all(producer.adopted())) == list(range(5))


def test_a_folder_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    odd = tmp_path / "0-not-a-producer"
    odd.mkdir()
    (odd / "meta.json").write_text('{"producer_id": "0-not-a-producer", "batch_id": "b"}')
    (odd / "lock").touch()
    left = Spooled(tmp_path)
    left.say(1, 2, 3)
    left.spool.close()
    left.outbox.close()
    found = orphans(tmp_path, Settings("nats://h", None, tmp_path, 1, None), None, everybody=True)
    assert [orphan.outbox.producer_id for orphan in found] == [left.spool.producer_id]
    assert numbers(send_all(found[0].outbox)) == [1, 2, 3]
    found[0].release()
