"""Z1, Z2: every route × every kind of caller × whose thing it is, against the reviewed table of docs/authorisation.md."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from fastapi.routing import APIRoute

from argus_gateway.app import _api
from argus_testkit.documents import read_table

Row = tuple[str, str, str]
"""(method, path, whose thing)"""


ACTORS, _ROWS = read_table("authorisation.md", "HTTP")
TABLE: dict[Row, dict[str, int]] = {
    (*request.split(" ", 1), whose): dict(zip(ACTORS, map(int, cells), strict=True))
    for (request, whose), cells in _ROWS.items()
}


def test_the_table_has_a_row_for_every_route_and_no_other(door):
    included = [route for router in _api().routes for route in router.original_router.routes]  # hidden ones too
    routes = {(method, route.path) for route in included if isinstance(route, APIRoute) for method in route.methods}
    published = door.client().get("/api/openapi.json").json()["paths"]
    assert {(method.upper(), path) for path, methods in published.items() for method in methods} <= routes
    assert {row[:2] for row in TABLE} == routes


def request_of(world: Any, actor: str, row: Row, event: Any) -> tuple[str, dict[str, Any]]:
    """The address, and what goes with it."""
    method, path, whose = row
    options: dict[str, Any] = {}
    user = world.whose(actor, whose) if whose != "–" else None
    values = {
        "page": "docs", "job_id": "j", "batch_id": world.run(actor, whose) if whose != "–" else "", "name": user or "nobody-here",
        "producer_id": user or "nobody-here", "workspace": world.workspace(whose), "user": user or "nobody-here",
    }  # fmt: skip
    match method, path:
        case "POST", "/api/auth/login":
            options["json"] = {"username": f"nobody-{uuid.uuid4().hex}", "password": "x"}
        case "POST", "/api/keys":
            options["json"] = {"name": "x", "workspace": world.workspace(whose)}
        case "POST", "/api/prices":
            options["json"] = {
                "workspace": world.workspace(whose), "instance_type": "p4d", "capacity": "spot", "usd_per_hour": 9.5,
                "effective_from": "2026-11-01T00:00:00Z",
            }  # fmt: skip
        case "POST", "/api/users":
            options["json"] = {"username": f"u{uuid.uuid4().hex[:10]}"}
        case "PATCH", "/api/users/{name}":
            options["json"] = {"disabled": False}
        case "POST", "/api/workspaces":
            options["json"] = {"name": f"w{uuid.uuid4().hex[:10]}"}
        case "PUT", "/api/workspaces/{workspace}/members/{user}":
            options["json"] = {"role": world.role_at_home(user)}
        case "DELETE", "/api/keys/{key_id}":
            values["key_id"] = world.new_key(user, world.abroad if whose == "foreign" else world.home)
        case "POST", "/api/events" | "/api/events/batch":
            said = event(batch_id=world.run(actor, whose))
            options["json"] = said if path == "/api/events" else [said]
        case "POST", "/api/events/bundle":
            said = event(batch_id=world.run(actor, whose))
            options["content"] = json.dumps({"v": 2, "class": "lifecycle", "events": [said]})
        case "GET", "/api/outputs":
            options["params"] = {"location": f"s3://outputs/{world.runs[world.people['foreigner'].name]}/"}
        case "GET" | "DELETE", "/api/outputs/deletions/{deletion_id}":
            values["deletion_id"] = world.deletion_of(values["batch_id"])
        case "POST", "/api/outputs/deletions":
            options["json"] = {"batch_ids": [values["batch_id"]], "confirm": "delete 1 run"}
        case "POST", "/api/outputs/deletions/preview" | "/api/outputs/measurements":
            options["json"] = {"batch_ids": [values["batch_id"]]}
        case "GET", _ if path.startswith("/api/dashboard/") and whose != "–":
            options["params"] = {"user": user or "nobody-here"}
        case "GET", "/api/stream":
            options["params"] = {"topics": f"dashboard,batch:{world.run(actor, whose)}"}
    if path.startswith(("/api/events", "/api/producers")):
        options["params"] = {"workspace": world.workspace(whose)}
    if path == "/api/producers/stored":
        options["params"]["ids"] = values["producer_id"]
    return path.format(**values), options


def ask(world: Any, actor: str, row: Row, event: Any) -> tuple[int, str]:
    """The status, and the body of what ends by itself."""
    client, headers = world.clients[actor], {"X-Argus-CSRF": world.csrf.get(actor, "")}
    if row[1] == "/api/events/bundle":
        headers["Content-Type"] = "application/x-ndjson"
    if row[1] == "/api/auth/logout" and actor in world.people and actor != "disabled":
        person = world.door.sign_in(world.people[actor].name, world.people[actor].password)
        client, headers = person.client, {"X-Argus-CSRF": person.csrf}
    address, options = request_of(world, actor, row, event)
    with client.stream(row[0], address, headers=headers, **options) as answer:
        body = "" if answer.headers.get("content-type", "").startswith("text/event-stream") else answer.read().decode()
    if row[0] == "DELETE" and "members" in row[1] and answer.status_code == 204:
        user = world.whose(actor, row[2])
        root = world.door.client(world.door.admin["token"])
        back = root.put(
            f"/api/workspaces/{world.workspace(row[2])}/members/{user}", json={"role": world.role_at_home(user)}
        )
        assert back.status_code == 200, back.text
    return answer.status_code, body


@pytest.mark.parametrize("row", sorted(TABLE), ids=" ".join)
def test_each_caller_may_exactly_what_the_table_says(world, event, row):
    wrong, told = {}, {}
    for actor, expected in TABLE[row].items():
        status, body = ask(world, actor, row, event)
        if status != expected:
            wrong[actor] = f"{status}, not {expected}"
        sees_all = actor == "admin" or (actor == "admin key" and row[1].startswith(("/api/users", "/api/workspaces")))
        words = [word for word in world.foreign_words() if word in body]
        if words and not sees_all:
            told[actor] = words
    assert not wrong, f"{' '.join(row)}: {wrong}"
    assert not told, f"{' '.join(row)} tells of another workspace: {told}"
