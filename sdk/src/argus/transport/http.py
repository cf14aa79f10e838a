"""Events by HTTPS: one POST per message to the gateway, whose answers also tell what is stored."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from bisect import bisect_right
from typing import Any, cast
from urllib.parse import quote

import httpx

from argus.settings import Settings
from argus.transport.base import BackOff, Fate, Watermark, watermark
from argus.trouble import warn

ASK_STORED_FIRST_S = 0.2
ASK_STORED_LAST_S = 5.0
TURN_S = 1.0
"""No further question of a turn begins after so long: far away a POST takes 50 ms, and who posts 500 of them without listening
hears too late that the first are stored, and sends them again."""

_HOPELESS = frozenset({400, 413, 415, 422})
"""The gateway has read the message, and will never take it."""


class HttpTransport:
    """See `argus.transport.base.Transport`."""

    def __init__(self, settings: Settings) -> None:
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        timeout = httpx.Timeout(5.0, connect=2.0)
        self._client = httpx.Client(base_url=settings.url or "", headers=headers, timeout=timeout)
        self._url = settings.shown_url
        self._spool_dir = settings.spool_dir
        self.workspace: str | None = None
        self.user: str | None = None
        self._back_off = BackOff()
        self._arrived: list[Watermark] = []
        self._ask_stored = BackOff(ASK_STORED_FIRST_S, ASK_STORED_LAST_S)
        self._asked_last = ""
        self._nap = threading.Event()

    def connected(self) -> bool:
        if not self._back_off.ready():
            return False
        if self.user is None:
            answer = self._call("GET", "/api/auth/me")
            if answer is None or answer.status_code != 200:
                return False
            with contextlib.suppress(ValueError, AttributeError):
                said = answer.json()
                self.user = said.get("user") or said.get("username")
                self.workspace = said.get("workspace")
        return True

    def publish(self, messages: list[tuple[str, bytes]]) -> list[Fate]:
        fates: list[Fate] = []
        until = time.monotonic() + TURN_S
        for _, body in messages:
            fate = self._post(body)
            fates.append(fate)
            if fate in ("later", "unheard") or time.monotonic() >= until:
                break
        while len(fates) < len(messages):
            fates.append("later")
        return fates

    def _post(self, body: bytes) -> Fate:
        headers = {"Content-Type": "application/json"}
        answer = self._call("POST", "/api/events/batch", content=body, headers=headers)
        if answer is None:
            return "unheard"
        if answer.status_code in _HOPELESS:
            warn("refused", f"{self._url} refused events: {answer.status_code} {answer.text[:200]}")
            return "refused"
        if answer.status_code != 200:  # a wrong address, or a proxy's own answer: the events are good
            self._pause(
                "odd", f"{self._url} does not answer like an Argus ({answer.status_code}); events are sent later", 5
            )
            return "later"
        self._ask_stored.succeeded()
        with contextlib.suppress(ValueError, AttributeError):
            said: dict[str, Any] = answer.json()
            self._note_stored(said.get("stored"))
            results: list[dict[str, Any]] = said.get("results") or []
            errors = [result["error"] for result in results if result.get("error")]
            if errors:
                warn("rejected", f"an event was not accepted: {str(errors[0])[:200]}")
        return "taken"

    def watermarks(self, waiting: list[str]) -> list[Watermark]:
        if waiting and self._ask_stored.ready() and self._back_off.ready():
            self._ask_stored.failed()
            until = time.monotonic() + TURN_S
            ids = sorted(waiting)
            begin = bisect_right(ids, self._asked_last)
            for producer_id in ids[begin:] + ids[:begin]:  # every one gets its turn, whatever becomes of the others
                self._asked_last = producer_id
                answer = self._call("GET", f"/api/producers/{quote(producer_id)}/stored")
                if answer is None or answer.status_code != 200:
                    break
                with contextlib.suppress(ValueError):
                    self._note_stored(answer.json())
                if time.monotonic() >= until:
                    self._ask_stored.succeeded()  # there are more of them: nobody waits before they are asked for
                    break
        arrived, self._arrived = self._arrived, []
        return arrived

    def stop_requested(self, batch_id: str) -> bool | None:
        if not self._back_off.ready():
            return None
        answer = self._call("GET", f"/api/batches/{quote(batch_id, safe='')}/stop-requested")
        if answer is None or answer.status_code != 200:
            return None
        try:
            return bool(answer.json().get("requested"))
        except (ValueError, AttributeError):
            return None

    def idle(self, seconds: float) -> None:
        self._nap.wait(seconds)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._client.close()

    def abandon(self) -> None:
        with contextlib.suppress(Exception):
            connections: list[Any] = cast("Any", self._client)._transport._pool.connections
            for connection in connections:
                stream: Any = connection._connection._network_stream
                sock: socket.socket = stream.get_extra_info("socket")
                os.close(sock.detach())

    def _note_stored(self, said: object) -> None:
        """said: one decoded `Stored`, a list of them, or nothing."""
        each = cast("list[object]", said) if isinstance(said, list) else [said]
        self._arrived += [mark for mark in map(watermark, each) if mark is not None]

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """The answer, or None (and a pause) where the gateway is away, busy, or does not know this key."""
        try:
            answer = self._client.request(method, path, **options)
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            text = f"cannot reach {self._url} ({str(error)[:120] or type(error).__name__})"
            return self._pause("connect", f"{text}; events are kept in {self._spool_dir} and sent later")
        if answer.status_code in (401, 403):
            return self._pause("auth", f"{self._url} does not accept this ARGUS_TOKEN", 15)
        if answer.status_code == 429 or answer.status_code >= 500:
            wait = 0.0
            with contextlib.suppress(ValueError):
                wait = min(float(answer.headers.get("Retry-After", "0")), 60.0)
            return self._pause("busy", f"{self._url} cannot take events now ({answer.status_code}); sent later", wait)
        self._back_off.succeeded()
        return answer

    def _pause(self, kind: str, text: str, at_least_s: float = 0.0) -> None:
        warn(kind, text)
        self._back_off.failed(at_least_s)
