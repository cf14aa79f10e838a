"""HTTPS, against a real gateway: what travels together, and that one turn of the sender is short, however far away Argus is and
however many producers wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from argus.settings import Settings
from argus.transport import http
from argus.transport.http import HttpTransport
from argus.trouble import forget_warnings
from argus_testkit.stack import LocalStack

NEW = ("/api/events/bundle", "/api/producers/stored")


class Asked:
    """A transport, and what it has asked for.

    is_old: the gateway answers as one that does not know the addresses of what travels together. is_cut: no answer comes in time.
    """

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.transport = HttpTransport(Settings(stack.url, stack.credentials.token, folder, 1 << 20, None))
        self.paths: list[str] = []
        self.posts: list[int] = []
        """How many documents each POST had."""
        self.is_old = self.is_cut = False
        self.transport._client.event_hooks["request"].append(self._note)

    def _note(self, request: httpx.Request) -> None:
        self.paths.append(request.url.path)
        if request.method == "POST":
            self.posts.append(len(request.content.splitlines()))
        if self.is_cut:
            raise httpx.ReadTimeout("the link is slow")
        if self.is_old and request.url.path in NEW:
            request.url = request.url.copy_with(path="/api/no/such/address")

    def producers(self) -> list[str]:
        return [path.split("/")[3] for path in self.paths if path.startswith("/api/producers/")]


@pytest.fixture
def asked(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    monkeypatch.setattr(http, "TURN_S", 60.0)  # on a machine that may be busy
    forget_warnings()
    one = Asked(stack, tmp_path)
    yield one
    one.transport.close()


def messages(number: int) -> list[tuple[str, bytes]]:
    """So many, each of a run of its own that begins."""
    found: list[tuple[str, bytes]] = []
    for _ in range(number):
        batch_id = f"turns-{uuid4().hex[:12]}"
        event = {"event_id": str(uuid4()), "kind": "batch_start", "batch_id": batch_id, "data": {}}
        event = {**event, "occurred_at": "2026-11-21T12:00:00Z", "seq": 0}
        body = {"v": 2, "producer_id": batch_id, "class": "lifecycle", "first_seq": 0, "events": [event]}
        found.append((batch_id, orjson.dumps(body)))
    return found


def stored_of(asked: Asked, producer_ids: list[str], until: Any) -> list[str]:
    """The producers that Argus has said to have stored, each told of by the gateway, or all of `producer_ids`."""
    heard: set[str] = set()

    def all_heard() -> bool:
        heard.update(mark.producer_id for mark in asked.transport.watermarks(producer_ids) if mark.next_seq == 1)
        return len(heard) == len(producer_ids)

    until(all_heard)
    return sorted(heard)


def test_small_messages_and_questions_travel_together(asked: Asked, until: Any) -> None:
    sent = messages(300)
    assert asked.transport.publish(sent) == ["taken"] * 300
    assert asked.posts == [256, 44]
    ids = sorted(batch_id for batch_id, _ in sent)
    assert stored_of(asked, ids, until) == ids
    questions = asked.paths[2:]
    assert set(questions) == {"/api/producers/stored"}
    assert len(questions) % 3 == 0, "a hundred a question"


def test_a_single_message_goes_alone(asked: Asked) -> None:
    assert asked.transport.publish(messages(1)) == ["taken"]
    asked.transport.watermarks(["one"])
    assert asked.paths == ["/api/events/batch", "/api/producers/one/stored"]


def test_what_is_refused_in_a_bundle_takes_nothing_else_with_it(
    asked: Asked, until: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    good = messages(3)
    wrong = orjson.dumps({"v": 3, "class": "lifecycle", "events": [{}]})
    fates = asked.transport.publish([good[0], ("x", wrong), good[1], ("y", b"not JSON"), good[2]])
    assert fates == ["taken", "refused", "taken", "refused", "taken"]
    assert asked.posts == [5]
    assert "newer_version" in capsys.readouterr().err
    ids = sorted(batch_id for batch_id, _ in good)
    assert stored_of(asked, ids, until) == ids


def test_an_older_gateway_gets_and_is_asked_one_by_one(
    asked: Asked, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked.is_old = True
    sent = messages(5)
    assert asked.transport.publish(sent) == ["taken"] * 5
    assert asked.paths == ["/api/events/bundle", *["/api/events/batch"] * 5]
    ids = sorted(batch_id for batch_id, _ in sent)
    assert stored_of(asked, ids, until) == ids
    assert asked.transport.publish(messages(2)) == ["taken"] * 2
    assert asked.paths.count("/api/events/bundle") == 1, "it is not asked every time"
    assert "/api/producers/stored" not in asked.paths
    monkeypatch.setattr(asked.transport, "_one_by_one_until", 0.0)
    asked.transport._ask_stored.succeeded()
    asked.transport.watermarks(ids)
    assert asked.paths[-6:] == ["/api/producers/stored", *[f"/api/producers/{name}/stored" for name in ids]]
    asked.is_old = False
    monkeypatch.setattr(asked.transport, "_one_by_one_until", 0.0)
    assert asked.transport.publish(messages(5)) == ["taken"] * 5
    assert asked.posts[-1] == 5, "it was renewed"


def test_a_refusal_of_many_is_told_only_when_one_alone_meets_it_too(
    asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    asked.transport._client.headers["Authorization"] = "Bearer ak_nobody_wrongwrongwrong"
    assert asked.transport.publish(messages(3)) == ["unheard", "later", "later"]
    assert asked.paths == ["/api/events/bundle", "/api/events/batch"]
    assert "does not accept this ARGUS_TOKEN" in capsys.readouterr().err
    assert not asked.transport.connected()


def test_a_link_that_answers_nothing_in_time_gets_less_at_once(asked: Asked) -> None:
    sent = messages(250)
    asked.is_cut = True
    for _ in range(5):
        assert asked.transport.publish(sent) == ["unheard"] + ["unheard"] * (asked.posts[-1] - 1) + ["later"] * (
            250 - asked.posts[-1]
        )
    assert asked.posts[0] == 250
    assert 1 < asked.posts[-1] < 30
    asked.is_cut = False
    assert asked.transport.publish(sent) == ["taken"] * 250
    assert asked.transport.publish(messages(250)) == ["taken"] * 250
    assert asked.posts[-1] == 250, "as much as ever where it comes through"


def test_a_turn_over_its_time_leaves_the_rest_for_the_next(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.is_old = True
    assert asked.transport.publish(messages(2)) == ["taken"] * 2
    monkeypatch.setattr(http, "TURN_S", 0.0)
    assert asked.transport.publish(messages(3)) == ["taken", "later", "later"]
    assert asked.transport.publish(messages(2)) == ["taken", "later"], "it is not held to be away"
    for _ in range(4):
        asked.transport.watermarks(["one", "three", "two"])
    assert asked.producers() == ["one", "three", "two", "one"]


def test_in_one_turn_everything_goes_where_there_is_time(asked: Asked) -> None:
    asked.is_old = True
    assert asked.transport.publish(messages(3)) == ["taken"] * 3
    waiting = [f"producer-{number:02d}" for number in range(50)]
    asked.transport.watermarks(waiting)
    assert asked.producers() == waiting
