"""What a message says, checked: one bad event never takes its neighbours with it."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_contracts.freeze import golden_samples
from argus_contracts.registry import retention_class
from argus_contracts.subjects import decision_subject, event_subject
from argus_ingest.accept import Buried, Incoming, accept
from argus_ingest.json_bytes import event_slices

BATCH = "digits-7"
SUBJECT = event_subject("lab", "ada", BATCH)


def an_epoch(**changes: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid4()),
        "kind": "job_epoch",
        "version": 1,
        "batch_id": BATCH,
        "job_id": "j1",
        "attempt": 1,
        "occurred_at": "2026-11-21T03:00:00.123456Z",
        "data": {"step": 1, "metrics": {"loss": 0.5}},
        **changes,
    }


def a_message(*events: Any, **changes: Any) -> bytes:
    return orjson.dumps(
        {"v": 2, "producer_id": "p1", "class": "metrics", "first_seq": 10, "events": list(events), **changes}
    )


def incoming(raw: bytes, subject: str = SUBJECT) -> Incoming:
    [result] = accept(subject, raw)
    assert isinstance(result, Incoming), result
    return result


def test_a_good_message_is_stored_as_it_came() -> None:
    raw = a_message(an_epoch(), an_epoch())
    result = incoming(raw)
    assert result.payload == raw
    assert result.seqs == [10, 11]
    assert (result.source.workspace, result.source.user) == ("lab", "ada")
    assert result.buried == []


POISON = {
    "wrong type": an_epoch(attempt="first"),
    "unknown kind": an_epoch(kind="nobody_knows"),
    "newer version": an_epoch(version=2),
    "negative epoch": an_epoch(data={"epoch": -1, "metrics": {}}),
    "too many keys": an_epoch(data={"step": 1, "metrics": {f"m{i}": 1.0 for i in range(1001)}}),
    "year 9999": an_epoch(occurred_at="9999-12-31T23:59:59Z"),
    "year 1": an_epoch(occurred_at="0001-01-01T00:00:00Z"),
    "a number for a time": an_epoch(occurred_at=1e300),
    "no id": an_epoch(event_id=""),
    "empty run": an_epoch(batch_id=""),
    "long run": an_epoch(batch_id="r" * 1000),
    "empty job": an_epoch(job_id=""),
    "long job": an_epoch(job_id="j" * 1000),
    "10,000 keys": an_epoch(data={"step": 1, "metrics": {f"m{i}": 1.0 for i in range(10_000)}}),
    "NUL": an_epoch(data={"step": 1, "metrics": {}, "note": "a\u0000b"}),
    "another batch": an_epoch(batch_id="digits-8"),
    "another class": an_epoch(kind="log_line", data={"line": "x"}),
    "no object": 7,
    "null": None,
    "too big": an_epoch(data={"step": 1, "metrics": {}, "note": "x" * 70_000}),
    "a decision": an_epoch(kind="run_purged", job_id=None, data={"purged_by": "eve"}),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_poison_is_buried_alone(poison: Any) -> None:
    result = incoming(a_message(an_epoch(), poison, an_epoch()))
    assert result.n_events == 2
    assert result.seqs == [10, 12]
    assert (result.first_seq, result.last_seq) == (10, 12)
    assert len(orjson.loads(result.payload)["events"]) == 2
    [letter] = result.buried
    assert letter.refused.reason
    assert orjson.loads(letter.raw) == poison


def test_a_large_event_cannot_hide_behind_more_names_of_ids() -> None:
    """Sizes are read off the places of `"event_id"` in the message; names with an escape and names inside shift them."""
    piece = "y" * 30_000
    large = an_epoch(data={"step": 1, "metrics": {}, "a": piece, "event_id": "x", "b": piece, "c": piece})
    plain = an_epoch()
    raw = a_message(plain, large, plain)
    assert [orjson.loads(letter.raw) for letter in incoming(raw).buried] == [large]
    escaped = raw[::-1].replace(b'"event_id"'[::-1], b'"event\\u005fid"'[::-1], 1)[::-1]
    assert [orjson.loads(letter.raw) for letter in incoming(escaped).buried] == [large]


TOKENS = {
    "NaN": (b"NaN", b"NaN"),
    "Infinity": (b"-Infinity", b"-Infinity"),
    "1e400": (b"1e400", b"1e400"),
    "half a surrogate": (b'"\\ud800"', b"\\ud800"),
}


@pytest.mark.parametrize(("token", "kept"), TOKENS.values(), ids=TOKENS.keys())
def test_a_token_that_is_no_json_buries_only_its_event(token: bytes, kept: bytes) -> None:
    raw = a_message(an_epoch(), an_epoch(data={"step": 1, "metrics": {"loss": 1}, "x": "HERE"}), an_epoch())
    result = incoming(raw.replace(b'"HERE"', token))
    assert result.n_events == 2
    [letter] = result.buried
    assert letter.refused.code == "malformed"
    assert kept in letter.raw


def test_a_token_that_is_no_json_beside_the_events_is_not_stored() -> None:
    result = incoming(a_message(an_epoch(), further="HERE").replace(b'"HERE"', b"NaN"))
    assert (result.n_events, result.buried) == (1, [])
    assert len(orjson.loads(result.payload)["events"]) == 1


def test_an_event_nested_1000_deep_is_buried() -> None:
    deep = b"[" * 900 + b"]" * 900
    raw = a_message(an_epoch(), an_epoch(data={"step": 1, "metrics": {}, "x": "HERE"})).replace(b'"HERE"', deep)
    result = incoming(raw)
    assert result.n_events == 1
    assert "nested deeper" in result.buried[0].refused.reason


@pytest.mark.parametrize("depth", [300, 930, 980, 1000])
@pytest.mark.parametrize("frames", [1, 60])
def test_a_deep_event_is_buried_however_deep_the_caller_stands(depth: int, frames: int) -> None:
    """Under FastStream the stack is dozens of frames deeper than here: what json.dumps still wrote here, it could not there,
    and the RecursionError put the message back for ever, with everything that was fetched beside it."""
    deep = b"[" * depth + b"]" * depth
    raw = a_message(an_epoch(), an_epoch(data={"step": 1, "metrics": {}, "x": "HERE"})).replace(b'"HERE"', deep)

    def call(left: int) -> list[Incoming | Buried]:
        return call(left - 1) if left else accept(SUBJECT, raw)

    [result] = call(frames)
    letters = result.buried if isinstance(result, Incoming) else [result]
    assert [deep in letter.raw for letter in letters] == [True]


@pytest.mark.parametrize("digits", [21, 300, 400, 5000])
def test_a_number_of_many_digits_buries_at_most_its_event(digits: int) -> None:
    number = b"1" + b"0" * (digits - 1)
    raw = a_message(an_epoch(), an_epoch(data={"step": 1, "metrics": {"loss": "HERE"}})).replace(b'"HERE"', number)
    result = incoming(raw)
    assert (result.n_events, len(result.buried)) == ((2, 0) if digits < 309 else (1, 1))
    assert all(number in letter.raw for letter in result.buried)


def test_a_fault_of_ours_buries_the_message_instead_of_holding_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(event: Any) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("argus_ingest.accept.alike", faulty)
    raw = a_message(an_epoch())
    [result] = accept(SUBJECT, raw)
    assert isinstance(result, Buried)
    assert (result.raw, result.refused.code) == (raw, "malformed")


def test_brackets_in_a_text_are_not_depth() -> None:
    result = incoming(a_message(an_epoch(data={"step": 1, "metrics": {}, "x": "[" * 5000})))
    assert result.n_events == 1


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"\xff\xfe", "malformed"),
        (b"[" * 100_000, "malformed"),
        (b"7", "malformed"),
        (b"{}", "malformed"),
        (a_message(an_epoch(), v=3), "newer_version"),
        (a_message(an_epoch(), v="2"), "malformed"),
        (a_message(), "malformed"),
        (a_message(*[an_epoch()] * 501), "malformed"),
        (a_message(an_epoch(), first_seq=-1), "malformed"),
        (a_message(an_epoch(), producer_id="a b"), "malformed"),
        (a_message(an_epoch(data={"metrics": {}, "x": "y" * 300_000})), "too_large"),
    ],
)
def test_a_hopeless_message_is_buried_whole(raw: bytes, code: str) -> None:
    [result] = accept(SUBJECT, raw)
    [letter] = [result] if isinstance(result, Buried) else result.buried
    assert letter.refused.code == code
    assert letter.raw == raw
    assert isinstance(result, Buried) or (result.whole, result.n_events) == (True, 0)


@pytest.mark.parametrize("changes", [{"v": 3}, {"v": "2"}, {"x": "y" * 300_000}], ids=["newer", "other", "too large"])
def test_a_message_buried_whole_tells_its_numbers(changes: dict[str, Any]) -> None:
    """Else its sender never hears that it is dealt with, and says it again every five minutes, for ever."""
    result = incoming(a_message(an_epoch(), an_epoch(), **changes))
    assert (result.whole, result.producer_id, result.first_seq, result.last_seq) == (True, "p1", 10, 11)


@pytest.mark.parametrize("changes", [{"producer_id": "a b"}, {"first_seq": -1}, {"class": "x"}, {"first_seq": 2**53}])
def test_a_message_without_numbers_that_can_be_is_buried_without_them(changes: dict[str, Any]) -> None:
    """2**53: the watermark behind it would be a number that no watermark may hold."""
    [result] = accept(SUBJECT, a_message(an_epoch(), **changes))
    assert isinstance(result, Buried)


@pytest.mark.parametrize(
    "raw",
    [
        a_message(an_epoch()).decode().encode("utf-16"),
        a_message(an_epoch()).decode().encode("utf-32"),
        b"\xef\xbb\xbf" + a_message(an_epoch()),
    ],
    ids=["utf-16", "utf-32", "byte order mark"],
)
def test_a_message_that_is_not_plain_utf_8_is_buried(raw: bytes) -> None:
    """What json.loads guesses, the readers of the log do not."""
    [result] = accept(SUBJECT, raw)
    assert isinstance(result, Buried)


BESIDE = [b"NaN", b"1e400", b'"\\ud800"', b'"\xff"', b"1" * 400, b"[" * 990 + b"]" * 990]


@pytest.mark.parametrize("odd", BESIDE, ids=["NaN", "1e400", "surrogate", "no utf-8", "400 digits", "deep"])
def test_what_is_stored_can_be_read_whatever_stands_beside_the_events(odd: bytes) -> None:
    """An unknown field of the message is nobody's loss; but the bytes with it would be a row that no projector reads."""
    raw = a_message(an_epoch(), an_epoch(), beside="HERE").replace(b'"HERE"', odd)
    [result] = accept(SUBJECT, raw)
    if isinstance(result, Buried):
        assert result.raw == raw
    else:
        assert result.n_events == 2
        assert len(result.events()) == 2


