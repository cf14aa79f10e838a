"""B1: one bad event among a hundred good ones, at every door: each bad one is kept or refused with its reason, once, and
nothing else notices."""

from __future__ import annotations

import random
import uuid
from typing import Any

import httpx
import orjson
import pytest

from argus_testkit import LocalStack, eventually

GOOD_FOR_ONE_BAD = 100
HERE = b'"HERE"'
DEEP = b"[" * 1000 + b"]" * 1000

# Changes of an event that nobody can accept, whoever said it.
WRONG: dict[str, dict[str, Any]] = {
    "wrong type": {"attempt": "first"},
    "no data": {"data": None},
    "data is a list": {"data": [1]},
    "unknown kind": {"kind": "nobody_knows"},
    "newer version": {"version": 99},
    "negative epoch": {"data": {"epoch": -1, "metrics": {}}},
    "huge epoch": {"data": {"epoch": 2**63, "metrics": {}}},
    "10,000 metrics": {"data": {"step": 1, "metrics": {f"m{n}": 1.0 for n in range(10_000)}}},
    "year 9999": {"occurred_at": "9999-12-31T23:59:59Z"},
    "year 1": {"occurred_at": "0001-01-01T00:00:00Z"},
    "no time": {"occurred_at": "yesterday"},
    "empty id": {"event_id": ""},
    "empty job": {"job_id": ""},
    "long job": {"job_id": "j" * 1000},
    "NUL": {"data": {"step": 1, "metrics": {}, "note": "a\0b"}},
    "NUL in a job": {"job_id": "a\0b"},
    "large": {"data": {"step": 1, "metrics": {}, "note": "x" * 70_000}},
    "a decision of Argus": {"kind": "run_purged", "job_id": None, "data": {"purged_by": "eve", "counts": {}}},
}
# Where JSON has no such value: these stand in the place of a metric.
NOT_JSON: dict[str, bytes] = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "1e400": b"1e400",
    "400 digits": b"1" + b"0" * 400,
    "half a surrogate": b'"\\ud800"',
    "no UTF-8": b'"\xff\xfe"',
    "1000 deep": DEEP,
}


def spoiled(event: dict[str, Any]) -> dict[str, bytes]:
    """By name, what is wrong with `event` in one way each; every one names its run."""

    def said(changes: dict[str, Any]) -> bytes:
        return orjson.dumps({**event, "event_id": str(uuid.uuid4()), **changes})

    poison = {name: said(changes) for name, changes in WRONG.items()}
    for name, token in NOT_JSON.items():
        poison[name] = said({"data": {"step": 1, "metrics": {"loss": "HERE"}}}).replace(HERE, token)
    poison["doubled keys"] = said({"kind": "job_epoch"})[:-1] + b',"kind":"nobody_knows"}'
    poison["no object"] = b'["%s"]' % event["batch_id"].encode()
    return poison


def old_and_spoiled(event: dict[str, Any]) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Of the older form: what is refused, and what Python's JSON may say, which is healed at the door."""

    def said(changes: dict[str, Any]) -> bytes:
        return orjson.dumps({**event, "event_id": str(uuid.uuid4()), **changes})

    refused = {
        "unknown kind": said({"event_type": "nobody_knows"}),
        "year 9999": said({"timestamp": "9999-12-31T23:59:59Z"}),
        "year 1": said({"timestamp": "0001-01-01T00:00:00Z"}),
        "no time": said({"timestamp": 1e300}),
        "data is a list": said({"data": [1]}),
        "source is a text": said({"source": "x"}),
        "empty id": said({"event_id": ""}),
        "long job": said({"job_id": "j" * 1000}),
        "10,000 metrics": said({"data": {"epoch": 1, **{f"m{n}": 1.0 for n in range(10_000)}}}),
        "large": said({"data": {"epoch": 1, "note": "x" * 70_000}}),
        "1000 deep": said({"data": {"epoch": 1, "x": "HERE"}}).replace(HERE, DEEP),
        "no object": b"7",
    }
    healed = {
        name: said({"data": {"epoch": 1, "x": "HERE"}}).replace(HERE, token)
        for name, token in NOT_JSON.items()
        if name != "1000 deep"
    }
    healed["NUL"] = said({"data": {"epoch": 1, "note": "a\0b"}})
    healed["negative epoch"] = said({"data": {"epoch": -1, "loss": 1.0}})
    return refused, healed


