"""A whole door on real servers: Postgres, NATS, ingest, query and the gateway, each a real process, once per worker."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from argus_local.servers import NatsServer, answers_ok
from argus_testkit.databases import Database, cloned_database
from argus_testkit.servers import new_nats
from argus_testkit.services import ServiceProcess
from argus_testkit.shared_servers import SharedServers
from argus_testkit.waiting import eventually

BUSY_S = 60.0


@dataclass
class Person:
    """Somebody with a session."""

    name: str
    password: str
    client: httpx.Client
    csrf: str

    def __getattr__(self, method: str) -> Any:
        """`person.post(path, …)`: with the cookie and the CSRF token, as the UI does it."""
        call = getattr(self.client, method)

        def request(path: str, **options: Any) -> httpx.Response:
            headers = {"X-Argus-CSRF": self.csrf, **options.pop("headers", {})}
            return call(path, headers=headers, **options)

        return request


class Patient(httpx.HTTPTransport):
    """Does what a 503 with `Retry-After` asks of every client: it comes again. All servers of the door are up; on a machine
    with too much to do an answer still takes longer than Argus waits for it. Repeats change nothing, by contract."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + BUSY_S
        while True:
            answer = super().handle_request(request)
            if not is_busy(answer.status_code, answer.headers) or time.monotonic() > deadline:
                return answer
            answer.close()
            time.sleep(1)


def is_busy(status: int, headers: Any) -> bool:
    """Not the page that says that the UI is not built."""
    return status == 503 and "text/html" not in headers.get("content-type", "")


@dataclass
class Door:
    """The running gateway, and ways to come in."""

    url: str
    nats: NatsServer
    database: Database
    gateway: ServiceProcess
    services: dict[str, ServiceProcess]
    admin: dict[str, str]
    metrics_token: str
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=60, transport=Patient(), **options)
        self.clients.append(client)
        return client

    def sign_in(self, name: str, password: str) -> Person:
        client = self.client()
        answer = client.post("/api/auth/login", json={"username": name, "password": password})
        assert answer.status_code == 200, answer.text
        return Person(name, password, client, answer.json()["csrf_token"])

    def administrator(self) -> Person:
        return self.sign_in(self.admin["username"], self.admin["password"])

    def new_person(self, workspace: str | None = "main", role: str = "member", **more: Any) -> Person:
        """A user of a fresh name, signed in."""
        name = f"u{uuid.uuid4().hex[:10]}"
        memberships = [{"workspace": workspace, "role": role}] if workspace else []
        answer = self.client(self.admin["token"]).post(
            "/api/users", json={"username": name, "workspaces": memberships, **more}
        )
        assert answer.status_code == 201, answer.text
        return self.sign_in(name, answer.json()["password"])

    def new_workspace(self) -> str:
        name = f"w{uuid.uuid4().hex[:10]}"
        assert self.client(self.admin["token"]).post("/api/workspaces", json={"name": name}).status_code == 201
        return name

    def key_of(self, person: Person, **more: Any) -> str:
        answer = person.post("/api/keys", json={"name": "test", **more})
        assert answer.status_code == 201, answer.text
        return answer.json()["token"]

    def routes(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(method, path, operation) of every route that the gateway publishes."""
        paths = self.client().get("/api/openapi.json").json()["paths"]
        return [
            (method.upper(), path, operation)
            for path, methods in paths.items()
            for method, operation in methods.items()
        ]

    def raw(self, text: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to exactly these bytes."""
        place = urllib.parse.urlsplit(self.url)
        deadline = time.monotonic() + BUSY_S
        while True:
            with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
                connection.sendall(text)
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                headers = {name.lower(): value for name, value in answer.getheaders()}
                if not is_busy(answer.status, headers) or time.monotonic() > deadline:
                    return answer.status, headers, answer.read()
            time.sleep(1)

    def sql(self, query: Any, *values: Any) -> list[Any]:
        with self.database.connect() as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []


def filled(path: str, value: str = "nothing") -> str:
    """The route's address with `value` for every parameter."""
    return re.sub(r"\{\w+\}", lambda _: value, path)


def service_env(database: Database, nats: NatsServer, ui_dir: Path) -> dict[str, dict[str, str]]:
    gateway = {
        **nats.settings.env_for("gateway"),
        "ARGUS_DATABASE_URL": database.gateway_url,
        "ARGUS_NATS_ISSUER_SEED": nats.settings.issuer_seed,
        "ARGUS_UI_DIR": str(ui_dir),
        "ARGUS_METRICS_TOKEN": secrets.token_hex(24),
        "ARGUS_RIGHTS_CHECK_SECONDS": "2",  # so that what is changed behind the gateway's back is noticed in a test's time
        "ARGUS_NATS_CONNECTIONS_PER_KEY": "120",  # so few that a test can have them
        "ARGUS_CHANGES_PER_MINUTE": "100000",  # all tests share one admin; the limit has a test of its own
    }
    return {
        "argus-ingest": {**nats.settings.env_for("ingest"), "ARGUS_DATABASE_URL": database.ingest_url},
        "argus-query": {**nats.settings.env_for("query"), "ARGUS_DATABASE_URL": database.query_url},
        "argus-deleter": {**nats.settings.env_for("deleter"), "ARGUS_DATABASE_URL": database.deleter_url},
        "argus-gateway": gateway,
    }


def create_admin(database: Database, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "argus-gateway"), "create-admin", "--json", *arguments],
        env={"PATH": os.environ["PATH"], "ARGUS_DATABASE_URL": database.gateway_url},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def door(servers: SharedServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    ui_dir = folder / "ui"
    with ExitStack() as stack:
        database = stack.enter_context(cloned_database(servers.admin_url, servers.passwords))
        nats = new_nats(folder / "nats")
        nats.start()
        stack.callback(nats.stop)
        services = {
            name: ServiceProcess(name, env, folder)
            for name, env in service_env(database, nats, ui_dir).items()
            if name != "argus-query" or find_spec("argus_query.__main__")
        }
        for service in services.values():
            stack.callback(service.stop)
            service.launch()
        gateway = services["argus-gateway"]
        eventually(lambda: answers_ok(f"{gateway.url}/healthz"), 60, "the gateway serves")
        made = create_admin(database)
        assert made.returncode == 0, made.stderr
        services["argus-ingest"].wait_ready()
        if "argus-query" in services:
            services["argus-query"].wait_ready()
            services["argus-deleter"].wait_ready()
            gateway.wait_ready()
        metrics_token = gateway.whole_env["ARGUS_METRICS_TOKEN"]
        whole = Door(gateway.url, nats, database, gateway, services, json.loads(made.stdout), metrics_token)
        yield whole
        for client in whole.clients:
            client.close()


def new_event(kind: str = "batch_start", batch_id: str | None = None, **more: Any) -> dict[str, Any]:
    """An event of the present form from a foreign sender."""
    return {
        "event_id": str(uuid.uuid4()),
        "kind": kind,
        "version": 1,
        "batch_id": batch_id or f"b-{uuid.uuid4().hex[:12]}",
        "job_id": None,
        "occurred_at": datetime.now(UTC).isoformat(),
        "data": {},
        **more,
    }


@pytest.fixture(scope="session")
def event() -> Callable[..., dict[str, Any]]:
    return new_event


@pytest.fixture(scope="session")
def address_of() -> Callable[..., str]:
    return filled


@pytest.fixture(scope="session")
def run_create_admin() -> Callable[..., subprocess.CompletedProcess[str]]:
    return create_admin
