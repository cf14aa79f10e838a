"""Z5: rights that end, end: on requests, on open live streams and on NATS connections, at once or (behind the gateway's back) soon."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from argus_gateway.identity.database import migrate
from argus_gateway.settings import Settings, SettingsWrong, load
from argus_testkit.nats import key_client, refused_connections
from argus_testkit.waiting import eventually, eventually_async


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """nats-py 2.16 forgets to close the sockets of connections that the server cut: they go before the next test."""
    yield
    with refused_connections():
        pass


class OpenStream:
    """A live stream, read in a thread until the gateway ends it."""

    def __init__(self, client: httpx.Client, topics: str, **more: str) -> None:
        self.text, self.ended = "", threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._read, args=(client, {"topics": topics, **more}), daemon=True)
        self._thread.start()
        eventually(lambda: "\nid: " in self.text, within=60, what="the stream is open, and knows from where on")

    def _read(self, client: httpx.Client, params: dict[str, str]) -> None:
        with contextlib.suppress(httpx.HTTPError):
            with client.stream("GET", "/api/stream", params=params, timeout=60) as answer:
                for line in answer.iter_lines():
                    self.text += line + "\n"
                    if self._stop:
                        return
            self.ended.set()

    def close(self) -> None:
        self._stop = True
        self._thread.join(60)


class Someone:
    """A member of a workspace of their own, by session and by key, each with an open stream on their run."""

    def __init__(self, door: Any, event: Any) -> None:
        self.door, self.workspace = door, door.new_workspace()
        self.root = door.client(door.admin["token"])
        self.person = door.new_person(self.workspace)
        self.token = door.key_of(self.person)
        self.key_id = self.token.split("_")[1]
        self.key = door.client(self.token)
        said = event()
        self.batch = said["batch_id"]
        assert self.key.post("/api/events", json=said).status_code == 200
        eventually(lambda: self.key.get(f"/api/batches/{self.batch}").status_code == 200, within=60)
        self.by_session = OpenStream(door.client(cookies=dict(self.person.client.cookies)), f"batch:{self.batch}")
        self.by_key = OpenStream(door.client(self.token), f"batch:{self.batch}")

    def close(self) -> None:
        self.by_session.close()
        self.by_key.close()


@pytest.fixture
def someone(door, event) -> Iterator[Someone]:
    made = Someone(door, event)
    yield made
    made.close()


def disable(one: Someone) -> None:
    assert one.root.patch(f"/api/users/{one.person.name}", json={"disabled": True}).status_code == 200


def disable_behind_the_gateways_back(one: Someone) -> None:
    one.door.sql("UPDATE identity.users SET disabled_at = now() WHERE name = %s", one.person.name)


def revoke(one: Someone) -> None:
    assert one.person.delete(f"/api/keys/{one.key_id}").status_code == 204


def let_the_key_expire(one: Someone) -> None:
    one.door.sql("UPDATE identity.api_keys SET expires_at = now() WHERE key_id = %s", one.key_id)


def throw_out(one: Someone) -> None:
    assert one.root.delete(f"/api/workspaces/{one.workspace}/members/{one.person.name}").status_code == 204


def sign_out(one: Someone) -> None:
    assert one.person.post("/api/auth/logout").status_code == 204


# what happens: does the session end, does the key end
ENDS: list[tuple[Callable[[Someone], None], bool, bool]] = [
    (disable, True, True),
    (disable_behind_the_gateways_back, True, True),
    (revoke, False, True),
    (let_the_key_expire, False, True),
    (throw_out, False, True),
    (sign_out, True, False),
]


@pytest.mark.parametrize(
    ("act", "session_ends", "key_ends"), ENDS, ids=lambda value: getattr(value, "__name__", str(value))
)
async def test_it_is_effective_everywhere(door, someone, act, session_ends, key_ends):
    """Requests, streams and the connection to NATS end within a minute (here: the checks come every 2 s)."""
    with refused_connections():
        async with key_client(door.nats, someone.token) as (client, heard):
            act(someone)
            wanted = 401 if session_ends else 200
            await eventually_async(lambda: someone.person.get("/api/auth/me").status_code == wanted, within=60)
            wanted = 401 if key_ends else 200
            await eventually_async(lambda: someone.key.get("/api/auth/me").status_code == wanted, within=60)
            if session_ends:
                await eventually_async(someone.by_session.ended.is_set, within=60, what="the session's stream ends")
            if key_ends:
                await eventually_async(someone.by_key.ended.is_set, within=60, what="the key's stream ends")
                await eventually_async(lambda: heard.disconnected > 0, within=60, what="the connection to NATS is cut")
            assert someone.by_session.ended.is_set() == session_ends
            assert someone.by_key.ended.is_set() == key_ends
            assert (heard.disconnected > 0) == key_ends
            # A key may come in again for as long as the gateway remembers it (5 s), where nobody told the gateway.
            await eventually_async(lambda: client.is_connected != key_ends, within=60, what="who may not, is out")


def test_an_open_stream_goes_silent_for_who_is_thrown_out_or_no_longer_administers(door, someone, event):
    """Their sessions stand, so the streams stay open; what is said after the change is not theirs to hear."""
    root = someone.root
    former, lowered = door.new_person(someone.workspace), door.new_person(None, global_admin=True)
    streams = [OpenStream(person.client, f"batch:{someone.batch},dashboard") for person in (former, lowered)]
    try:
        said = event("job_start", someone.batch, job_id="before")
        assert someone.key.post("/api/events", json=said).status_code == 200
        for stream in streams:
            eventually(lambda stream=stream: "before" in stream.text, within=60)
        assert root.delete(f"/api/workspaces/{someone.workspace}/members/{former.name}").status_code == 204
        assert root.patch(f"/api/users/{lowered.name}", json={"global_admin": False}).status_code == 200
        said = event("job_start", someone.batch, job_id="afterwards")
        assert someone.key.post("/api/events", json=said).status_code == 200
        eventually(lambda: "afterwards" in someone.by_key.text, within=60)
        for stream in streams:
            n_said = stream.text.count("event: status")
            eventually(lambda stream=stream, n=n_said: stream.text.count("event: status") > n, within=30)
            assert "afterwards" not in stream.text
            assert not stream.ended.is_set()
    finally:
        for stream in streams:
            stream.close()


def test_what_was_asked_with_rights_that_have_ended_since_is_not_told(door, someone, event):
    """The question was on its way when its asker was thrown out, and was answered afterwards."""
    former = door.new_person(someone.workspace)
    since = re.findall("^id: ([0-9]+)$", someone.by_key.text, re.MULTILINE)[-1]
    said = event("job_start", someone.batch, job_id="before")
    assert someone.key.post("/api/events", json=said).status_code == 200
    eventually(lambda: "before" in someone.by_key.text, within=100)
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'read.projection_swaps'::regclass AND NOT granted"
    with door.database.connect() as connection, connection.transaction():
        connection.execute(
            "LOCK TABLE read.projection_swaps IN ACCESS EXCLUSIVE MODE"
        )  # query does not answer meanwhile
        stream = OpenStream(former.client, f"batch:{someone.batch}", last_event_id=since)
        eventually(lambda: door.sql(waiting)[0][0], what="the question is with query")
        gone = someone.root.delete(f"/api/workspaces/{someone.workspace}/members/{former.name}")
        assert gone.status_code == 204
    try:
        n_said = stream.text.count("event: status")
        eventually(lambda: stream.text.count("event: status") > n_said + 1, within=60)
        assert "before" not in stream.text
    finally:
        stream.close()


def test_a_lowered_role_counts_with_the_next_request(door):
    root = door.client(door.admin["token"])
    workspace = door.new_workspace()
    admin, manager, other = (
        door.new_person(None, global_admin=True),
        door.new_person(workspace, role="admin"),
        door.new_person(workspace),
    )
    full_key = door.client(door.key_of(manager, full_rights=True))
    member = f"/api/workspaces/{workspace}/members/{other.name}"
    assert admin.get("/api/users").status_code == 200
    assert manager.put(member, json={"role": "member"}).status_code == 200
    assert full_key.put(member, json={"role": "member"}).status_code == 200
    root.patch(f"/api/users/{admin.name}", json={"global_admin": False}).raise_for_status()
    root.put(f"/api/workspaces/{workspace}/members/{manager.name}", json={"role": "member"}).raise_for_status()
    assert admin.get("/api/users").status_code == 403
    assert manager.put(member, json={"role": "admin"}).status_code == 403
    assert full_key.put(member, json={"role": "admin"}).status_code == 403


WEAK = [
    ("ARGUS_NATS_PASSWORD", "short"), ("ARGUS_NATS_PASSWORD", "a" * 40), ("ARGUS_NATS_PASSWORD", ""), ("ARGUS_METRICS_TOKEN", "metrics"),
    ("ARGUS_NATS_ISSUER_SEED", "SUAM"), ("ARGUS_NATS_ISSUER_SEED", "changeme"), ("ARGUS_NATS_ISSUER_SEED", ""),
    ("ARGUS_DATABASE_URL", "postgresql://argus:postgres@localhost/argus"), ("ARGUS_DATABASE_URL", "postgresql://argus:ChangeMe@localhost/argus"),
    ("ARGUS_DATABASE_URL", "postgresql://argus:@localhost/argus"), ("ARGUS_HOST", "0.0.0.0"), ("ARGUS_HOST", "::"), ("ARGUS_HOST", "192.0.2.7"),
    ("ARGUS_NATS_GRANT_SECONDS", "86401"), ("ARGUS_RIGHTS_CHECK_SECONDS", "61"), ("ARGUS_PUBLIC_URL", "javascript:alert(1)"),
    ("ARGUS_TRUSTED_PROXIES", "*"), ("ARGUS_TRUSTED_PROXIES", "10.0.0.0/8, proxy.lab.org"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WEAK)
def test_it_does_not_start_with_a_weak_secret_or_an_unnamed_open_door(door, monkeypatch, name, value):
    """One line names the variable, and never what is in it."""
    for known, said in door.gateway.whole_env.items():
        monkeypatch.setenv(known, said)
    assert load(Settings).host == "127.0.0.1"
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsWrong) as refused:
        load(Settings)
    line = str(refused.value)
    assert line.startswith("ARGUS_PUBLIC_URL" if name == "ARGUS_HOST" else name)
    assert "\n" not in line
    assert name == "ARGUS_HOST" or not value or value not in line.replace("SA…", "")


def test_the_process_says_so_and_ends(door):
    environment = {**door.gateway.whole_env, "ARGUS_NATS_PASSWORD": "argus"}
    command = [str(Path(sys.executable).parent / "argus-gateway"), "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("argus-gateway: ARGUS_NATS_PASSWORD is too s")


def test_nobody_is_there_before_the_first_administrator_is_made(database):
    """No default user, no default password, no default key: the first one is random."""
    asyncio.run(migrate(database.gateway_url))
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM identity.users").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM identity.api_keys").fetchone() == (0,)
