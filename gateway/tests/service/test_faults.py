"""Servers go away and come back: answers are 503 with Retry-After, nothing acknowledged is lost, nobody's hand is needed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import nats
import pytest

from argus_local.servers import answers_ok
from argus_testkit.nats import CONNECT_SECONDS, connect, refused_connections
from argus_testkit.waiting import eventually, eventually_async

WAIT_S = 100
pytestmark = pytest.mark.timeout(400)  # servers that start again and again, on a machine that may be busy


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """nats-py 2.16 forgets to close the sockets of connections that the server cut: they go before the next test."""
    yield
    with refused_connections():
        pass


@pytest.fixture
def own_door(*, own_database, postgres_server, nats_server, start_service, run_create_admin, tmp_path: Path):
    """A gateway with ingest on servers of this test alone."""
    made = run_create_admin(own_database)
    assert made.returncode == 0, made.stderr
    ingest = start_service(
        "argus-ingest", {**nats_server.settings.env_for("ingest"), "ARGUS_DATABASE_URL": own_database.ingest_url}
    )
    gateway = start_service(
        "argus-gateway",
        {
            **nats_server.settings.env_for("gateway"),
            "ARGUS_DATABASE_URL": own_database.gateway_url,
            "ARGUS_NATS_ISSUER_SEED": nats_server.settings.issuer_seed,
            "ARGUS_UI_DIR": str(tmp_path / "no-ui"),
        },
        ready=False,
    )
    eventually(lambda: answers_ok(f"{gateway.url}/healthz"), within=60)
    admin = json.loads(made.stdout)
    with httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {admin['token']}"}, timeout=60) as key:
        key.gateway, key.ingest, key.admin = gateway, ingest, admin  # type: ignore[attr-defined]
        yield key


def n_logged(database) -> int:
    with database.connect() as connection:
        return connection.execute("SELECT coalesce(sum(n_events), 0) FROM log.record_batches").fetchone()[0]


def post_until_taken(door: httpx.Client, said: dict) -> None:
    """It has been answered 200. A 503 of a busy machine asks for a repeat, and a repeat changes nothing."""
    eventually(lambda: not away(door.post("/api/events", json=said)), within=60)


def away(answer: httpx.Response) -> bool:
    assert answer.status_code in (200, 503), answer.text
    if answer.status_code == 503:
        assert answer.json()["code"] == "unavailable"
        assert 1 <= int(answer.headers["retry-after"]) <= 5
    return answer.status_code == 503


def test_without_query_reads_are_503_and_posting_goes_on(own_door, own_database, event):
    for path in ("/api/batches", "/api/facets", "/api/position", "/api/batches/x/jobs/y/series"):
        assert away(own_door.get(path))
    post_until_taken(own_door, event())
    eventually(lambda: n_logged(own_database) == 1, within=WAIT_S)

    def checks() -> dict[str, str]:
        ready = own_door.get("/readyz")
        assert ready.status_code == 503
        return ready.json()["checks"]

    eventually(lambda: (said := checks())["nats"] == said["postgres"] == "ok")
    page = own_door.get("/runs/")
    assert page.status_code == 503
    assert "make ui" in page.text


def test_nats_away_is_503_and_over_when_it_is_back(own_door, own_database, nats_server, event):
    post_until_taken(own_door, event())
    nats_server.kill()
    eventually(lambda: away(own_door.post("/api/events", json=event())))
    bundle = "\n".join(json.dumps({"v": 2, "class": "lifecycle", "events": [event()]}) for _ in range(3))
    assert away(own_door.post("/api/events/bundle", content=bundle)), "nothing of it is called accepted"
    assert own_door.get("/api/auth/me").status_code == 200
    assert own_door.get("/healthz").status_code == 200
    nats_server.start()
    eventually(lambda: not away(own_door.post("/api/events/bundle", content=bundle)), within=60)
    eventually(lambda: n_logged(own_database) >= 4, within=WAIT_S)
    assert own_door.gateway.is_running


@pytest.mark.rare
def test_postgres_away_posting_goes_on_for_known_keys_and_all_of_it_arrives(
    own_door, own_database, postgres_server, event
):
    post_until_taken(own_door, event())
    postgres_server.kill()
    time.sleep(6)  # the key's look-up is no longer fresh
    for _ in range(5):
        post_until_taken(own_door, event())
    login = {"username": "admin", "password": own_door.admin["password"]}
    bare = httpx.Client(base_url=str(own_door.base_url), timeout=60)
    with ThreadPoolExecutor(6) as people:
        for _ in range(2):  # these are not the ten wrong passwords of a minute
            assert all(people.map(lambda _: away(bare.post("/api/auth/login", json=login)), range(6)))
    assert away(
        httpx.get(
            f"{own_door.gateway.url}/api/auth/me",
            headers={"Authorization": "Bearer ak_aaaaaaaaaaaa_" + "a" * 43},
            timeout=60,
        )
    )
    postgres_server.start()
    eventually(lambda: bare.post("/api/auth/login", json=login).status_code == 200, within=60)
    bare.close()
    eventually(lambda: n_logged(own_database) == 6, within=WAIT_S)
    assert own_door.gateway.is_running


@pytest.mark.rare
def test_restarts_of_postgres_under_load_lose_nothing_that_was_answered_200(
    own_door, own_database, postgres_server, event
):
    accepted = 0
    for n in range(150):
        if n in (50, 100):
            postgres_server.kill()
        if n in (52, 102):  # posted meanwhile: two batches
            postgres_server.start()
        if not away(own_door.post("/api/events/batch", json=[event() for _ in range(5)])):
            accepted += 5
    assert accepted > 100
    eventually(lambda: n_logged(own_database) >= accepted, within=WAIT_S)


def test_a_killed_gateway_comes_back_with_keys_and_sessions(own_door, event):
    login = {"username": "admin", "password": own_door.admin["password"]}
    with httpx.Client(base_url=str(own_door.base_url), timeout=60) as person:
        assert person.post("/api/auth/login", json=login).status_code == 200
        own_door.gateway.kill()
        own_door.gateway.launch()
        eventually(lambda: answers_ok(f"{own_door.gateway.url}/healthz"), within=60)
        assert person.get("/api/auth/me").status_code == 200
        post_until_taken(own_door, event())


async def test_nats_clients_come_back_after_a_restart_of_gateway_and_nats(own_door, nats_server):
    """The SDK's connection is let in again by the fresh gateway."""
    token = own_door.admin["token"]
    with refused_connections():
        client = await connect(
            nats_server.settings.url, token=token, inbox_prefix=f"_INBOX_{token.split('_')[1]}".encode(),
            max_reconnect_attempts=-1, reconnect_time_wait=0.3, connect_timeout=CONNECT_SECONDS, error_cb=_ignore,
        )  # fmt: skip
        own_door.gateway.kill()
        nats_server.kill()
        own_door.gateway.launch()  # waits for NATS
        nats_server.start()

        async def works() -> bool:
            if not client.is_connected:
                return False
            try:
                await client.request("$SYS.REQ.USER.INFO", b"", timeout=5)
            except (nats.errors.Error, TimeoutError):
                return False
            return True

        await eventually_async(works, within=100)
        await client.close()


