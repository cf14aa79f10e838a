"""What holds for every request: CSRF, hosts, headers, problems, limits, the UI's files."""

from __future__ import annotations

import json
import urllib.parse

import pytest

_NEEDED_HEADERS = {
    "content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy", "x-request-id",
    "cross-origin-opener-policy", "cross-origin-resource-policy",
}  # fmt: skip


def openapi(door) -> dict:
    return door.client().get("/api/openapi.json").json()


def test_every_changing_route_refuses_a_cookie_without_the_csrf_token(door, address_of):
    person = door.new_person()
    other = door.new_person()
    for method, path, _ in door.routes():
        if method in ("GET", "HEAD") or path == "/api/auth/login":
            continue
        for headers in ({}, {"X-Argus-CSRF": "wrong"}, {"X-Argus-CSRF": other.csrf}, {"X-Argus-CSRF": ""}):
            answer = person.client.request(method, address_of(path), json={}, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "csrf_failed"), (method, path, headers)


def test_another_site_cannot_do_anything_even_with_the_token(door):
    person = door.new_person()
    for headers in (
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Origin": f"{door.url}.evil.example"},
    ):  # fmt: skip
        assert person.post("/api/keys", json={"name": "x"}, headers=headers).json()["code"] == "csrf_failed", headers
        login = {"username": person.name, "password": person.password}
        assert door.client().post("/api/auth/login", json=login, headers=headers).status_code == 403
    ours = {"Origin": door.url, "Sec-Fetch-Site": "same-origin"}
    assert person.post("/api/keys", json={"name": "x"}, headers=ours).status_code == 201


def test_no_get_changes_anything_and_no_method_can_be_overridden(door):
    person = door.new_person()
    key_id = person.post("/api/keys", json={"name": "x"}).json()["id"]
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert person.client.get(f"/api/keys/{key_id}", headers={header: "DELETE"}).status_code == 405
        assert (
            person.client.get("/api/keys", params={"_method": "DELETE"}, headers={header: "DELETE"}).status_code == 200
        )
    assert len(person.get("/api/keys").json()["items"]) == 1


