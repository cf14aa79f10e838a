"""Who is connected to NATS in our account, and ending such a connection. Asked of the servers themselves, never remembered."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

import nats.errors
import orjson
from nats.aio.msg import Msg

from argus_contracts.errors import Unavailable
from argus_gateway.nats_connection import NatsConnection

logger = logging.getLogger(__name__)

_LIST = "$SYS.REQ.SERVER.PING.CONNZ"  # the servers answer for the asker's account only
_PAGE = 1024
_SILENCE_S = 0.25  # after which no further server of a cluster will answer


@dataclass(frozen=True, slots=True)
class NatsClient:
    server_id: str
    client_id: int
    user: str
    by_callout: bool


class NatsClients:
    """The account needs two rights: to publish on `$SYS.REQ.SERVER.PING.CONNZ`, and the system account's service
    `$SYS.REQ.SERVER.*.KICK`, imported."""

    def __init__(self, nats: NatsConnection) -> None:
        self._nats = nats

    async def connected(self) -> list[NatsClient]:
        found: list[NatsClient] = []
        offset, more = 0, True
        while more:
            more = False
            for page in await self._ask_all(_LIST, {"auth": True, "limit": _PAGE, "offset": offset}):
                connections: list[dict[str, Any]] = page.get("connections") or []
                found += [
                    NatsClient(
                        page["server_id"], one["cid"], one.get("authorized_user", ""), bool(one.get("issuer_key"))
                    )
                    for one in connections
                ]
                more = more or offset + len(connections) < page.get("total", 0)
            offset += _PAGE
        return found

    async def end(self, client: NatsClient) -> bool:
        """The connection has been cut; its owner may reconnect if somebody lets it. False: that is not in our rights."""
        body = orjson.dumps({"cid": client.client_id})
        try:
            reply = await self._nats.client.request(f"$SYS.REQ.SERVER.{client.server_id}.KICK", body, timeout=2)
        except (nats.errors.Error, TimeoutError):
            return False
        said = orjson.loads(reply.data)
        return "error" not in said or said["error"].get("description") == "no such client or leafnode id"

    async def can_end(self) -> bool:
        """Does a server take the wish to cut a connection (one that does not exist)?"""
        clients = await self.connected()
        return bool(clients) and await self.end(NatsClient(clients[0].server_id, 0, "", by_callout=False))

    async def _ask_all(self, subject: str, question: dict[str, Any]) -> list[dict[str, Any]]:
        """The answer of every server."""
        client = self._nats.client
        answers: asyncio.Queue[bytes] = asyncio.Queue()

        async def keep(message: Msg) -> None:
            answers.put_nowait(message.data)

        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=keep)
        said: list[dict[str, Any]] = []
        try:
            await client.publish(subject, orjson.dumps(question), reply=inbox)
            while True:
                raw = await asyncio.wait_for(answers.get(), _SILENCE_S if said else 2.0)
                decoded: dict[str, Any] = orjson.loads(raw)
                said.append(decoded.get("data") or decoded)
        except TimeoutError:
            return said
        except nats.errors.Error as error:
            raise Unavailable(f"NATS does not say who is connected ({type(error).__name__})") from None
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()
