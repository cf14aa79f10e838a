"""W2: nothing that a page of another site can make a browser do has an effect: over every route that changes something."""

from __future__ import annotations

from typing import Any

SAFE = ("GET", "HEAD", "OPTIONS")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "_")


def state_of(door: Any, user: str) -> list[Any]:
    """All that a request of this user's could change in the gateway's own tables, bar the traces of being asked, and in the
    log: there only what stands in this user's name, as what others have posted before may still be on its way."""
    return door.sql(
        "SELECT (SELECT count(*) FROM identity.users), (SELECT count(*) FROM identity.workspaces), (SELECT count(*) FROM identity.memberships),"
        " (SELECT count(*) FROM identity.api_keys WHERE revoked_at IS NULL), (SELECT count(*) FROM identity.users WHERE disabled_at IS NULL),"
        " (SELECT md5(string_agg(password_hash, '' ORDER BY name)) FROM identity.users), (SELECT count(*) FROM log.record_batches WHERE user_name = %s)",
        user,
    )


# What a foreign page can make a browser send with the session cookie, and what a forger without a browser would add.
FOREIGN = [
    {},  # an old browser, a top-level form: no Origin, no Sec-Fetch-Site
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate"}, {"Referer": "https://evil.example/"},
]  # fmt: skip
BODIES = [
    ("application/x-www-form-urlencoded", b"name=x&role=admin&disabled=false"), ("text/plain", b'{"name":"x","role":"admin"}'),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--x--'), ("", b'{"name":"x"}'),
    ("application/json", b'{"name":"x","username":"x","role":"admin","disabled":false}'),
]  # fmt: skip


def test_no_foreign_page_changes_anything_by_any_route(door, address_of):
    """Every changing route × what a browser sends for a foreign page, as a global administrator: refused before it is read."""
    victim = door.new_person("main", global_admin=True)
    before, n_asked = state_of(door, victim.name), 0
    for method, path, _ in door.routes():
        if method in SAFE or path == "/api/auth/login":
            continue
        for headers in FOREIGN:
            content_type, body = BODIES[n_asked % len(BODIES)]
            answer = victim.client.request(
                method, address_of(path, victim.name), content=body, headers={"Content-Type": content_type, **headers}
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed"), (method, path, headers)
            n_asked += 1
    assert state_of(door, victim.name) == before
    assert victim.get("/api/auth/me").status_code == 200  # not even signed out
    print(f"{n_asked} forged requests, 0 effects")


def test_a_form_with_the_token_is_still_no_json(door, address_of):
    """Who knows the token can send what they want; what a form can send is not what a route takes."""
    person = door.new_person("main", global_admin=True)
    for method, path, operation in door.routes():
        if method in SAFE or "requestBody" not in operation or path == "/api/auth/login":
            continue
        for content_type, body in BODIES[:3]:
            answer = person.client.request(
                method,
                address_of(path, "nothing"),
                content=body,
                headers={"Content-Type": content_type, "X-Argus-CSRF": person.csrf},
            )
            assert answer.status_code in (404, 415, 422), (method, path, content_type, answer.text)


def test_nothing_but_the_published_methods_is_taken(door, address_of):
    """Every other method on every address is refused, with a cookie and with a key, and changes nothing."""
    person = door.new_person("main", global_admin=True)
    before = state_of(door, person.name)
    taken: dict[str, set[str]] = {}
    for method, path, _ in door.routes():
        taken.setdefault(path, set()).add(method)
    for path, known in taken.items():
        for method in set(METHODS) - known - {"CONNECT"}:
            answer = person.client.request(method, address_of(path, "nothing"), headers={"X-Argus-CSRF": person.csrf})
            assert answer.status_code in (400, 404, 405), (method, path, answer.status_code)
    assert state_of(door, person.name) == before


def test_a_read_with_an_overriding_header_or_parameter_changes_nothing(door, address_of):
    person = door.new_person("main", global_admin=True)
    before = state_of(door, person.name)
    for method, path, _ in door.routes():
        if method != "GET" or path in ("/api/stream", "/readyz"):
            continue
        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
            answer = person.client.get(
                address_of(path), params={"_method": "DELETE"}, headers={name: "DELETE", "X-Argus-CSRF": person.csrf}
            )
            assert answer.status_code in (200, 404, 422), (path, name)
    assert state_of(door, person.name) == before