def test_a_form_that_looks_like_json_signs_nobody_in(door):
    body = json.dumps({"username": "admin", "password": door.admin["password"]})
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = door.client().post("/api/auth/login", content=body, headers={"Content-Type": content_type})
        assert answer.status_code == 422, content_type
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "a b", "evil@localhost", ""]
)
def test_a_host_that_is_not_ours_is_refused(door, host):
    status, _, body = door.raw(f"GET /api/auth/me HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert status in (400, 421)
    assert b"evil" not in body


def test_forwarded_and_absolute_hosts_change_nothing(door):
    answer = door.client().get(
        "/api/auth/me", headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    )
    assert answer.status_code == 401
    assert "evil" not in answer.text
    port = urllib.parse.urlsplit(door.url).port
    status, _, _ = door.raw(
        f"GET http://evil.example/api/auth/me HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n".encode(),
    )
    assert status == 421
    for name in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST"):
        status, _, _ = door.raw(
            f"GET /api/auth/me HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        assert status == 401, name


def test_security_headers_stand_on_every_answer_whatever_it_is(door, address_of, built_ui):
    client = door.client()
    person = door.new_person()
    answers = [client.request(method, address_of(path)) for method, path, _ in door.routes() if path != "/api/stream"]
    answers += [
        client.get("/"), client.get("/assets/index-4f3a9c.js"), client.get("/assets/none.js"), client.get("/api/none"),
        client.post("/"), client.request("TRACE", "/api/keys"), client.get("/api/docs"), person.get("/api/auth/me"),
        person.get("/api/stream"), client.get("/api/auth/me", headers={"Host": "evil.example"}),
    ]  # fmt: skip
    with person.client.stream("GET", "/api/stream", params={"topics": "dashboard"}) as stream:
        answers.append(stream)
        for answer in answers:
            missing = _NEEDED_HEADERS - set(answer.headers)
            assert not missing, (answer.url, answer.status_code, missing)
            policy = answer.headers["content-security-policy"]
            for word in (
                "default-src 'self'",
                "script-src 'self'",
                "object-src 'none'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ):
                assert word in policy
            assert "unsafe" not in policy
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "server" not in answer.headers
            if "/api/" in str(answer.url):
                assert answer.headers["cache-control"] == "no-store"
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in stream.headers


def test_every_error_is_a_problem_with_a_code_and_a_request_id(door):
    client = door.client()
    cases = [
        (client.get("/api/nowhere"), 404, "not_found"),
        (client.get("/api/auth/me/more"), 404, "not_found"),
        (client.get("/api/auth/me"), 401, "not_signed_in"),
        (client.delete("/api/auth/login"), 405, "method_not_allowed"),
        (client.post("/api/auth/login", json={"username": 5}), 422, "bad_request"),
        (client.post("/api/auth/login", content=b"{"), 422, "bad_request"),
        (client.post("/api/auth/login", content=b"\xff\xfe", headers={"Content-Type": "application/json"}), 422, "bad_request"),
        (client.post("/api/auth/login", content=b'{"username":"\\ud800","password":"x"}', headers={"Content-Type": "application/json"}), 422, "bad_request"),
        (client.post("/api/auth/login", content=b"[" * 30_000, headers={"Content-Type": "application/json"}), 422, "bad_request"),
        (client.post("/api/auth/login", content=b"x" * 70_000, headers={"Content-Type": "application/json"}), 413, "too_large"),
    ]  # fmt: skip
    for answer, status, code in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        said = answer.json()
        assert (said["status"], said["code"]) == (status, code)
        assert said["request_id"] == answer.headers["x-request-id"]
        assert {"type", "title", "detail"} <= set(said)
    fields = [error["field"] for error in cases[4][0].json()["errors"]]
    assert fields == ["body.username", "body.password"]


def test_a_body_without_a_length_is_limited_too(door):
    def pieces():
        for _ in range(100):
            yield b"x" * 1000

    assert door.client().post("/api/auth/login", content=pieces()).status_code == 413


def test_a_password_never_comes_back_in_an_error(door):
    answer = door.client().post("/api/auth/login", json={"username": [], "password": "do-not-repeat-me"})
    assert "do-not-repeat-me" not in answer.text


def test_a_request_id_is_taken_over_only_where_it_is_harmless(door):
    client = door.client()
    assert client.get("/healthz", headers={"X-Request-Id": "abc-12345678"}).headers["x-request-id"] == "abc-12345678"
    for bad in ("short", "with space in it", "x" * 200, "<script>alert(1)</script>"):
        assert client.get("/healthz", headers={"X-Request-Id": bad}).headers["x-request-id"] != bad


def test_the_ui_is_served_with_lasting_assets_and_a_fresh_index(door, built_ui):
    client = door.client()
    for path in ("/", "/runs/", "/runs/abc", "/jobs/a/b%2Fc", "/index.html"):
        page = client.get(path)
        assert (page.status_code, "the page" in page.text) == (200, True), path
        assert page.headers["cache-control"] == "no-cache"
    asset = client.get("/assets/index-4f3a9c.js", headers={"Accept-Encoding": "gzip"})
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-encoding"] == "gzip"
    assert client.get("/favicon.svg").headers["content-type"].startswith("image/svg+xml")
    again = client.get("/", headers={"If-None-Match": client.get("/").headers["etag"]})
    assert again.status_code == 304
    assert client.get("/assets/none.js").status_code == 404
    assert client.head("/").status_code == 200
    assert client.post("/runs/").status_code == 405


@pytest.mark.parametrize(
    "path",
    ["/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/assets/%2e%2e%2f%2e%2e%2fsecret.txt",
     "/..%5csecret.txt", "/%252e%252e%252fsecret.txt", "//secret.txt", "/secret.txt%00", "/link.txt", "/assets/..;/../secret.txt"],
)  # fmt: skip
def test_no_path_leads_out_of_the_ui_folder(door, built_ui, path):
    status, _, body = door.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert b"SECRET" not in body
    assert status in (200, 404)


def test_the_documentation_loads_nothing_from_elsewhere(door):
    client = door.client()
    page = client.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    for path in ("/api/docs", "/api/docs.js", "/api/docs.css"):
        text = client.get(path).text
        assert "https://" not in text
        assert "http://" not in text
        assert "innerHTML" not in text
    assert "<script src" in page.text
    assert openapi(door)["openapi"].startswith("3.")


def test_metrics_name_no_one_and_no_path_that_somebody_typed(door):
    person = door.new_person()
    person.get("/api/batches/secret-batch-name")
    person.get("/typed-by-somebody")
    page = door.client(door.metrics_token).get("/metrics").text
    assert "argus_gateway_requests_total" in page
    assert 'route="/api/auth/login"' in page
    for word in (person.name, "secret-batch-name", "typed-by-somebody"):
        assert word not in page


def test_gzip_for_long_json_only(door):
    client = door.client()
    assert client.get("/api/openapi.json", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers
