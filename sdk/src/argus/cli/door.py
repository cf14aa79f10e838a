"""The gateway as the commands see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from argus.reader import Reader, ReadError, detail


class Door(Reader):
    """A `Reader` that can follow what is new, and ask for something to be done."""

    def prices(self, workspace: str | None = None) -> Iterator[dict[str, Any]]:
        """What machines cost an hour, those prices that were restated too."""
        return self._pages("/api/prices", workspace=workspace)

    def post(self, path: str, body: dict[str, Any], timeout_s: float = 40.0) -> Any:
        """The decoded answer. Errors: `ReadError`, also where it was refused."""
        return self._asked("POST", path, json=body, timeout=timeout_s)

    def delete(self, path: str) -> Any:
        """The decoded answer. Errors: `ReadError`."""
        return self._asked("DELETE", path)

    def stream(self, topic: str, since: int) -> Iterator[tuple[str, dict[str, Any], int]]:
        """The frames of the live stream behind log position `since`: name, data, and the position reached with it.

        Ends when the server ends it. Errors: `httpx.HTTPError` where the connection breaks or says nothing for 20 s.
        """
        params: dict[str, str | int] = {"topics": topic, "last_event_id": since}
        name, data = "", {}
        with self._client.stream("GET", "/api/stream", params=params, timeout=20) as answer:
            if answer.status_code != 200:
                answer.read()
                raise ReadError(f"{self.url} answered {answer.status_code}: {detail(answer)}", answer.status_code)
            for line in _lines(answer.iter_bytes()):
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "id":
                    since = int(value)
                elif field == "data":
                    data = orjson.loads(value)
                elif not line and name:
                    yield name, data, since
                    name, data = "", {}


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """Only a line feed ends a line: httpx's own `iter_lines` would cut a text at U+2028 and the like."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line.decode()
