"""What is posted becomes messages and results: pure rules."""

from __future__ import annotations

import json
import math
import uuid
from importlib import resources

import orjson
import pytest

from argus_contracts.envelope import EventMessage, documents_of
from argus_contracts.errors import Malformed, NewerVersion, Refused, TooLarge, WrongSchemaVersion
from argus_contracts.quantities import MAX_DOCUMENTS_PER_BUNDLE, MAX_LOG_LINE_BYTES, MAX_MESSAGE_BYTES
from argus_contracts.registry import FACTS_OF_ARGUS, parse_event, retention_class
from argus_contracts.subjects import bundle_subject, event_subject
from argus_gateway.posted import Door, Taken, joined

GOLDEN = sorted(
    (entry for entry in (resources.files("argus_contracts") / "golden").iterdir() if entry.name.endswith(".json")),
    key=lambda entry: entry.name,
)


def old(event_type: str = "job_epoch", **more):
    return {
        "event_id": str(uuid.uuid4()), "schema_version": "1.1", "event_type": event_type, "timestamp": "2026-11-21T03:00:00Z",
        "batch_id": "b1", "job_id": None if event_type.startswith("batch") else "j1", "source": {"project": "p"},
        "data": {}, **more,
    }  # fmt: skip


def new(kind: str = "batch_heartbeat", batch_id: str = "b1", **more):
    return {
        "event_id": str(uuid.uuid4()), "kind": kind, "version": 1, "batch_id": batch_id, "job_id": None,
        "occurred_at": "2026-11-21T03:00:00Z", "data": {}, **more,
    }  # fmt: skip


def line(text: str, **more):
    return new("log_line", job_id="j", data={"line": text}, **more)


def door(**options):
    return Door("main", "ann", **options)


def take_many(value, **options):
    """As it is posted: through JSON as Python writes it."""
    body = json.dumps(value).encode()
    return door(**options).take_many(json.loads(body), body)


def messages_of(taken):
    return [EventMessage.model_validate(orjson.loads(message.payload)) for message in taken.messages]


@pytest.mark.parametrize("sample", GOLDEN, ids=lambda sample: sample.name)
def test_every_golden_sample_is_accepted_unless_argus_alone_may_say_it(sample):
    event = json.loads(sample.read_text())
    taken = take_many([event])
    if event["kind"] in FACTS_OF_ARGUS:
        assert taken.results[0].status == "rejected"
        assert (taken.results[0].error or "").startswith("not_yours_to_say: ")
        assert not taken.messages
    else:
        assert taken.results[0].status == "accepted"
        (message,) = messages_of(taken)
        assert message.retention_class == retention_class(event["kind"])
        assert message.producer_id is None
        assert parse_event(message.events[0]) == parse_event({k: v for k, v in event.items() if k != "seq"})
        assert taken.messages[0].subject == event_subject("main", "ann", event["batch_id"])


def test_events_are_grouped_by_batch_and_class_in_their_order():
    events = [line("1"), new(), line("2"), new(batch_id="b2"), line("3")]
    groups = {(m.events[0]["batch_id"], m.retention_class): [e["data"].get("line") for e in m.events] for m in messages_of(take_many(events))}  # fmt: skip
    assert groups == {("b1", "log_lines"): ["1", "2", "3"], ("b1", "lifecycle"): [None], ("b2", "lifecycle"): [None]}


def test_no_message_is_larger_than_the_limit_and_none_of_the_events_is_lost():
    events = [line("x" * 10_000) for _ in range(90)]
    taken = take_many({"events": events})
    assert len(taken.messages) >= 4
    assert all(len(message.payload) <= MAX_MESSAGE_BYTES for message in taken.messages)
    assert [e["event_id"] for m in messages_of(taken) for e in m.events] == [e["event_id"] for e in events]


def test_one_bad_event_does_not_take_its_neighbours_with_it():
    events = [new(), {"kind": "nonsense"}, 5, new(attempt=0), line("ok"), new("batch_start", data={"type": "neither"})]
    taken = take_many(events)
    assert [result.status for result in taken.results] == [
        "accepted", "rejected", "rejected", "rejected", "accepted", "rejected",
    ]  # fmt: skip
    assert [(result.error or "").partition(":")[0] for result in taken.results if result.error] == [
        "unknown_kind", "malformed", "malformed", "malformed",
    ]  # fmt: skip


def test_a_long_log_line_is_cut_with_a_marker_in_both_forms():
    text = "é" * 40_000
    for event in (line(text), old("log_line", data={"line": text, "level": "info"})):
        (message,) = messages_of(take_many([event]))
        kept = message.events[0]["data"]["line"]
        assert len(kept.encode()) <= MAX_LOG_LINE_BYTES
        assert kept.endswith("… [cut: 80000 bytes]")