@pytest.mark.parametrize(
    "event",
    [
        b'{ "kind" : "nobody_knows",\n "x" : 1e400 }',
        b'{"kind":"nobody_knows","kind":"nobody_knows"}',
        b'{"kind":"job_epoch","x":"a\xff\xfe"}',
        b'{"kind":"job_epoch","data":{"metrics":{"loss":NaN}}}',
        b'{"kind":"job_epoch","x":' + b"1" * 400 + b"}",
        b'"] , {\\"events\\":["',
        b"-Infinity",
    ],
)
@pytest.mark.parametrize("head", [b"", b'"events":[1,[2],{"events":[3]}],', b'"x":{"events":[0]},"\\u0065vents":[],'])
def test_a_dead_letter_holds_the_bytes_as_they_came(event: bytes, head: bytes) -> None:
    good = orjson.dumps(an_epoch())
    raw = b'{"v":2,' + head + b'"class":"metrics","events": [' + good + b" , " + event + b"\t," + good + b"\n]}"
    result = incoming(raw)
    assert result.n_events == 2
    assert [letter.raw for letter in result.buried] == [event]


@pytest.mark.parametrize("raw", [
    b'{"stream":"ARGUS_EVENTS", "seq":7}', b'{"stream":"ARGUS_EVENTS","domain":"x","seq":7,"duplicate": true}',
    b'{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"},"stream":"ARGUS_EVENTS","seq":0}',
    b'{"server":{"name":"argus-local","ver":"2.15.1"},"data":{"user":"k","account":"ARGUS","permissions":{}}}',
])  # fmt: skip
def test_what_the_broker_itself_says_is_nobodys_word(raw: bytes) -> None:
    """A publisher can have JetStream's acknowledgement sent to anybody's subject: it must not count as that user's."""
    [buried] = accept(SUBJECT, raw)
    assert isinstance(buried, Buried)
    assert (buried.refused.code, buried.source) == ("malformed", None)


