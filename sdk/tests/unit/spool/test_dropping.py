"""Over the spool's limit the cheapest goes first, and is counted to the unit."""

from __future__ import annotations

from typing import Any

import pytest

from argus import outbox as outboxes
from argus_testkit.spools import CAP, NOW, Spooled, numbers, send_all


def test_over_the_cap_log_lines_go_first_then_snapshots_and_are_counted(
    producer: Spooled, monkeypatch: pytest.MonkeyPatch
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
    producer: Spooled, monkeypatch: pytest.MonkeyPatch
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


def test_nothing_is_dropped_once_the_number_was_told(producer: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
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