async def _ignore(error: Exception) -> None:
    pass


def test_sigterm_ends_an_open_stream_and_the_process_without_force(own_door):
    """The stream has its proper end: cut off, reading it would fail."""
    with own_door.stream("GET", "/api/stream", params={"topics": "dashboard"}) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 1000"
        os.kill(own_door.gateway.pid, signal.SIGTERM)
        for _ in lines:
            pass
        eventually(lambda: not own_door.gateway.is_running)
    assert (
        "graceful shutdown exceeded" not in own_door.gateway.logs()
    )  # as uvicorn says when it cancels what does not end


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("ARGUS_PORT", "99999", "ARGUS_PORT"), ("ARGUS_NATS_ISSUER_SEED", "weak", "ARGUS_NATS_ISSUER_SEED"),
     ("ARGUS_NATS_URL", None, "ARGUS_NATS_URL is not set"), ("ARGUS_DATABASE_URL", "mysql://x", "ARGUS_DATABASE_URL"),
     ("ARGUS_PUBLIC_URL", "ftp://x", "ARGUS_PUBLIC_URL")],
)  # fmt: skip
def test_a_wrong_setting_is_one_clear_line(start_service, name, value, words):
    env = {
        "ARGUS_NATS_URL": "nats://127.0.0.1:1", "ARGUS_NATS_USER": "gateway",
        "ARGUS_NATS_PASSWORD": "8c1f6a5e0b7d4f29a3c2",
        "ARGUS_DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "ARGUS_NATS_ISSUER_SEED": "SAAEVEMTYBRUCRNH2BEQLXHYO6XUIB4MLMYTJT7LBQKFKDBRNJBYVUCCZY",
    }  # fmt: skip
    env = {**env, name: value} if value is not None else {key: said for key, said in env.items() if key != name}
    service = start_service("argus-gateway", env, ready=False)
    eventually(lambda: not service.is_running)
    assert service.logs().count("\n") == 1, service.logs()
    assert words in service.logs()


def test_the_last_administrator_stays(own_door):
    """Here, where nobody else is one."""
    answer = own_door.patch("/api/users/admin", json={"global_admin": False})
    assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
    assert own_door.get("/api/users").status_code == 200
