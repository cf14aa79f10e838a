"""B2: no input makes a 500: odd values in every parameter and body of every route."""

from __future__ import annotations

import json
import random
import urllib.parse
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ODD = [
    "", " ", "\x00", "\ud7ff", "😀", "'; DROP TABLE identity.users;--", "../../etc/passwd", "%2e%2e%2f", "%", "%%", "%00", "a" * 5000,
    "-1", "0", "1e400", "NaN", "9" * 40, "null", "[]", "{}", "\r\nX-Injected: 1", "\u202egnp", "${7*7}", "{{7*7}}", "\\", "_", "*", ">",
]  # fmt: skip
_NEVER_ASK = {("POST", "/api/auth/logout")}


def parameters(
    operation: dict[str, Any], chance: random.Random
) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    path, query, headers = {}, {}, {}
    for one in operation.get("parameters", []):
        value = chance.choice(ODD)
        if one["in"] == "path":
            path[one["name"]] = urllib.parse.quote(value, safe="", errors="replace") or "x"
        elif one["in"] == "query":
            query[one["name"]] = [value, chance.choice(ODD)] if chance.random() < 0.2 else value
        elif value.isascii() and value.isprintable() and value == value.strip():
            headers[one["name"]] = value
    return path, query, headers


def test_odd_parameters_never_make_a_fault_of_ours(door):
    chance = random.Random(20261121)
    client = door.client(door.admin["token"])
    document = client.get("/api/openapi.json").json()
    seen: dict[int, int] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if (method.upper(), path) in _NEVER_ASK or path == "/readyz":
                continue
            for _ in range(25):
                in_path, query, headers = parameters(operation, chance)
                body = {
                    "json": chance.choice(
                        [
                            None,
                            [],
                            {},
                            "x",
                            5,
                            {"username": chance.choice(ODD), "name": chance.choice(ODD), "password": 5},
                        ]
                    )
                }
                filled = path
                for name, value in in_path.items():
                    filled = filled.replace(f"{{{name}}}", value)
                with client.stream(
                    method, filled, params=query, headers=headers, **(body if method != "get" else {})
                ) as answer:
                    seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
                    assert answer.status_code < 500, (method, filled, query, body)
                    assert "x-injected" not in answer.headers
    print(dict(sorted(seen.items())))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["kind", "event_id", "batch_id", "job_id", "attempt", "seq", "occurred_at", "data", "version", "v", "events",
                          "producer_id", "class", "first_seq", "schema_version", "event_type", "timestamp", "source"])  # fmt: skip
VALUES = JSON | st.sampled_from(["job_epoch", "log_line", "batch_start", "1.1", "b1", "2026-11-21T03:00:00Z", "lifecycle", 2, "p",
                                 "0190a1b2-0000-7000-8000-000000000001", {"line": "x"}, {"metrics": {"a": 1.0}}])  # fmt: skip
CALM = [
    HealthCheck.function_scoped_fixture,
    HealthCheck.too_slow,
]  # how fast examples are made says how busy the machine is
EVENTISH = st.dictionaries(FIELDS, VALUES, max_size=10)


@given(
    body=JSON
    | EVENTISH
    | st.lists(EVENTISH, max_size=5)
    | st.fixed_dictionaries({"events": st.lists(EVENTISH, max_size=4)})
)
@settings(max_examples=400, deadline=None, suppress_health_check=CALM)
def test_posted_nonsense_is_refused_or_taken_and_never_a_fault(door, body):
    client = getattr(door, "fuzz_client", None) or door.client(door.admin["token"])
    door.fuzz_client = client
    content = json.dumps(body).encode()
    for path in ("/api/events", "/api/events/batch"):
        answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 403, 413, 415, 422), (answer.status_code, answer.text)
    bundle = client.post("/api/events/bundle", content=content, headers={"Content-Type": "application/x-ndjson"})
    assert len(bundle.json()["documents"]) == 1, bundle.text


@given(content=st.binary(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=CALM)
def test_posted_bytes_are_refused(door, content):
    client = getattr(door, "fuzz_client", None) or door.client(door.admin["token"])
    door.fuzz_client = client
    for path in ("/api/events", "/api/events/batch", "/api/events/bundle", "/api/auth/login"):
        answer = client.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (200, 401, 413, 415, 422, 429), (answer.status_code, answer.text)