@pytest.fixture(autouse=True)
def nobody_restarts(stack: LocalStack, inside: Any) -> Any:
    """After the test the same processes run, and no read model has failed at anything."""
    before = {name: program["pid"] for name, program in stack.status().items()}
    failures = inside.sql("SELECT count(*) FROM read.projection_failures")
    yield
    assert {name: program["pid"] for name, program in stack.status().items()} == before
    assert inside.sql("SELECT count(*) FROM read.projection_failures") == failures


def a_message(events: list[bytes], first_seq: int | None, producer_id: str, head: bytes = b'"v":2') -> bytes:
    numbers = b"" if first_seq is None else b',"producer_id":"%s","first_seq":%d' % (producer_id.encode(), first_seq)
    return b"{" + head + numbers + b',"class":"metrics","events":[' + b",".join(events) + b"]}"


def stored(inside: Any, batch_id: str, ids: list[str], within: float = 90) -> None:
    """Exactly these events are in the log."""

    def all_there() -> bool:
        return len(inside.logged(batch_id)) >= len(ids)

    eventually(all_there, within, "all good events are in the log")
    assert sorted(event["event_id"] for event in inside.logged(batch_id)) == sorted(ids)


def projected(client: httpx.Client, batch_id: str, n_points: int) -> None:
    def points() -> int:
        answer = client.get(f"/api/batches/{batch_id}/jobs/j")
        found = answer.json()["job"]["series"] if answer.status_code == 200 else []
        return sum(one["n_points"] for one in found if one["key"] == "loss") >= n_points

    eventually(points, 60, "the good points are drawn")


@pytest.mark.parametrize(
    "door", ["numbered over NATS", "foreign over NATS", "numbered in bundles", "numbered over HTTP"]
)
def test_a_bad_event_is_a_dead_letter_of_its_bytes_once(
    client: httpx.Client, inside: Any, say: Any, new_event: Any, door: str
) -> None:
    batch_id, producer_id = f"poison-{uuid.uuid4().hex[:8]}", f"p{uuid.uuid4().hex[:8]}"
    poison = spoiled(new_event(batch_id))
    good: list[str] = []
    messages: list[bytes] = []
    seq = 0
    for bad in poison.values():
        events = [new_event(batch_id) for _ in range(GOOD_FOR_ONE_BAD)]
        good += [event["event_id"] for event in events]
        parts = [orjson.dumps(event) for event in events]
        parts.insert(37, bad)
        messages.append(a_message(parts, None if "foreign" in door else seq, producer_id))
        seq += len(parts)
    whole = {
        "bad JSON": b'{"v":2,"events":["%s"' % batch_id.encode(),
        "nothing but text": batch_id.encode(),
        "another v": a_message([b'"%s"' % batch_id.encode()], None, producer_id, b'"v":"2"'),
        "newer": a_message([b'"%s"' % batch_id.encode()], None, producer_id, b'"v":3'),
        "UTF-16": a_message([orjson.dumps(new_event(batch_id))], None, producer_id).decode().encode("utf-16-le"),
        "no class": b'{"v":2,"events":[{"batch_id":"%s"}]}' % batch_id.encode(),
    }
    for repeat in range(2):  # a sender that never heard the answer
        if door == "numbered over HTTP":
            for message in messages:
                answer = client.post("/api/events/batch", content=message, headers={"Content-Type": "application/json"})
                assert (answer.status_code, answer.json()["rejected"]) == (200, 1), answer.text
            for name, message in whole.items():
                refuse(client, "/api/events/batch", message, name)
            continue
        said = [*whole.values(), *messages]
        if "bundles" in door:  # good and bad lines by turns, never the same neighbours
            random.Random(7 + repeat).shuffle(said)
        say(batch_id, said, bundled="bundles" in door)
    stored(inside, batch_id, good)
    expected = sorted([*poison.values(), *([] if door == "numbered over HTTP" else whole.values())])
    utf_16 = "SELECT code, reason, raw FROM log.dead_letters WHERE raw = %s"

    def letters() -> list[tuple[str, str, bytes]]:
        return [*inside.letters(batch_id), *inside.sql(utf_16, whole["UTF-16"])]

    eventually(lambda: len(letters()) >= len(expected))
    found = letters()
    assert sorted(raw for _, _, raw in found) == expected
    assert all(code and reason for code, reason, _ in found)
    if "numbered" in door:
        [(received, missing)] = inside.sql(
            "SELECT received::text, missing FROM log.producers WHERE producer_id = %s", producer_id
        )
        assert (received, missing) == (f"{{[0,{seq})}}", 0)
    projected(client, batch_id, len(good))


