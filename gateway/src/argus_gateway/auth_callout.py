"""Who connects to NATS with an API key may publish as that key's user, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from argus_contracts.errors import Unavailable
from argus_contracts.quantities import MAX_MESSAGE_BYTES
from argus_contracts.subjects import own_events, stored_subject
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.keys import Keys
from argus_gateway.metrics import Metrics
from argus_gateway.nats_clients import NatsClient, NatsClients
from argus_gateway.nats_connection import NatsConnection
from argus_gateway.nats_tokens import AuthRequest, BadToken, Issuer, read_request
from argus_gateway.settings import Settings

logger = logging.getLogger(__name__)

ACCOUNT = "ARGUS"
_ASKED_ON = "$SYS.REQ.USER.AUTH"
_HEADROOM = 16 * 1024  # headers and the envelope around a full message
_SHORT_GRANT_S = 60
_LOOK_AT_MOST_EVERY_S = 1.0


def permissions_of(caller: Caller) -> dict[str, Any]:
    """Publish own events, hear own watermarks, hear one's own inbox; ask the server who one is."""
    if caller.key_id is None or caller.key_workspace is None:
        raise ValueError("only keys connect to NATS")
    return {
        "pub": {"allow": [own_events(caller.key_workspace, caller.user), "$SYS.REQ.USER.INFO"]},
        "sub": {"allow": [f"_INBOX_{caller.key_id}.>", stored_subject(caller.key_workspace, caller.user)]},
        "subs": 20,  # nats-server 2.15 looks at no limit of a callout's answer; its own configuration holds for everybody
        "data": -1,
        "payload": MAX_MESSAGE_BYTES + _HEADROOM,
    }


class AuthCallout:
    def __init__(self, nats: NatsConnection, keys: Keys, metrics: Metrics, settings: Settings) -> None:
        self._nats, self._keys, self._metrics = nats, keys, metrics
        self._issuer = Issuer(settings.nats_issuer_seed.get_secret_value())
        self._grant_seconds, self._check_every_s = settings.nats_grant_seconds, settings.rights_check_seconds
        self._clients = NatsClients(nats)
        self._answering: set[asyncio.Task[None]] = set()
        self._most, self._looked_at = settings.nats_connections_per_key, 0.0
        self._held: Counter[str] = Counter()
        """Connections by key: those of the last look, and those that were let in since it began."""
        self._meanwhile: list[Counter[str]] = []
        """Of each look that goes on: who was let in since it began."""
        keys.on_change.append(self._end_revoked_quietly)

    async def listen(self) -> None:
        """Answers from now on. Where connections cannot be cut, they are granted for a minute only."""
        if not await self._clients.can_end():
            self._grant_seconds = min(self._grant_seconds, _SHORT_GRANT_S)
            logger.warning(
                "this NATS does not let the gateway end connections ($SYS.REQ.SERVER.*.KICK): a connection stands for %d s,"
                " then it must show its key again",
                self._grant_seconds,
            )
        await self._nats.subscribe(_ASKED_ON, self._react, queue="gateway")

    async def _react(self, message: Msg) -> None:
        task = asyncio.create_task(self._answer(message))  # one slow look-up keeps nobody else waiting
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, message: Msg) -> None:
        try:
            request = read_request(message.data)
        except BadToken as error:
            self._metrics.callouts.labels("bad_request").inc()
            logger.warning("a request for NATS rights that no server has signed (%s)", error)
            return
        try:
            answer, result = await self._decide(request)
            await message.respond(answer)
        except Unavailable as error:  # no answer: the client hears that it took too long, and tries again
            result = "unavailable"
            logger.warning("a NATS client waits in vain: %s", error)
        except nats.errors.Error as error:
            result = "unavailable"
            logger.warning("an answer to NATS was lost (%s)", type(error).__name__)
        self._metrics.callouts.labels(result).inc()

    async def _decide(self, request: AuthRequest) -> tuple[bytes, str]:
        caller = await self._keys.caller_of(request.auth_token) if request.auth_token else None
        if caller is None or caller.key_id is None:
            return self._issuer.refuse(request, "the API key is unknown, revoked or expired"), "refused"
        if self._held[caller.key_id] >= self._most and await self._has_too_many(caller.key_id):
            return self._issuer.refuse(request, f"this API key has {self._most} connections already"), "too_many"
        for counted in (self._held, *self._meanwhile):
            counted[caller.key_id] += 1
        answer = self._issuer.allow(request, ACCOUNT, caller.key_id, permissions_of(caller), self._grant_seconds)
        return answer, "allowed"

    async def _has_too_many(self, key_id: str) -> bool:
        """By a look at who is connected now; a storm of refused connections does not become one of looks."""
        if time.monotonic() - self._looked_at >= _LOOK_AT_MOST_EVERY_S:
            self._looked_at = time.monotonic()
            await self._by_callout()
        return self._held[key_id] >= self._most

    async def _by_callout(self) -> list[NatsClient]:
        """Who is connected with a key. What is granted while the servers are asked is not among their answers, and counts too."""
        meanwhile: Counter[str] = Counter()
        self._meanwhile = [*self._meanwhile, meanwhile]
        try:
            connected = [client for client in await self._clients.connected() if client.by_callout]
        finally:
            self._meanwhile = [other for other in self._meanwhile if other is not meanwhile]
        self._held = Counter(client.user for client in connected) + meanwhile
        return connected

    async def end_revoked(self) -> int:
        """Connections of keys that no longer stand have been cut; how many."""
        connected = await self._by_callout()
        if not connected:
            return 0
        held = {client.user for client in connected}
        gone = held - await self._keys.live_among(sorted(held))
        ended = [client for client in connected if client.user in gone and await self._clients.end(client)]
        if ended:
            logger.info("ended %d NATS connections of keys that no longer stand", len(ended))
        return len(ended)

    async def _end_revoked_quietly(self) -> None:
        try:
            await self.end_revoked()
        except Unavailable as error:
            logger.warning("NATS connections could not be checked: %s", error)

    async def watch(self) -> None:
        """Runs for ever: keys that somebody else revoked (another gateway, the command line) lose their connections too."""
        while True:
            await asyncio.sleep(self._check_every_s)
            await self._end_revoked_quietly()