def test_a_subject_of_another_batch_is_refused() -> None:
    other = next(s for s in (event_subject("lab", "ada", f"b{i}") for i in range(99)) if s != SUBJECT)
    [letter] = incoming(a_message(an_epoch()), other).buried
    assert letter.refused.code == "wrong_subject"


def test_a_foreign_sender_needs_no_numbers() -> None:
    result = incoming(a_message(an_epoch(), producer_id=None, first_seq=None))
    assert (result.producer_id, result.first_seq, result.seqs) == (None, None, [])


@pytest.mark.parametrize("sample", golden_samples().values(), ids=golden_samples().keys())
def test_every_golden_sample_is_taken_or_is_a_decision_of_argus(sample: dict[str, Any]) -> None:
    result = incoming(a_message(sample, **{"class": retention_class(sample["kind"])}))
    assert result.n_events == 1 or result.buried[0].refused.code == "not_yours_to_say"
    from_argus = incoming(
        a_message(sample, producer_id=None, first_seq=None, **{"class": retention_class(sample["kind"])}),
        decision_subject("deleter", sample["batch_id"]),
    )
    assert from_argus.n_events == 1 - result.n_events, "what one may say the other may not"
    assert (from_argus.source.service, from_argus.source.user) == ("deleter", "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(list(an_epoch())), JSON), st.dictionaries(st.text(), JSON))
def test_whatever_comes_nothing_is_lost(changes: dict[str, Any], data: dict[str, Any]) -> None:
    try:
        raw = a_message(an_epoch(), an_epoch(data=data, **{k: v for k, v in changes.items() if k != "data"}))
    except TypeError:
        return  # an integer that no JSON writer of ours can say
    result = incoming(raw)
    assert result.n_events + len(result.buried) == 2


@given(st.lists(JSON, max_size=5), st.booleans())
def test_slices_are_the_events(events: list[Any], spaced: bool) -> None:
    text = json.dumps({"x": events, "events": events, "y": {"events": [1]}}, indent=1 if spaced else None)
    slices = event_slices(text.encode())
    assert [json.loads(one) for one in slices] == events
