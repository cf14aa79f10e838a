"""A client of the live stream that lives in a thread of the test, and reconnects for ever, as a browser does."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import httpx

from argus_testkit.faults.payloads import Seen, seen_event
from argus_testkit.pages import positions
from argus_testkit.stack import LocalStack
from argus_testkit.waiting import eventually

RETRY_S = 0.3
SILENCE_S = 15.0
"""The gateway says something every 5 s: a stream that is silent for so long is dead."""


class LiveCapture:
    """Everything that a page about `topics` is told from now on. Use it in a `with` block.

    url: of a fault proxy in front of the gateway, when there is one.
    """

    def __init__(self, stack: LocalStack, topics: Sequence[str], url: str | None = None) -> None:
        self._base, self._token = url or stack.url, stack.credentials.token
        self._topics = ",".join(topics)
        self.heard: list[Seen] = []
        """The events of workloads, in the order of their arrival, repeats included."""
        self.states: list[str] = []
        """What the badge of the page said, without repeats: `live`, `behind`, `unavailable`."""
        self.passed_over: list[tuple[int, int]] = []
        """(cursor before, position after) of each `reset`: the page was told to fetch everything anew, so what lies between is not
        said on the stream."""
        self.connections = 0
        with stack.client() as client:
            self.cursor: int = eventually(lambda: positions(client), what="the gateway answers").projected
        """The client's `Last-Event-ID`."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-capture", daemon=True)

    def __enter__(self) -> LiveCapture:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(SILENCE_S + 5)

    def _run(self) -> None:
        with httpx.Client(
            base_url=self._base, headers={"Authorization": f"Bearer {self._token}"}, verify=False
        ) as client:
            while not self._ended.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    self._follow(client)
                self._ended.wait(RETRY_S)

    def _follow(self, client: httpx.Client) -> None:
        headers = {"Last-Event-ID": str(self.cursor)}
        timeout = httpx.Timeout(5, read=SILENCE_S)
        with client.stream(
            "GET", "/api/stream", params={"topics": self._topics}, headers=headers, timeout=timeout
        ) as answer:
            if answer.status_code != 200:
                return
            self.connections += 1
            for event, cursor, data in _frames(answer.iter_lines()):
                if event == "events":
                    found = (seen_event(event, event["position"]) for event in data["events"])
                    self.heard += [seen for seen in found if seen is not None]
                elif event == "reset":
                    self.passed_over.append((self.cursor, data["position"]))
                elif event == "status" and self.states[-1:] != [data["state"]]:
                    self.states.append(data["state"])
                if cursor is not None:
                    self.cursor = cursor
                if self._ended.is_set():
                    return


def _frames(lines: Iterator[str]) -> Iterator[tuple[str, int | None, Any]]:
    """(event, id, data) of each whole frame; a comment gives an empty one, so that the reader looks up."""
    event, cursor, data = "", None, ""
    for line in lines:
        if line.startswith("event:"):
            event = line[6:].strip()
        elif line.startswith("id:"):
            cursor = int(line[3:])
        elif line.startswith("data:"):
            data += line[5:].strip()
        elif not line:
            yield event, cursor if data else None, json.loads(data) if data else None
            event, cursor, data = "", None, ""


def wait_for_cursor(capture: LiveCapture, position: int, within: float) -> bool:
    """Whether the client has been told everything up to `position`, after `within` seconds at most."""
    until = time.monotonic() + within
    while capture.cursor < position and time.monotonic() < until:
        time.sleep(0.05)
    return capture.cursor >= position
