"""W3, W4: requests under foreign names, and tokens that nobody gave out."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse
from collections.abc import Iterator

HOSTS = [
    "evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io", "localhost@evil.example", "localhost:80:80", "localhost evil",
    "[::1", "[::1]]", "::1", "0.0.0.0", "127.1", "2130706433", "0x7f.1", "", "localhost,evil.example", "localhost%00.evil", "xn--lclhost-9za",
]  # fmt: skip


def test_an_address_is_answered_under_our_names_only(door):
    """DNS rebinding: a page of evil.example whose name now means us gets nothing, whatever it asks."""
    login = json.dumps({"username": "admin", "password": door.admin["password"]}).encode()
    for host in HOSTS:
        for line, body in (
            ("GET /api/auth/me", b""),
            ("GET /", b""),
            ("POST /api/auth/login", login),
            ("GET /metrics", b""),
        ):
            head = f"{line} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            status, headers, said = door.raw(head.encode() + body)
            assert status in (400, 421), (host, line, status)
            assert "set-cookie" not in headers
            assert b"evil" not in said


def test_no_forwarding_header_and_no_absolute_address_changes_who_we_are(door):
    """No link and no cookie is built from them, and a second Host is none."""
    login = json.dumps({"username": "admin", "password": door.admin["password"]}).encode()
    evil = {
        "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1", "Forwarded": "host=evil.example;proto=https",
        "X-Original-URL": "/metrics", "X-Rewrite-URL": "/metrics", "X-Host": "evil.example",
    }  # fmt: skip
    answer = door.client().post("/api/auth/login", content=login, headers={"Content-Type": "application/json", **evil})
    assert answer.status_code == 200
    assert "evil" not in str(answer.headers) + answer.text
    assert "Domain" not in answer.headers["set-cookie"]
    assert "location" not in answer.headers
    port = urllib.parse.urlsplit(door.url).port
    for request in (
        "GET http://evil.example/api/auth/me HTTP/1.1\r\nHost: evil.example\r\n",
        f"GET http://evil.example/api/auth/me HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
        f"GET /api/auth/me HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n",
        f"GET //evil.example/api/auth/me HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
        f"GET /\\evil.example HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n",
    ):
        status, headers, said = door.raw(f"{request}Connection: close\r\n\r\n".encode())
        assert status in (200, 400, 401, 404, 421, 503), request  # 200 or 503: the page, which every address has
        assert "location" not in headers
        assert b"evil" not in said


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged_tokens(good: str, other: str) -> list[str]:
    """None of them is `good`."""
    return [token for token in _nearly(good, other) if token.strip() != good]


def _nearly(good: str, other: str) -> Iterator[str]:
    yield from (
        "x",
        "null",
        "undefined",
        "0",
        "-",
        "a" * 43,
        "a" * 20_000,
        "ak_",
        "Bearer",
        "' OR 1=1 --",
        "%00",
        "../../../etc/passwd",
        "..",
    )
    yield from (
        good[:-1],
        good + "x",
        good[1:],
        good.swapcase(),
        good[::-1],
        good[: len(good) // 2],
        f"{good}.{good}",
        f" {good[:-2]}",
    )
    yield good[:16] + other[16:]
    yield good.replace("_", "-")
    now = int(time.time())
    for head in (
        {"alg": "none"},
        {"alg": "HS256", "kid": "../../dev/null"},
        {"alg": "RS256", "jku": "http://127.0.0.1/"},
        {"alg": "ed25519-nkey"},
    ):
        claims = {
            "sub": "admin",
            "user": "admin",
            "exp": now + 600,
            "nbf": now + 600,
            "aud": "argus",
            "global_admin": True,
        }
        yield f"{part(head)}.{part(claims)}."
        yield f"{part(head)}.{part(claims | {f'c{n}': n for n in range(300)})}.{part('x')}"


def test_no_forged_token_opens_anything_and_all_of_them_get_the_same_words(door):
    """Sessions are random references and keys are `ak_…`: there is no token here whose content anybody could forge."""
    person, other = door.new_person(), door.new_person()
    [(cookie, session)] = person.client.cookies.items()
    [other_session] = other.client.cookies.values()
    key, other_key = door.key_of(person), door.key_of(other)
    words: dict[str, set[tuple[int, str, str]]] = {"cookie": set(), "key": set()}
    for path in ("/api/auth/me", "/api/batches", "/api/stream?topics=dashboard"):
        for token in [*forged_tokens(session, other_session), key]:
            answer = door.client().get(path, headers={"Cookie": f"{cookie}={token}"})
            words["cookie"].add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
        for token in [*forged_tokens(key, other_key), session, person.csrf, "ak_" + "a" * 12 + "_" + "a" * 43]:
            answer = door.client().get(path, headers={"Authorization": f"Bearer {token}"})
            words["key"].add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
        for scheme in ("Basic", "Digest", "Bearer", "Token", "ak"):
            answer = door.client().get(
                path, headers={"Authorization": f"{scheme} {base64.b64encode(key.encode()).decode()}"}
            )
            words["key"].add((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert words["cookie"] == {(401, "not_signed_in", "sign in first")}
    assert words["key"] == {(401, "not_signed_in", "the API key is unknown, revoked or expired")}
    assert door.client().get("/api/auth/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200


def test_a_key_in_the_address_is_no_key(door):
    """Tokens in addresses end in logs, histories and Referers: nothing takes one."""
    key = door.key_of(door.new_person())
    for name in ("token", "key", "api_key", "access_token", "authorization"):
        for path in ("/api/auth/me", "/api/stream?topics=dashboard"):
            assert door.client().get(f"{path}{'&' if '?' in path else '?'}{name}={key}").status_code == 401