def refuse(client: httpx.Client, path: str, body: bytes, name: str, **headers: str) -> dict[str, Any]:
    """The door refuses it with one problem; answers that."""
    answer = client.post(path, content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code in (413, 415, 422, 403), (name, answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json", name
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["code"], name
    assert 0 < len(problem["detail"]) < 600, name
    return problem


def test_one_by_one_a_bad_event_is_one_clear_problem(
    client: httpx.Client, inside: Any, new_event: Any, old_event: Any
) -> None:
    batch_id = f"poison-{uuid.uuid4().hex[:8]}"
    refused, healed = old_and_spoiled(old_event(batch_id))
    good: list[str] = []
    for form, bad_ones in ((new_event, spoiled(new_event(batch_id))), (old_event, refused)):
        for name, bad in bad_ones.items():
            refuse(client, "/api/events", bad, name)
            one = form(batch_id)
            assert client.post("/api/events", json=one).status_code == 200
            good.append(one["event_id"])
    for name, odd in healed.items():
        answer = client.post("/api/events", content=odd, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, (name, answer.text)
        good.append(answer.json()["event_id"])
    stored(inside, batch_id, good)
    assert inside.letters(batch_id) == []


def test_in_a_batch_a_bad_event_is_rejected_alone(
    client: httpx.Client, inside: Any, new_event: Any, old_event: Any
) -> None:
    batch_id = f"poison-{uuid.uuid4().hex[:8]}"
    refused, healed = old_and_spoiled(old_event(batch_id))
    good: list[str] = []
    posts = [(new_event, bad, "rejected") for bad in spoiled(new_event(batch_id)).values()]
    posts += [(old_event, bad, "rejected") for bad in refused.values()]
    posts += [(old_event, odd, "accepted") for odd in healed.values()]
    for form, odd, status in posts:
        events = [form(batch_id) for _ in range(GOOD_FOR_ONE_BAD)]
        body = b"[" + b",".join([*map(orjson.dumps, events[:50]), odd, *map(orjson.dumps, events[50:])]) + b"]"
        answer = client.post("/api/events/batch", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text
        results = answer.json()["results"]
        assert [one["status"] for one in results] == ["accepted"] * 50 + [status] + ["accepted"] * 50, odd[:300]
        assert (results[50].get("error") or "").count(":") >= (status == "rejected"), results[50]
        good += [one["event_id"] for one in results if one["status"] == "accepted"]
    stored(inside, batch_id, good)
    assert inside.letters(batch_id) == []


@pytest.mark.parametrize("path", ["/api/events", "/api/events/batch"])
def test_a_body_that_is_no_event_is_one_clear_problem(client: httpx.Client, path: str, new_event: Any) -> None:
    large = orjson.dumps(new_event("b", data={"step": 1, "metrics": {}, "note": "x" * 5_000_000}))
    bodies = {"nothing": b"", "bad JSON": b"{", "text": b"hello", "deep": DEEP * 5, "bytes": bytes(range(256)), "5 MB": large,
              "null": b"null", "a number": b"7", "a long number": b"1" * 100_000, "UTF-16": "[]".encode("utf-16")}  # fmt: skip
    for name, body in bodies.items():
        problem = refuse(client, path, body, name)
        assert problem["code"] == ("too_large" if name == "5 MB" else "malformed"), (name, problem)


def test_a_spilled_line_of_5_mb_is_cut(client: httpx.Client, old_event: Any) -> None:
    """Stock argus-reporter would keep its whole spill file for ever, were it refused."""
    line = old_event("b", event_type="log_line", data={"line": "x" * 5_000_000, "level": "info"})
    answer = client.post("/api/events", json=line, headers={"User-Agent": "argus-reporter/0.1.3"})
    assert answer.status_code == 200, answer.text
