"""The gateway as the commands see it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click
import httpx
import orjson

from argus.settings import settings


class Door:
    """GET answers as decoded JSON. Every trouble ends the command with one clear line (exit code 1)."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        where = settings(url, token)
        base = where.url if where.is_http else where.public_url
        if base is None:
            raise click.ClickException("no address: run `argus login URL`, or set ARGUS_URL to http(s)://…")
        if not where.token:
            raise click.ClickException("no key: run `argus login URL`, or set ARGUS_TOKEN")
        self.url = base
        self._client = httpx.Client(base_url=base, headers={"Authorization": f"Bearer {where.token}"}, timeout=15)

    def get(self, path: str, **params: Any) -> Any:
        given = {key: value for key, value in params.items() if value not in (None, [], ())}
        try:
            answer = self._client.get(path, params=given)
        except httpx.HTTPError as error:
            raise click.ClickException(f"cannot reach {self.url}: {error or type(error).__name__}") from None
        if answer.status_code == 401:
            raise click.ClickException(f"{self.url} does not accept this key; run `argus login {self.url}`")
        if answer.status_code == 404:
            raise click.ClickException(f"{self.url}: {detail(answer)}; `argus runs` shows the ids of runs")
        if answer.status_code != 200:
            raise click.ClickException(f"{self.url} answered {answer.status_code}: {detail(answer)}")
        try:
            return answer.json()
        except ValueError:
            raise click.ClickException(f"{self.url}{path} answered no JSON; is this an Argus?") from None

    def stream(self, topic: str, since: int) -> Iterator[tuple[str, dict[str, Any], int]]:
        """The frames of the live stream behind log position `since`: name, data, and the position reached with it.

        Ends when the server ends it. Errors: `httpx.HTTPError` where the connection breaks or says nothing for 20 s.
        """
        params: dict[str, str | int] = {"topics": topic, "last_event_id": since}
        name, data = "", {}
        with self._client.stream("GET", "/api/stream", params=params, timeout=20) as answer:
            if answer.status_code != 200:
                answer.read()
                raise click.ClickException(f"{self.url} answered {answer.status_code}: {detail(answer)}")
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


def detail(answer: httpx.Response) -> str:
    """What a problem+json answer says, or the beginning of any other."""
    try:
        said = answer.json()
        return str(said.get("detail") or said.get("title") or said)[:300]
    except (ValueError, AttributeError):
        return answer.text[:200].strip() or answer.reason_phrase


def run_path(batch_id: str) -> str:
    return f"/api/batches/{quote(batch_id, safe='')}"


def job_path(batch_id: str, job_id: str) -> str:
    return f"{run_path(batch_id)}/jobs/{quote(job_id, safe='')}"
