"""Events by NATS: JetStream publishes that are acknowledged, and the stored watermark by subscription.

The asyncio loop runs inside the calls of the sender's thread. A connection is made anew by this module's own back-off,
without end, so that there is one way from every kind of trouble back to work.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from typing import Any, cast

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from argus.settings import Settings
from argus.transport.base import BackOff, Fate, Watermark, answer_s, watermark
from argus.transport.bundles import BUNDLE_BYTES, bundles, joined
from argus.trouble import warn
from argus_contracts.errors import WrongSubject
from argus_contracts.subjects import bundle_subject, event_subject, stored_subject, untoken

FIRST_WINDOW_BYTES = 256 * 1024
MOST_WINDOW_BYTES = 8 * 1024 * 1024
LEAST_WINDOW_BYTES = 32 * 1024
SOON_S, LATE_S = 0.5, 2.0
"""A window that was acknowledged so soon is doubled; one that took longer than the other is cut to what passes in that time. What is on
its way through a slow link would else be held to be lost, and sent again behind itself."""
_abandoned: list[NatsTransport] = []


class NatsTransport:
    """See `argus.transport.base.Transport`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.workspace: str | None = None
        self.user: str | None = None
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._back_off = BackOff()
        self._forbidden_until = 0.0
        self._arrived: deque[Watermark] = deque()
        self._publishing: list[asyncio.Future[Fate]] = []
        self._connecting = False
        self._window_bytes = FIRST_WINDOW_BYTES

    def connected(self) -> bool:
        if self._client is not None and self._client.is_connected:
            return time.monotonic() >= self._forbidden_until
        if not self._back_off.ready():
            return False
        try:
            self._loop.run_until_complete(asyncio.wait_for(self._connect(), 3))
        except ImportError:
            self._failed("ws", "ws:// needs aiohttp: pip install 'argus-sdk[websocket]'", 60)
        except PermissionError as error:  # named also where the address was in trouble before
            self._failed(
                "rights", f"{self._settings.shown_url}: {error}; events are kept in {self._settings.spool_dir}"
            )
        except (NatsError, OSError, TimeoutError, RuntimeError, ValueError) as error:
            said = str(error).lower()
            if "authorization" in said or "authentication" in said or "expired" in said:
                self._failed("auth", f"{self._settings.shown_url} does not accept this ARGUS_TOKEN", 15)
            else:
                self._failed(
                    "connect",
                    f"cannot reach {self._settings.shown_url} ({str(error)[:120] or type(error).__name__}); "
                    f"events are kept in {self._settings.spool_dir} and sent later",
                )
        return self._client is not None and self._client.is_connected

    def publish(self, messages: list[tuple[str, bytes]]) -> list[Fate]:
        if self._client is None or self.workspace is None or self.user is None:
            return ["later"] * len(messages)
        return self._loop.run_until_complete(self._publish_all(self._client, messages))

    def watermarks(self, waiting: list[str]) -> list[Watermark]:
        arrived = list(self._arrived)
        self._arrived.clear()
        return arrived

    def stop_requested(self, batch_id: str) -> bool | None:
        return None

    def idle(self, seconds: float) -> None:
        self._loop.run_until_complete(asyncio.sleep(seconds))

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._loop.run_until_complete(asyncio.wait_for(self._drop_client(), 1))
        with contextlib.suppress(Exception):
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def abandon(self) -> None:
        _abandoned.append(self)  # never collected: closing the loop would touch the parent's epoll set
        with contextlib.suppress(Exception):
            self._loop._closed = True  # type: ignore[attr-defined]
            writer = self._client._transport._io_writer  # type: ignore[union-attr]
            os.close(writer.get_extra_info("socket")._sock.detach())  # type: ignore[union-attr]

    # -- inside the loop -----------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        await self._drop_client()
        client = Client()
        url, token = self._settings.url or "", self._settings.token
        options: dict[str, Any] = {"token": token} if token else {}
        key_id = self._settings.key_id
        if key_id:
            options["inbox_prefix"] = f"_INBOX_{key_id}"
        self._connecting = True
        try:
            await client.connect(
                servers=[url], name="argus-sdk", allow_reconnect=False, connect_timeout=2, ping_interval=10,
                max_outstanding_pings=2, error_cb=self._on_error, disconnected_cb=self._on_lost,
                closed_cb=self._on_lost, **options,
            )  # fmt: skip
            self._connecting = False
            await self._learn_who_i_am(client)
            if self.workspace and self.user:
                await cast("Any", client).subscribe(stored_subject(self.workspace, self.user), cb=self._on_stored)
        except BaseException:
            self._connecting = False
            with contextlib.suppress(Exception):
                await client.close()
            raise
        self._client = client
        self._back_off.succeeded()

    async def _learn_who_i_am(self, client: Client) -> None:
        """Workspace and user are those whose events this connection may publish: the server says so itself."""
        try:
            reply = await client.request("$SYS.REQ.USER.INFO", b"", timeout=2)
            permissions: dict[str, Any] = orjson.loads(reply.data)["data"].get("permissions") or {}
            allowed: list[str] = permissions.get("publish", {}).get("allow") or []
        except (NatsError, TimeoutError, ValueError, KeyError, AttributeError) as error:
            raise OSError(f"the server does not say who I am: {error or type(error).__name__}") from None
        for subject in allowed:
            parts = subject.split(".")
            if len(parts) == 5 and parts[:2] == ["argus", "events"] and "*" not in parts[2:4]:
                with contextlib.suppress(WrongSubject):
                    self.workspace, self.user = untoken(parts[2]), untoken(parts[3])
                    return
        self.workspace, self.user = os.environ.get("ARGUS_WORKSPACE"), os.environ.get("ARGUS_USER")
        if not (self.workspace and self.user):
            raise PermissionError("this key may not publish events of any user")

    async def _publish_all(self, client: Client, messages: list[tuple[str, bytes]]) -> list[Fate]:
        # A request on a connection that breaks may never return: nats-py leaves it waiting. `_on_lost` ends it.
        packed, n_bytes = self._window_of(messages)
        within_s, began = answer_s(n_bytes), time.monotonic()
        self._publishing = [asyncio.ensure_future(self._publish_bundle(client, bundle, within_s)) for bundle in packed]
        await asyncio.wait(self._publishing, timeout=within_s + 1)
        took_s = time.monotonic() - began
        fates: list[Fate] = []
        for task, bundle in zip(self._publishing, packed, strict=True):
            heard = task.done() and not task.cancelled() and not task.exception()
            fate: Fate = task.result() if heard else "unheard"
            fates.extend(fate for _ in bundle)
            task.cancel()
        self._publishing = []
        is_taken = all(fate == "taken" for fate in fates)
        self._fit_window(n_bytes, took_s, is_taken=is_taken)
        if not is_taken:
            self._back_off.failed()
            self._forbidden_until = max(self._forbidden_until, self._back_off.until)
        else:
            self._back_off.succeeded()
        fates.extend("later" for _ in range(len(messages) - len(fates)))
        return fates

    def _window_of(self, messages: list[tuple[str, bytes]]) -> tuple[list[list[tuple[str, bytes]]], int]:
        """The first bundles that may be on their way together, at least one, and their bytes."""
        packed: list[list[tuple[str, bytes]]] = []
        n_bytes = 0
        for bundle in bundles(messages, min(BUNDLE_BYTES, self._window_bytes)):
            size = sum(len(body) for _, body in bundle)
            if packed and n_bytes + size > self._window_bytes:
                break
            packed.append(bundle)
            n_bytes += size
        return packed, n_bytes

    def _fit_window(self, n_bytes: int, took_s: float, *, is_taken: bool) -> None:
        if took_s < SOON_S and is_taken:
            self._window_bytes = min(self._window_bytes * 2, MOST_WINDOW_BYTES)
        elif took_s > LATE_S:
            self._window_bytes = max(int(min(n_bytes, self._window_bytes) * LATE_S / took_s), LEAST_WINDOW_BYTES)

    async def _publish_bundle(self, client: Client, bundle: list[tuple[str, bytes]], within_s: float) -> Fate:
        assert self.workspace is not None
        assert self.user is not None
        batch_id = bundle[0][0]
        if all(other == batch_id for other, _ in bundle):
            subject = event_subject(self.workspace, self.user, batch_id)
        else:
            subject = bundle_subject(self.workspace, self.user)
        try:
            reply = await client.request(subject, joined(bundle), timeout=within_s)
            answer = orjson.loads(reply.data)
        except NoRespondersError:
            warn("stream", f"{self._settings.shown_url} has no stream for events yet; they are sent later")
            return "later"
        except (NatsError, OSError, TimeoutError, ValueError):
            return "unheard"
        error = answer.get("error")
        if error is None:
            return "taken"
        warn("jetstream", f"the broker cannot take events now ({str(error.get('description'))[:120]}); sent later")
        return "later"

    async def _on_stored(self, message: Any) -> None:
        with contextlib.suppress(ValueError):
            said: object = orjson.loads(message.data)
            each = cast("list[object]", said) if isinstance(said, list) else [said]
            self._arrived.extend(mark for mark in map(watermark, each) if mark is not None)

    async def _on_lost(self) -> None:
        for task in self._publishing:
            task.cancel()

    async def _on_error(self, error: Exception) -> None:
        if self._connecting:
            raise error  # or else nats-py tries again by itself, whatever allow_reconnect says
        said = str(error)
        if "permissions violation" in said.lower():
            self._forbidden_until = time.monotonic() + 30
            warn("forbidden", f"this key may not do that: {said[:200]}")

    async def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.close()

    def _failed(self, kind: str, text: str, at_least_s: float = 0.0) -> None:
        warn(kind, text)
        self._back_off.failed(at_least_s)
