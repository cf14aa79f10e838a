"""HTTPS, against a real gateway: one turn of the sender is short, however far away Argus is and however many producers wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import orjson
import pytest

from argus.settings import Settings
from argus.transport import http
from argus.transport.http import HttpTransport
from argus_testkit.stack import LocalStack


class Asked:
    """A transport, and the paths that it has asked for."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.transport = HttpTransport(Settings(stack.url, stack.credentials.token, folder, 1 << 20, None))
        self.paths: list[str] = []
        self.transport._client.event_hooks["request"].append(self._note)

    def _note(self, request: httpx.Request) -> None:
        self.paths.append(request.url.path)

    def producers(self) -> list[str]:
        return [path.split("/")[3] for path in self.paths if path.startswith("/api/producers/")]


@pytest.fixture
def asked(stack: LocalStack, tmp_path: Path) -> Iterator[Asked]:
    one = Asked(stack, tmp_path)
    yield one
    one.transport.close()


def messages(number: int) -> list[tuple[str, bytes]]:
    """So many, each of a run of its own that begins."""
    found: list[tuple[str, bytes]] = []
    for _ in range(number):
        batch_id = f"turns-{uuid4().hex[:12]}"
        event = {"event_id": str(uuid4()), "kind": "batch_start", "batch_id": batch_id, "data": {}}
        body = {"v": 2, "class": "lifecycle", "events": [{**event, "occurred_at": "2026-11-21T12:00:00Z"}]}
        found.append((batch_id, orjson.dumps(body)))
    return found


def test_a_turn_over_its_time_leaves_the_rest_for_the_next(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TURN_S", 0.0)
    assert asked.transport.publish(messages(3)) == ["taken", "later", "later"]
    assert asked.transport.publish(messages(2)) == ["taken", "later"], "it is not held to be away"
    for _ in range(4):
        asked.transport.watermarks(["one", "three", "two"])
    assert asked.producers() == ["one", "three", "two", "one"]


def test_in_one_turn_everything_goes_where_there_is_time(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TURN_S", 60.0)
    assert asked.transport.publish(messages(3)) == ["taken"] * 3
    waiting = [f"producer-{number:02d}" for number in range(50)]
    asked.transport.watermarks(waiting)
    assert asked.producers() == waiting
