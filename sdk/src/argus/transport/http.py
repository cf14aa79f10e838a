"""Events by HTTPS: POSTs of many messages to the gateway, whose answers also tell what is stored."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from bisect import bisect_right
from collections.abc import Collection, Iterator
from typing import Any, cast
from urllib.parse import quote

import httpx

from argus.settings import Settings
from argus.transport.base import ANSWER_S, BackOff, Fate, Watermark, answer_s, watermark
from argus.transport.bundles import BUNDLE_BYTES, bundles, joined
from argus.trouble import warn

ASK_STORED_FIRST_S = 0.2
ASK_STORED_LAST_S = 5.0
TURN_S = 1.0
"""No further question of a turn begins after so long: far away a POST takes 50 ms, and who posts 500 of them without listening
hears too late that the first are stored, and sends them again."""

ASKED_AT_ONCE = 100
"""Producers that are asked for in one address; some proxies take no more than 8,000 bytes of it."""
SMALLEST_BUNDLE_BYTES = 4 * 1024
ONE_BY_ONE_S = 60.0
"""For so long nothing travels together after somebody has not taken it: a gateway that is older than this, a proxy with limits."""

_NOT_TOGETHER = frozenset({401, 403, 500, 501})
"""These answers to many at once are no word about the key or the gateway: a guard may know neither the address nor the form, or
one of the many trips a fault. Each alone tells."""
_HOPELESS = frozenset({400, 413, 415, 422})
"""The gateway has read the message, and will never take it."""


class HttpTransport:
    """See `argus.transport.base.Transport`."""

    def __init__(self, settings: Settings) -> None:
        headers = {"Authorization": f"Bearer {settings.token}"} if settings.token else {}
        self._client = httpx.Client(base_url=settings.url or "", headers=headers, timeout=_timeout(0))
        self._url = settings.shown_url
        self._spool_dir = settings.spool_dir
        self.workspace: str | None = None
        self.user: str | None = None
        self._back_off = BackOff()
        self._arrived: list[Watermark] = []
        self._ask_stored = BackOff(ASK_STORED_FIRST_S, ASK_STORED_LAST_S)
        self._asked_last = ""
        self._bundle_bytes = BUNDLE_BYTES
        self._one_by_one_until = 0.0
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
        began = before = time.monotonic()
        for said in self._posts(messages):
            fates += said
            now = time.monotonic()
            if said[0] == "unheard":  # of a slow link, perhaps: less comes through while an answer is waited for
                self._bundle_bytes = max(self._bundle_bytes // 4, SMALLEST_BUNDLE_BYTES)
            elif now - before < TURN_S:
                self._bundle_bytes = min(self._bundle_bytes * 2, BUNDLE_BYTES)
            if said[0] in ("later", "unheard") or now - began >= TURN_S:
                break
            before = now
        while len(fates) < len(messages):
            fates.append("later")
        return fates

    def _posts(self, messages: list[tuple[str, bytes]]) -> Iterator[list[Fate]]:
        """The fates of the next messages, after every POST."""
        for bundle in bundles(messages, self._bundle_bytes):
            fates = self._post_together(bundle) if len(bundle) > 1 and self._may_join() else None
            if fates is not None:
                yield fates
            else:
                for _, body in bundle:
                    yield [self._post(body)]

    def _may_join(self) -> bool:
        return time.monotonic() >= self._one_by_one_until

    def _go_one_by_one(self) -> None:
        self._one_by_one_until = time.monotonic() + ONE_BY_ONE_S

    def _post_together(self, bundle: list[tuple[str, bytes]]) -> list[Fate] | None:
        """None: whoever answers does not take it so, and has taken nothing of it. They go one by one for a while."""
        headers = {"Content-Type": "application/x-ndjson"}
        answer = self._call("POST", "/api/events/bundle", plain=_NOT_TOGETHER, content=joined(bundle), headers=headers)
        if answer is None:
            return cast("list[Fate]", ["unheard"] * len(bundle))
        said = _decoded(answer)
        documents = _documents(said)
        if len(documents) != len(bundle):
            self._go_one_by_one()
            return None
        self._ask_stored.succeeded()
        self._note_stored(cast("dict[str, Any]", said).get("stored"))
        return [self._fate(document) for document in documents]

    def _fate(self, document: dict[str, Any]) -> Fate:
        """document: a `DocumentAnswer` of the gateway."""
        if refused := document.get("refused"):
            warn("refused", f"{self._url} refused events: {str(refused)[:200]}")
            return "refused"
        self._tell_rejected(document)
        return "taken"

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
            self._tell_rejected(said)
        return "taken"

    def _tell_rejected(self, said: dict[str, Any]) -> None:
        results: list[dict[str, Any]] = said.get("results") or []
        errors = [result["error"] for result in results if result.get("error")]
        if errors:
            warn("rejected", f"an event was not accepted: {str(errors[0])[:200]}")

    def watermarks(self, waiting: list[str]) -> list[Watermark]:
        if waiting and self._ask_stored.ready() and self._back_off.ready():
            self._ask_stored.failed()
            until = time.monotonic() + TURN_S
            ids = sorted(waiting)
            begin = bisect_right(ids, self._asked_last)
            ids = ids[begin:] + ids[:begin]  # every one gets its turn, whatever becomes of the others
            while ids:
                n_asked = self._ask(ids, ASKED_AT_ONCE if self._may_join() else 1)
                if n_asked == 0:
                    break
                del ids[:n_asked]
                if time.monotonic() >= until:
                    self._ask_stored.succeeded()  # there are more of them: nobody waits before they are asked for
                    break
        arrived, self._arrived = self._arrived, []
        return arrived

    def _ask(self, producer_ids: list[str], at_most: int) -> int:
        """For how many of these it was asked what is stored. 0: nobody answers that question now."""
        producer_ids = producer_ids[:at_most]
        self._asked_last = producer_ids[-1]
        if len(producer_ids) > 1:
            answer = self._call(
                "GET", f"/api/producers/stored?ids={quote(','.join(producer_ids), safe=',')}", plain=_NOT_TOGETHER
            )
            if answer is not None and not isinstance(_decoded(answer), list):
                self._go_one_by_one()
                return self._ask(producer_ids, 1)
        else:
            answer = self._call("GET", f"/api/producers/{quote(producer_ids[0])}/stored")
        if answer is None or answer.status_code != 200:
            return 0
        self._note_stored(_decoded(answer))
        return len(producer_ids)

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

    def _call(self, method: str, path: str, *, plain: Collection[int] = (), **options: Any) -> httpx.Response | None:
        """The answer, or None (and a pause) where the gateway is away, busy, or does not know this key.

        plain: statuses that mean nothing of that kind here, and are the caller's to understand."""
        try:
            timeout = _timeout(len(options.get("content", b"")))
            answer = self._client.request(method, path, timeout=timeout, **options)
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            text = f"cannot reach {self._url} ({str(error)[:120] or type(error).__name__})"
            return self._pause("connect", f"{text}; events are kept in {self._spool_dir} and sent later")
        if answer.status_code in plain:
            return answer
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


def _timeout(n_bytes: int) -> httpx.Timeout:
    """The kernel takes the bytes at once, so it is the answer that comes late."""
    return httpx.Timeout(answer_s(n_bytes), connect=2.0, write=ANSWER_S)


def _decoded(answer: httpx.Response) -> object:
    """What a good answer says; None where it is none."""
    if answer.status_code != 200:
        return None
    with contextlib.suppress(ValueError):
        return answer.json()
    return None


def _documents(said: object) -> list[dict[str, Any]]:
    """What a gateway's `BundleAnswer` says of each; none where it is something else."""
    documents: object = cast("dict[str, Any]", said).get("documents") if isinstance(said, dict) else None
    if not isinstance(documents, list):
        return []
    return [
        cast("dict[str, Any]", document) for document in cast("list[object]", documents) if isinstance(document, dict)
    ]
