"""From numbered events to messages that are sent, sent again and trimmed; the same ones whoever forms them."""

from __future__ import annotations

import time
from pathlib import Path
from uuid import UUID

import orjson
import pytest

from argus import outbox as outboxes
from argus.bounds import Bounds
from argus.outbox import Outbox
from argus.segments import Identity
from argus.spool import CLASSES
from argus.tracks import Message
from argus_contracts.quantities import MAX_EVENTS_PER_MESSAGE
from argus_testkit.spools import CAP, NOW, Spooled, numbers, send_all


def test_seqs_are_contiguous_and_ids_derived_per_class(producer: Spooled) -> None:
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


def test_large_events_make_small_messages(producer: Spooled) -> None:
    producer.say(*range(20), size=50_000)
    messages = send_all(producer.outbox)
    assert numbers(messages) == list(range(20))
    assert len(messages) >= 5
    assert max(len(m["events"]) for m in messages) <= MAX_EVENTS_PER_MESSAGE


def test_whoever_adopts_the_spool_sends_with_the_bounds_that_were_used_before(producer: Spooled) -> None:
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


def test_what_an_ended_run_left_is_cut_alike_by_everybody_though_no_bounds_are_written(producer: Spooled) -> None:
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


def test_a_large_spool_is_adopted_whole_however_often_its_end_is_looked_at(producer: Spooled) -> None:
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


def test_a_resend_has_the_same_bytes_and_waits_longer_each_time(producer: Spooled) -> None:
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


def test_only_what_is_stored_is_trimmed(producer: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_ranges_above_the_watermark_are_not_sent_again(producer: Spooled) -> None:
    for start in range(0, 50, 10):
        producer.say(*range(start, start + 10))
        producer.outbox.form(10)
    producer.outbox.stored("metrics", 10, [(20, 29), (40, 49)])
    assert [(m.first_seq, m.count) for m in producer.outbox.due(NOW, 10)] == [(10, 10), (30, 10)]
    producer.outbox.tidy(CAP)
    dead = producer.adopted()
    assert [(m["first_seq"], len(m["events"])) for m in send_all(dead)] == [(10, 10), (30, 10)]


def test_what_is_left_is_counted_per_event(producer: Spooled) -> None:
    producer.say(*range(10))
    producer.say(*range(4), name="log_lines")
    producer.outbox.form(10)
    assert producer.outbox.left() == (14, 0)
    producer.outbox.stored("metrics", 3, [(5, 6), (6, 7)])
    assert producer.outbox.left() == (8, 0)
    producer.outbox.stored("log_lines", 4, [])
    assert producer.outbox.left() == (4, 0)
