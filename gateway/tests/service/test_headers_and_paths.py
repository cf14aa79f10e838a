"""W5, W6: what stands on every answer of every route, and what no path reaches."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

SAFE = ("GET", "HEAD", "OPTIONS")
HEADERS = {  # section 4 of the catalogue: what stands on every answer
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
POLICY = {
    "default-src": "'self'", "script-src": "'self'", "connect-src": "'self'", "object-src": "'none'", "base-uri": "'none'",
    "frame-ancestors": "'none'", "form-action": "'self'",
}  # fmt: skip


def check_headers(answer: Any) -> None:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    about = (str(answer.url), answer.status_code)
    assert {name: headers.get(name) for name in HEADERS} == HEADERS, about
    policy = dict(directive.strip().split(" ", 1) for directive in headers["content-security-policy"].split(";"))
    assert {name: policy.get(name) for name in POLICY} == POLICY, about
    assert "unsafe" not in headers["content-security-policy"]
    assert "*" not in headers["content-security-policy"]
    assert len(headers["x-request-id"]) >= 8
    assert "server" not in headers
    assert "x-powered-by" not in headers
    assert not [name for name in headers if name.startswith("access-control-")], about  # no other origin reads anything
    if "/api" in str(answer.url):
        assert headers["cache-control"] == "no-store", about
    for cookie in answer.headers.get_list("set-cookie"):
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()
        assert "path=/" in cookie.lower()


def test_every_route_has_all_headers_on_every_kind_of_answer(door, address_of):
    """Right, not signed in, forbidden, not found, wrong method, wrong shape, too large, foreign host, preflight, stream, page."""
    person = door.new_person()
    seen: dict[int, int] = {}

    def see(answer: Any) -> None:
        check_headers(answer)
        seen[answer.status_code] = seen.get(answer.status_code, 0) + 1

    for method, path, _ in door.routes():
        address = address_of(path)
        foreign = {
            "Origin": "https://evil.example",
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "x-argus-csrf",
        }
        see(door.client().request(method, address))
        see(person.client.request("OPTIONS", address, headers=foreign))
        see(person.client.request("TRACE", address))
        see(person.client.request(method, address, headers={"Host": "evil.example"}))
        if path == "/api/auth/logout":
            continue
        with person.client.stream(
            method, f"{address}?topics=dashboard", headers={"X-Argus-CSRF": person.csrf, "Origin": door.url}
        ) as answer:
            see(answer)
        if method not in SAFE:
            for body in (b"{", b"x" * (17 * 1024 * 1024 if "events" in path else 70_000)):
                headers = {"X-Argus-CSRF": person.csrf, "Content-Type": "application/json"}
                see(person.client.request(method, address, content=body, headers=headers))
    for address in (
        "/",
        "/runs/x",
        "/assets/none.js",
        "/api",
        "/api/none",
        "/api/docs",
        "/api/docs.js",
        "/..%2f",
        "/%00",
    ):
        see(person.client.get(address))
        see(person.client.post(address))
    login = {"username": person.name, "password": person.password}
    see(door.client().post("/api/auth/login", json=login))
    see(person.post("/api/auth/logout"))
    print(f"{sum(seen.values())} answers: {dict(sorted(seen.items()))}")
    assert {200, 204, 401, 403, 404, 405, 413, 421, 422} <= seen.keys()


@pytest.fixture
def broken_https_door(door, start_service, run_create_admin, database) -> Iterator[tuple[httpx.Client, dict[str, str]]]:
    """A gateway that browsers reach by https, whose table of keys is not what it should be."""
    made = run_create_admin(database)
    assert made.returncode == 0, made.stderr
    env = {
        name: value
        for name, value in door.gateway.whole_env.items()
        if name.startswith("ARGUS_") and name != "ARGUS_PORT"
    }
    gateway = start_service(
        "argus-gateway",
        {**env, "ARGUS_DATABASE_URL": database.gateway_url, "ARGUS_PUBLIC_URL": "https://argus.example"},
        within=60,
    )
    with database.connect() as connection:
        connection.execute("ALTER TABLE identity.api_keys RENAME TO somewhere_else")
    with httpx.Client(base_url=gateway.url, headers={"Host": "argus.example"}, timeout=60) as client:
        yield client, json.loads(made.stdout)


def test_behind_https_cookies_are_locked_to_us_and_a_fault_tells_nothing(broken_https_door):
    """`__Host-`, Secure, HSTS of a year; and a 500 has all headers, an id to look up, and not a word of what broke."""
    client, admin = broken_https_door
    answer = client.post(
        "/api/auth/login",
        json={"username": "admin", "password": admin["password"]},
        headers={"Origin": "https://argus.example"},
    )
    assert answer.status_code == 200, answer.text
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-argus_session")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {word.strip().lower() for word in cookie.split(";")}
    assert "domain" not in cookie.lower()
    fault = client.get("/api/auth/me", headers={"Authorization": "Bearer ak_aaaaaaaaaaaa_" + "a" * 43})
    assert (fault.status_code, fault.json()["code"]) == (500, "internal")
    for word in ("api_keys", "relation", "psycopg", "Traceback", "SELECT"):
        assert word not in fault.text
    for one in (answer, fault, client.get("/"), client.get("/api/none")):
        check_headers(one)
        assert one.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


CLIMBING = [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt", "%252e%252e%252fsecret.txt", "..%5csecret.txt", "..\\secret.txt",
    "%c0%ae%c0%ae%c0%afsecret.txt", "%ef%bc%8e%ef%bc%8e/secret.txt", "..;/secret.txt", "....//secret.txt", "..%00/secret.txt", "secret.txt%00.js", "%2fetc%2fpasswd",
    "/etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "..%c1%9csecret.txt", "%uff0e%uff0e/secret.txt", ".%0d./secret.txt", "%0d%0aX-Injected:%201", "C:%5cwindows%5cwin.ini",
]  # fmt: skip


def test_no_path_leads_out_of_any_parameter_or_file(door, built_ui):
    """Every parameter in a path, and every kind of file, × what climbs: no secret, no fault of ours, no header of theirs."""
    key = door.key_of(door.administrator(), workspace="main", full_rights=True)
    port = urllib.parse.urlsplit(door.url).port
    addresses = {
        ("GET", f"{where}{climb}")
        for where in ("/", "/assets/", "/api/", "/runs/", "/jobs/a/", "/api/docs/")
        for climb in CLIMBING
    }
    for method, path, _ in door.routes():
        places = path.count("{")
        for place in range(places):
            pieces = path.split("{")
            for climb in CLIMBING:
                built = pieces[0] + "".join(
                    (climb if n == place else "nothing") + piece.partition("}")[2] for n, piece in enumerate(pieces[1:])
                )
                addresses.add((method, built))
    seen: dict[int, int] = {}
    for method, address in sorted(addresses):
        head = f"{method} {address} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\nContent-Length: 2\r\nContent-Type: application/json"
        status, headers, said = door.raw(f"{head}\r\nConnection: close\r\n\r\n{{}}".encode())
        seen[status] = seen.get(status, 0) + 1
        assert status in (200, 400, 401, 403, 404, 405, 422), (
            method,
            address,
            status,
        )
        assert b"SECRET" not in said
        assert b"root:" not in said
        assert "x-injected" not in headers
        if status == 200 and address.startswith("/api/"):
            assert headers["content-type"].startswith("application/json"), (method, address)
    print(f"{len(addresses)} addresses: {dict(sorted(seen.items()))}")
