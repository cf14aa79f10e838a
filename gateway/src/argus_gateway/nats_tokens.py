"""The signed JSON tokens (algorithm `ed25519-nkey`) of NATS' auth callout. Pure."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import nacl.exceptions
import nacl.signing
import nkeys
import orjson

_HEADER = {"typ": "JWT", "alg": "ed25519-nkey"}
_REQUEST_AUDIENCE = "nats-authorization-request"
_SERVER_PREFIX = "N"


class BadToken(Exception):
    """Not a token that a NATS server has signed."""


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """Who wants to connect."""

    user_nkey: str
    server_id: str
    client_id: int
    auth_token: str
    client_name: str


class Issuer:
    """Signs as the account whose key the server's configuration names as `issuer`."""

    def __init__(self, seed: str) -> None:
        self._pair = nkeys.from_seed(seed.encode())
        self.public_key: str = cast("bytes", self._pair.public_key).decode()

    def allow(
        self, request: AuthRequest, account: str, name: str, permissions: Mapping[str, Any], seconds: int
    ) -> bytes:
        """The connection may stand for `seconds` with these `permissions`."""
        now = int(time.time())
        user = self._sign({
            "sub": request.user_nkey, "aud": account, "name": name, "iat": now, "exp": now + seconds,
            "nats": {"type": "user", "version": 2, **permissions},
        })  # fmt: skip
        return self._answer(request, {"jwt": user.decode()})

    def refuse(self, request: AuthRequest, reason: str) -> bytes:
        return self._answer(request, {"error": reason})

    def _answer(self, request: AuthRequest, said: dict[str, Any]) -> bytes:
        return self._sign({
            "sub": request.user_nkey, "aud": request.server_id, "iat": int(time.time()),
            "nats": {"type": "authorization_response", "version": 2, **said},
        })  # fmt: skip

    def _sign(self, claims: dict[str, Any]) -> bytes:
        claims = {"iss": self.public_key, **claims}
        claims["jti"] = base64.b32encode(hashlib.sha256(orjson.dumps(claims)).digest()).decode().rstrip("=")
        signed = _encode(orjson.dumps(_HEADER)) + b"." + _encode(orjson.dumps(claims))
        return signed + b"." + _encode(self._pair.sign(signed))


def read_request(token: bytes) -> AuthRequest:
    """What a NATS server asks. `BadToken` where no server has signed it: the signature is checked before anything is read."""
    try:
        head, body, signature = token.split(b".")
        header, claims = orjson.loads(_decode(head)), orjson.loads(_decode(body))
        issuer = str(claims["iss"])
        if header.get("alg") != _HEADER["alg"] or not issuer.startswith(_SERVER_PREFIX):
            raise BadToken("another algorithm, or not signed by a server")
        _public_key(issuer).verify(head + b"." + body, _decode(signature))
        if claims["aud"] != _REQUEST_AUDIENCE:
            raise BadToken("another audience")
        asked = cast("dict[str, Any]", claims["nats"])
        options, client = asked.get("connect_opts") or {}, asked.get("client_info") or {}
        return AuthRequest(
            user_nkey=str(asked["user_nkey"]),
            server_id=str(asked["server_id"]["id"]),
            client_id=int(client.get("id") or 0),
            auth_token=str(options.get("auth_token") or options.get("pass") or ""),
            client_name=str(client.get("name") or "")[:100],
        )
    except (ValueError, KeyError, TypeError, AttributeError, nacl.exceptions.CryptoError) as error:
        raise BadToken(type(error).__name__) from None


def _public_key(nkey: str) -> nacl.signing.VerifyKey:
    raw = base64.b32decode(nkey + "=" * (-len(nkey) % 8))  # prefix, 32 bytes, checksum
    if int.from_bytes(raw[-2:], "little") != nkeys.crc16(bytearray(raw[:-2])):
        raise ValueError("checksum")
    return nacl.signing.VerifyKey(raw[1:33])


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
