"""The tokens of the auth callout: whose signature counts, and what the answers promise."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any

import nkeys
import orjson
import pytest

from argus_gateway.nats_tokens import AuthRequest, BadToken, Issuer, read_request

ASKED = {
    "user_nkey": "UUSER", "server_id": {"id": "NSERVER"}, "client_info": {"id": 7, "name": "sdk"},
    "connect_opts": {"auth_token": "ak_x"},
}  # fmt: skip


def encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def decode(part: bytes) -> dict[str, Any]:
    return orjson.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))


def a_server(prefix: int = nkeys.PREFIX_BYTE_SERVER) -> Any:
    return nkeys.from_seed(bytes(nkeys.encode_seed(secrets.token_bytes(32), prefix)))


def a_request(server: Any, header: dict[str, Any] | None = None, signer: Any = None, **claims: Any) -> bytes:
    """As a server asks, unless the arguments say otherwise."""
    head = {"typ": "JWT", "alg": "ed25519-nkey", **(header or {})}
    body = {"iss": server.public_key.decode(), "aud": "nats-authorization-request", "nats": ASKED, **claims}
    signed = encode(orjson.dumps(head)) + b"." + encode(orjson.dumps(body))
    return signed + b"." + encode((signer or server).sign(signed))


def test_what_a_server_asks_is_read() -> None:
    request = read_request(a_request(a_server()))
    assert request == AuthRequest("UUSER", "NSERVER", 7, "ak_x", "sdk")


def test_whatever_no_server_has_signed_is_no_request() -> None:
    server, stranger, account = a_server(), a_server(), a_server(nkeys.PREFIX_BYTE_ACCOUNT)
    good = a_request(server)
    head, body, signature = good.split(b".")
    none = encode(orjson.dumps({"typ": "JWT", "alg": "none"}))
    for forged in (
        b"", b".", b"..", b"a.b.c", good[:-2], good[: len(good) // 2], good + b".x", head + b"." + body + b".", none + b"." + body + b".",
        a_request(server, signer=stranger), a_request(account), a_request(server, {"alg": "none"}), a_request(server, {"alg": "HS256"}),
        a_request(server, {"alg": "RS256", "kid": "../../../dev/null"}), a_request(server, {"alg": "ed25519"}),
        a_request(server, {"jwk": {"kty": "oct", "k": "AA"}, "jku": "http://127.0.0.1/"}, signer=stranger),
        a_request(server, iss=stranger.public_key.decode()), a_request(server, iss="N" * 56), a_request(server, iss=None),
        a_request(server, aud="ARGUS"), a_request(server, nats=None), a_request(server, nats={}),
        head + b"." + encode(orjson.dumps(decode(body) | {f"c{n}": n for n in range(10_000)})) + b"." + signature,
    ):  # fmt: skip
        with pytest.raises(BadToken):
            read_request(forged)


@pytest.mark.parametrize("seconds", [10, 86_400])
def test_an_answer_is_for_one_connection_of_one_server_and_ends(seconds: int) -> None:
    issuer = Issuer(bytes(nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_ACCOUNT)).decode())
    request = read_request(a_request(a_server()))
    answer = issuer.allow(request, "ARGUS", "key1", {"pub": {"allow": ["argus.events.w.u.*"]}}, seconds)
    said = decode(answer.split(b".")[1])
    assert (said["iss"], said["sub"], said["aud"]) == (issuer.public_key, "UUSER", "NSERVER")
    assert said["nats"]["type"] == "authorization_response"
    user = decode(said["nats"]["jwt"].encode().split(b".")[1])
    assert (user["iss"], user["sub"], user["aud"], user["name"]) == (issuer.public_key, "UUSER", "ARGUS", "key1")
    assert user["exp"] - user["iat"] == seconds <= 24 * 3600
    assert abs(user["iat"] - time.time()) < 60
    assert user["nats"]["pub"] == {"allow": ["argus.events.w.u.*"]}
    refused = decode(issuer.refuse(request, "no").split(b".")[1])
    assert (refused["nats"]["error"], "jwt" in refused["nats"]) == ("no", False)