def test_nan_of_the_older_form_is_data_and_of_the_present_form_a_refusal():
    (message,) = messages_of(take_many([old(data={"epoch": 1, "train_loss": math.nan, "val_loss": -math.inf})]))
    assert message.events[0]["data"]["metrics"] == {"train_loss": "NaN", "val_loss": "-Infinity"}
    bad = new("job_epoch", job_id="j", data={"metrics": {"a": math.nan}})
    hidden = new("batch_start", data={"params": {"deep": [{"er": math.inf}]}})
    assert [result.status for result in take_many([bad, hidden]).results] == ["rejected", "rejected"]


def test_lone_surrogates_and_huge_numbers_do_no_harm():
    taken = take_many([old("log_line", data={"line": "bad \ud800 text"}), old(data={"epoch": 1, "loss": 10**400})])
    assert [result.status for result in taken.results] == ["accepted", "accepted"]
    refused = take_many(
        [line("bad \ud800 text"), new("batch_start", data={"params": {"n": 10**400}}), new(event_id="\ud800")]
    )
    assert [result.status for result in refused.results] == ["rejected"] * 3
    refused.results[2].model_dump_json()


def test_nul_is_refused_at_the_door_and_replaced_in_the_older_form():
    """Ingest cannot store it: an event called accepted here was buried there, a binary line of a stock reporter with it."""
    nul = [
        line("a\0b"),
        new("job_epoch", job_id="j", data={"metrics": {"a\0b": 1.0}}),
        new("batch_start", data={"params": {"a": ["\0"]}}),
    ]
    taken = take_many([*nul, line("a \\u0000 in letters"), old("log_line", data={"line": "a\0b"})])
    assert [result.status for result in taken.results] == ["rejected"] * 3 + ["accepted"] * 2
    assert "NUL" in (taken.results[0].error or "")
    assert messages_of(taken)[0].events[-1]["data"]["line"] == "a\ufffdb"


def test_deep_nesting_is_refused_not_followed():
    deep: list = []
    for _ in range(900):
        deep = [deep]
    taken = take_many([new("batch_start", data={"params": {"d": deep}}), old("batch_start", data={"d": deep}), new()])
    assert [result.status for result in taken.results] == ["rejected", "rejected", "accepted"]


def test_an_event_over_64_kib_is_refused_alone():
    taken = take_many([new("batch_start", data={"params": {"x": "y" * 70_000}}), new()])
    assert (taken.results[0].error or "").startswith("too_large: ")
    assert taken.results[1].status == "accepted"


def test_another_schema_version_is_told_apart():
    with pytest.raises(WrongSchemaVersion):
        door().take_one(old(schema_version="1.0"))
    with pytest.raises(WrongSchemaVersion):
        take_many([old(schema_version="2.0"), old(schema_version=None)])
    mixed = take_many([old(schema_version="2.0"), old("batch_start")])
    assert [result.status for result in mixed.results] == ["rejected", "accepted"]


def test_501_events_are_too_many_except_from_a_reporters_spill():
    events = [old() for _ in range(501)]
    with pytest.raises(TooLarge):
        take_many(events)
    taken = take_many({"events": events}, is_reporter=True)
    assert [len(message.events) for message in messages_of(taken)] == [500, 1]


def test_log_lines_of_the_older_form_keep_their_order_within_a_second():
    taken = take_many([old("log_line", data={"line": str(n)}) for n in range(50)])
    orders = [event["data"]["order"] for message in messages_of(taken) for event in message.events]
    assert orders == sorted(set(orders))


def numbered(events, **more):
    return {"v": 2, "producer_id": "p1", "class": "log_lines", "first_seq": 7, "events": events, **more}


def test_a_numbered_message_goes_through_with_its_bounds_and_its_bad_events():
    events = [line("a", seq=7), {"kind": "nonsense", "batch_id": "b1"}, line("c", seq=9), new(seq=10)]
    taken = take_many(numbered(events))
    (message,) = messages_of(taken)
    assert (message.producer_id, message.first_seq, message.retention_class) == ("p1", 7, "log_lines")
    assert message.events == events
    assert taken.producer == ("p1", "log_lines")
    assert taken.last_seq == 10
    assert [result.status for result in taken.results] == ["accepted", "rejected", "accepted", "rejected"]


def test_a_numbered_message_goes_through_as_it_came():
    """Ingest buries what no JSON can carry, under its number and with its bytes: here they would become null."""
    odd = [b"NaN", b"1e400", b'"bad \\ud800"', b"1" * 400, b"[" * 900 + b"]" * 900, b'"\xff"']
    events = b",".join(
        json.dumps(line("x", extra="HERE")).encode().replace(b'"HERE"', one) for one in [b"1", *odd, b"2"]
    )
    body = b'{"v":2, "producer_id":"p1","class":"log_lines","first_seq":7,"events":[' + events + b"]}"
    taken = door().take_many(json.loads(body.decode(errors="surrogateescape")), body)
    assert [result.status for result in taken.results] == ["accepted", *["rejected"] * 6, "accepted"]
    assert [message.payload for message in taken.messages] == [body]
    assert taken.last_seq == 14


