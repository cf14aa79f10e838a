"""B3: one byte below a limit, on it, and above: taken, taken, refused with its reason; and the connection stays."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import nats
import orjson
import pytest
from nats.errors import MaxPayloadError

from argus.values import line
from argus_contracts.quantities import MAX_EVENT_BYTES, MAX_LOG_LINE_BYTES, MAX_MESSAGE_BYTES
from argus_contracts.subjects import event_subject
from argus_testkit import LocalStack, eventually

MAX_BODY = 1024 * 1024


def padded(value: dict[str, Any], to_bytes: int, *path: str) -> bytes:
    """`value` as JSON of exactly so many bytes: the text at `path` grows."""
    place = value
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = ""
    place[path[-1]] = "x" * (to_bytes - len(orjson.dumps(value)))
    raw = orjson.dumps(value)
    assert len(raw) == to_bytes
    return raw


def test_an_event_around_its_limit(client: httpx.Client, new_event: Any) -> None:
    batch_id = f"size-{uuid.uuid4().hex[:8]}"
    for over, status in ((-1, 200), (0, 200), (1, 413)):
        raw = padded(new_event(batch_id), MAX_EVENT_BYTES + over, "data", "note")
        answer = client.post("/api/events", content=raw, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, (over, answer.text)
        batch = client.post(
            "/api/events/batch", content=b"[" + raw + b"]", headers={"Content-Type": "application/json"}
        )
        assert batch.json()["rejected"] == (status != 200)


def test_a_body_around_its_limit(client: httpx.Client, new_event: Any) -> None:
    events = orjson.dumps([new_event(f"size-{uuid.uuid4().hex[:8]}")])
    for over, status in ((-1, 200), (0, 200), (1, 413)):
        body = events + b" " * (MAX_BODY + over - len(events))
        answer = client.post("/api/events/batch", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, over
    assert client.post("/api/events/batch", content=events).status_code == 200


@pytest.mark.parametrize("door", ["NATS", "HTTP"])
def test_a_message_around_its_limit(client: httpx.Client, inside: Any, say: Any, new_event: Any, door: str) -> None:
    batch_id, producer_id = f"size-{uuid.uuid4().hex[:8]}", f"p{uuid.uuid4().hex[:8]}"
    messages = []
    for n, over in enumerate((-1, 0, 1)):
        message = {
            "v": 2,
            "producer_id": producer_id,
            "class": "metrics",
            "first_seq": n,
            "events": [new_event(batch_id)],
        }
        messages.append(padded(message, MAX_MESSAGE_BYTES + over, "beside"))
    if door == "NATS":
        say(batch_id, messages)
        eventually(lambda: [code for code, _, _ in inside.letters(batch_id)] == ["too_large"], 60)
    else:
        statuses = [
            client.post("/api/events/batch", content=raw, headers={"Content-Type": "application/json"}).status_code
            for raw in messages
        ]
        assert statuses == [200, 200, 413]
    eventually(lambda: len(inside.logged(batch_id)) == 2, 60)


def test_more_than_the_broker_takes_costs_no_connection(stack: LocalStack, inside: Any, new_event: Any) -> None:
    batch_id = f"size-{uuid.uuid4().hex[:8]}"
    subject = event_subject("main", "admin", batch_id)
    good = orjson.dumps({"v": 2, "class": "metrics", "events": [new_event(batch_id)]})

    async def publish() -> int:
        token = stack.credentials.token
        inbox = f"_INBOX_{token.split('_')[1]}".encode()
        client = await nats.connect(stack.facts.nats.url, token=token, inbox_prefix=inbox, allow_reconnect=False)
        try:
            for size in (
                300 * 1024,
                client.max_payload - 1,
                client.max_payload,
            ):  # the stream takes less than the server
                reply = orjson.loads((await client.request(subject, b"x" * size, timeout=20)).data)
                assert "exceeds" in reply["error"]["description"], reply
            with pytest.raises(MaxPayloadError):
                await client.publish(subject, b"x" * (client.max_payload + 1))
            assert "error" not in orjson.loads((await client.request(subject, good, timeout=20)).data)
            return client.max_payload
        finally:
            await client.close()

    assert asyncio.run(publish()) >= 4 * MAX_MESSAGE_BYTES
    eventually(lambda: len(inside.logged(batch_id)) == 1, 60)


@pytest.mark.parametrize("letter", ["x", "é", "損"])
def test_a_line_around_its_limit(letter: str) -> None:
    size = len(letter.encode())
    for n in range(MAX_LOG_LINE_BYTES // size - 1, MAX_LOG_LINE_BYTES // size + 2):
        said = line(letter * n)
        assert len(said.encode()) <= MAX_LOG_LINE_BYTES
        assert (said == letter * n) == (n * size <= MAX_LOG_LINE_BYTES)
        assert said == letter * n or said.endswith(" bytes cut]")
