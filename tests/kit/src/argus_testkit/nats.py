"""Connections to a test's NATS server, and an auth callout for tests of one service without the gateway."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import time
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import nkeys
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import UnexpectedEOF

from argus_contracts.subjects import EVENTS_STREAM
from argus_local.nats import ACCOUNT, issuer_public_key
from argus_local.servers import NatsServer
from argus_testkit.waiting import eventually_async

ANSWER_S = 30.0
"""How long JetStream may take for an answer: a safety net, where nats-py gives up after 5 s."""

CONNECT_SECONDS = 4
"""Less than the 5 s after which the server gives up on whoever has not been let in."""


class TidyClient(Client):
    """nats-py 2.16 forgets to close the socket of a connection that the server refuses: whoever collects it then is warned,
    and warnings are errors here. And where the server gives up on a connection that it has not let in within 5 s, nats-py takes
    that for an answer, and believes for minutes that it is connected."""

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
        except BaseException:
            self._forget_socket()
            raise
        if not self.is_connected:
            for task in (self._reading_task, self._ping_interval_task, self._flusher_task):
                if task is not None:
                    task.cancel()
            self._forget_socket()
            raise UnexpectedEOF

    def _forget_socket(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def connect(url: str, **options: Any) -> Client:
    """As `nats.connect`, and tidy."""
    client = TidyClient()
    await client.connect(url, **options)
    return client


@asynccontextmanager
async def nats_client(server: NatsServer, user: str = "admin", **options: Any) -> AsyncIterator[Client]:
    """A connection as an internal user, with the inbox prefix that this user's permissions ask for."""
    settings = server.settings
    client = await connect(
        settings.url,
        user=user,
        password=settings.passwords[user],
        inbox_prefix=f"_INBOX_{user}".encode(),
        **{"connect_timeout": CONNECT_SECONDS, **options},
    )
    client.jetstream = partial(client.jetstream, timeout=ANSWER_S)
    try:
        yield client
    finally:
        await client.close()


@dataclass
class Heard:
    """What a connection's server said and did since it had let the connection in."""

    errors: list[str] = field(default_factory=list)
    closed: bool = False
    disconnected: int = 0

    async def error(self, error: Exception) -> None:
        self.errors.append(str(error))

    async def closes(self) -> None:
        self.closed = True

    async def disconnects(self) -> None:
        self.disconnected += 1


@asynccontextmanager
async def key_client(server: NatsServer, token: str, **options: Any) -> AsyncIterator[tuple[Client, Heard]]:
    """A connection as the SDK makes it: the API key as token, an inbox of its own."""
    heard = Heard()
    client = await connect(
        server.settings.url, token=token, inbox_prefix=f"_INBOX_{token.split('_')[1]}".encode(), error_cb=heard.error,
        closed_cb=heard.closes, disconnected_cb=heard.disconnects, reconnect_time_wait=0.2, connect_timeout=CONNECT_SECONDS,
        **options,
    )  # fmt: skip
    heard.errors.clear()  # a first try that took too long on a busy machine
    try:
        yield client, heard
    finally:
        await client.close()


@dataclass(frozen=True)
class TokenRights:
    """What the holder of one token may say and hear."""

    publish: Iterable[str]
    subscribe: Iterable[str]
    name: str = "someone"


@dataclass
class AuthCallout:
    """Answers the server's questions about tokens from a plain table. The whole stack uses the gateway's instead."""

    seed: str
    rights: Mapping[str, TokenRights]
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: Msg) -> None:
        question = decode_claims(request.data.decode())["nats"]
        self.asked.append(question)
        user_key = question["user_nkey"]
        known = self.rights.get(question.get("connect_opts", {}).get("auth_token", ""))
        body: dict[str, Any] = {"type": "authorization_response", "version": 2}
        if known is None:
            body["error"] = "unknown token"
        else:
            grants = {"pub": {"allow": list(known.publish)}, "sub": {"allow": list(known.subscribe)}}
            limits = {"subs": -1, "data": -1, "payload": -1}
            user = {"type": "user", "version": 2, **limits, **grants}
            body["jwt"] = signed_jwt(self.seed, {"sub": user_key, "aud": ACCOUNT, "name": known.name, "nats": user})
        answer = {"sub": user_key, "aud": question["server_id"]["id"], "nats": body}
        await request.respond(signed_jwt(self.seed, answer).encode())


@asynccontextmanager
async def auth_callout(server: NatsServer, rights: Mapping[str, TokenRights]) -> AsyncIterator[AuthCallout]:
    """Meanwhile a connection with `auth_token` of `rights` is let in with these rights, and any other one is refused."""
    callout = AuthCallout(server.settings.issuer_seed, rights)
    async with nats_client(server, "gateway") as client:
        await client.subscribe("$SYS.REQ.USER.AUTH", cb=callout.answer)
        await settled(client)
        yield callout


async def drained(client: Client, stream: str = EVENTS_STREAM) -> None:
    """Every message of the work queue `stream` is acknowledged: whoever reads it has dealt with all that was said so far.

    Its effects may show a moment earlier. Until then it may be delivered once more.
    """

    async def is_empty() -> bool:
        return (await client.jetstream().stream_info(stream)).state.messages == 0

    await eventually_async(is_empty, within=120, what=f"the stream {stream} is empty")  # more than two `ack_wait`


async def settled(client: Client) -> None:
    """The server has taken in all that `client` has published and subscribed so far.

    One `flush()` of nats-py 2.16 does not tell that: it writes its PING at once, past the commands that its flusher
    still holds. The second PING comes after them.
    """
    await client.flush()
    await client.flush()


@contextmanager
def refused_connections() -> Iterator[None]:
    """Around connections that the server refuses: nats-py 2.16 forgets to close their socket, and warnings are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


def signed_jwt(seed: str, claims: Mapping[str, Any]) -> str:
    """`claims` as a NATS JWT (ed25519-nkey), issued now by the account of `seed`."""
    whole = {**claims, "iss": issuer_public_key(seed), "iat": int(time.time())}
    whole["jti"] = (
        base64.b32encode(hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).digest()).decode().rstrip("=")
    )
    signing = ".".join(_encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, whole))
    return f"{signing}.{_encoded(nkeys.from_seed(seed.encode()).sign(signing.encode()))}"


def decode_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, its signature unchecked: the sender is the server that we started."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