def test_a_message_about_two_batches_or_of_another_version_is_refused_whole():
    with pytest.raises(Malformed):
        take_many(numbered([line("a"), line("b", batch_id="b2")]))
    with pytest.raises(NewerVersion):
        take_many(numbered([line("a")], v=3))
    for wrong in (numbered([]), numbered([line("a")], v="2"), {"events": 5}, "text", 7, None, {"v": 2}):
        with pytest.raises(Malformed):
            take_many(wrong)
    with pytest.raises(TooLarge):
        take_many(numbered([line("x" * 16_000) for _ in range(20)]))


def test_foreign_senders_cannot_number_their_events():
    (message,) = messages_of(take_many([line("a", seq=3)]))
    assert "seq" not in message.events[0]


def sent(*bundle: bytes):
    """What goes to the broker of this bundle."""
    return joined(
        [m for one in door().take_bundle(b"\n".join(bundle)) if isinstance(one, Taken) for m in one.messages],
        "main",
        "ann",
    )


def test_each_document_of_a_bundle_becomes_what_it_would_have_become_alone():
    documents = [
        json.dumps(numbered([line("a")])).encode(),
        b'{"v": 2,',
        json.dumps(numbered([line("b", batch_id="b2"), {"kind": "nonsense"}], producer_id="p2")).encode() + b"\r",
        json.dumps(numbered([line("c")], v=3)).encode(),
        json.dumps([new()]).encode(),
        json.dumps(numbered([line("x" * 16_000) for _ in range(2)], **{"class": "\ud800"})).encode(),
        json.dumps({"v": 2, "class": "lifecycle", "events": [new(batch_id="b3")]}).encode(),
    ]
    taken = door().take_bundle(b"\n".join(documents))
    assert [one.code if isinstance(one, Refused) else one.producer for one in taken] == [
        ("p1", "log_lines"), "malformed", ("p2", "log_lines"), "newer_version", "malformed", "malformed", None,
    ]  # fmt: skip
    assert [[result.status for result in one.results] for one in taken if isinstance(one, Taken)] == [
        ["accepted"], ["accepted", "rejected"], ["accepted"],
    ]  # fmt: skip
    (message,) = sent(*documents)
    assert message.subject == bundle_subject("main", "ann")
    assert message.n_events == 4
    first, second, third = documents_of(message.payload)
    assert [first, second] == [documents[0], documents[2].strip()]
    assert json.loads(third)["events"][0]["batch_id"] == "b3"


def test_a_bundle_of_one_run_stays_on_its_partition():
    (message,) = sent(*[json.dumps(numbered([line("a")], first_seq=n)).encode() for n in range(3)])
    assert message.subject == event_subject("main", "ann", "b1")
    assert len(documents_of(message.payload)) == 3


def test_what_documents_grow_to_is_as_many_messages_as_the_limits_ask_for():
    """Of foreign senders, whose documents are taken apart: each event by the batch that it is about."""
    events = [new(batch_id=f"b{n}") for n in range(700)]
    documents = [json.dumps({"v": 2, "class": "lifecycle", "events": events[n : n + 350]}).encode() for n in (0, 350)]
    messages = sent(*documents)
    assert [len(documents_of(message.payload)) for message in messages] == [256, 256, 188]
    large = [json.dumps({"v": 2, "class": "log_lines", "events": [line("x" * 12_000)]}).encode() for _ in range(21)]
    assert len(b"\n".join(large)) < MAX_MESSAGE_BYTES
    (fitting,) = sent(*large)
    assert len(fitting.payload) <= MAX_MESSAGE_BYTES
    parts = [
        message
        for _ in range(3)
        for one in door().take_bundle(b"\n".join(large))
        if isinstance(one, Taken)
        for message in one.messages
    ]
    split = joined(parts, "main", "ann")
    assert [document for message in split for document in documents_of(message.payload)] == [m.payload for m in parts]
    assert all(len(message.payload) <= MAX_MESSAGE_BYTES for message in split)
    assert len(split) == 3


def test_a_bundle_over_its_limits_is_refused_whole():
    document = json.dumps(numbered([line("a")])).encode()
    assert len(door().take_bundle(b"\n \r\n".join([document] * MAX_DOCUMENTS_PER_BUNDLE))) == MAX_DOCUMENTS_PER_BUNDLE
    with pytest.raises(TooLarge):
        door().take_bundle(b"\n".join([document] * (MAX_DOCUMENTS_PER_BUNDLE + 1)))
    with pytest.raises(TooLarge):
        door().take_bundle(b"\n".join([json.dumps(numbered([line("x" * 16_000)])).encode()] * 17))
    for empty in (b"", b"\n", b" \r\n\t"):
        with pytest.raises(Malformed):
            door().take_bundle(empty)
