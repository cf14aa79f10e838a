"""The link to Postgres is cut in the worst moment, goes silent, or everything waits for a lock."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from argus_testkit import LocalStack, eventually
from argus_testkit.faults import SOON_AGAIN, Trial, pick, seeded
from argus_testkit.faults.observe import log_end
from argus_testkit.pages import await_projected
from argus_testkit.proxy import FaultProxy
from argus_testkit.servers import new_postgres

N_CUTS = pick(10, 200)
SILENT_S = pick(8.0, 120.0)
LOCKED_S = pick(5.0, 20.0)
SLOWEST_SILENT_S, SLOWEST_LOCKED_S = pick((60.0, 60.0), (15.0, 20.0))
"""In the short form only nets, for a machine that does other things, too. The figures are printed."""
ARGUS = b"argus-"
"""In the start-up packet of every connection of ours, as its application_name."""


@pytest.fixture(scope="module")
def link(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, FaultProxy, str]]:
    """A whole Argus on a Postgres of somebody else's, which it reaches through the proxy; and that Postgres' own address."""
    folder = tmp_path_factory.mktemp("link")
    postgres = new_postgres(folder / "postgres")
    postgres.start(60)
    try:
        with FaultProxy(postgres.cluster.port) as proxy:
            url = postgres.admin_url.replace(f":{postgres.cluster.port}/", f":{proxy.port}/")
            with LocalStack(folder / "home", {"ARGUS_DATABASE_URL": f"{url}?sslmode=disable", **SOON_AGAIN}) as stack:
                yield stack, proxy, postgres.admin_url.rpartition("/")[0] + f"/{stack.facts.database}"
                proxy.heal()
    finally:
        postgres.stop()


@pytest.fixture
def begin(
    link: tuple[LocalStack, FaultProxy, str], tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[], Trial]:
    return lambda: Trial(link[0], tmp_path / "work", seeded(request.node.name), events_per_s=pick(60.0, 4_000.0))


@pytest.mark.rare
def test_d2_nobody_knows_whether_the_commit_happened(
    link: tuple[LocalStack, FaultProxy, str], begin: Callable[[], Trial]
) -> None:
    """D2: the connection is cut exactly between COMMIT and its answer, again and again, with the commit done and not done; at
    ingest and at the projector: nothing is lost and nothing doubled."""
    proxy = link[1]
    with begin() as fault:
        traps = [
            proxy.cut_at(b"COMMIT", times, who, lambda n: "before" if n % 3 == 2 else "after")
            for who, times in ((b"argus-ingest", N_CUTS), (b"argus-query projector", max(4, N_CUTS // 8)))
        ]
        eventually(lambda: not any(trap.left for trap in traps), 30 * N_CUTS, "every trap has sprung")
        print(
            f"{[trap.sprung for trap in traps]} commits were cut; the log grows after {fault.wait_for_growth():.1f} s"
        )
        fault.verdict()


def test_d4_a_silent_link(link: tuple[LocalStack, FaultProxy, str], begin: Callable[[], Trial]) -> None:
    """D4: nothing comes through any more and nothing is closed. Pages answer 503 soon instead of hanging; when the link is
    back, everything goes on."""
    proxy = link[1]
    with begin() as fault:
        proxy.stall(ARGUS)
        until = time.monotonic() + SILENT_S
        slowest = 0.0
        while time.monotonic() < until:
            began = time.monotonic()
            fault.is_away()
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.3)
        assert fault.is_away()
        print(f"the slowest answer meanwhile took {slowest:.1f} s")
        assert slowest < SLOWEST_SILENT_S
        proxy.heal()
        print(f"the log grows {fault.wait_for_growth():.1f} s after the link is back")
        fault.verdict()


def test_d4_the_listener_is_ended(link: tuple[LocalStack, FaultProxy, str], begin: Callable[[], Trial]) -> None:
    """D4: the backend that listens for notices is ended: polling goes on meanwhile, and a new one listens soon."""
    stack, _, admin_url = link
    with begin() as fault, psycopg.connect(admin_url, autocommit=True) as admin:
        ours = "SELECT pid FROM pg_stat_activity WHERE application_name = 'argus-query listener'"
        before = eventually(lambda: set(admin.execute(ours).fetchall()), 60, "somebody listens")
        for listener in before:
            admin.execute("SELECT pg_terminate_backend(%s)", listener)
        wait_projected(stack)
        eventually(lambda: set(admin.execute(ours).fetchall()) - before, 120, "another one listens")
        fault.verdict()


def wait_projected(stack: LocalStack) -> None:
    """Everything that is in the log by now is projected."""
    with stack.client() as client:
        await_projected(client, log_end(stack), within=180)


@pytest.mark.rare
def test_d5_everything_waits_for_a_lock(link: tuple[LocalStack, FaultProxy, str], begin: Callable[[], Trial]) -> None:
    """D5: the log is locked by somebody; 50 people read at once and 50 pages are open. Nobody waits for ever (200, or 503 with
    Retry-After), open pages hold no connection, and afterwards there are as many connections as before."""
    stack, _, admin_url = link
    with begin() as fault, psycopg.connect(admin_url, autocommit=True) as admin:
        pages = [OpenPage(stack, token) for token in [stack.credentials.token, *new_users(stack, 4)] for _ in range(10)]
        eventually(lambda: all(page.is_open for page in pages), 120, "50 pages are open")
        # Those that an earlier test has cut off may still be open at the other end.
        eventually(lambda: connections(admin)["argus-gateway"] <= 6, what="the pages hold no connection of the gateway")
        eventually(lambda: connections(admin)["argus-query answers"] <= 8, what="nor of the answers")
        print(f"connections with {len(pages)} pages open: {dict(connections(admin))}")
        slowest, answers = 0.0, Counter[int]()
        with locked(admin_url), ThreadPoolExecutor(50) as readers:
            until = time.monotonic() + LOCKED_S
            while time.monotonic() < until:
                for status, seconds in readers.map(read, [stack] * 50):
                    answers[status] += 1
                    slowest = max(slowest, seconds)
        print(f"answers {dict(answers)}, the slowest after {slowest:.1f} s")
        assert set(answers) <= {200, 503}
        assert slowest < SLOWEST_LOCKED_S
        eventually(lambda: busy(admin) == 0, 60, "nobody holds a connection any more")
        assert all(page.is_open for page in pages)
        close(pages)
        print(f"the log grows {fault.wait_for_growth():.1f} s after the lock is gone")
        fault.verdict()


@pytest.mark.rare
def test_d4_links_that_a_middleman_has_forgotten(
    link: tuple[LocalStack, FaultProxy, str], begin: Callable[[], Trial]
) -> None:
    """D4: links that exist stay open and silent for ever, new ones work (a middleman was restarted). The kernel cannot see that:
    ingest, projector and answers notice by themselves."""
    stack, proxy, _ = link
    with begin() as fault:
        pids = {name: stack.pid(name) for name in ("ingest", "query", "gateway")}
        began = time.monotonic()
        proxy.forget(ARGUS)
        print(f"the log grows again after {fault.wait_for_growth():.1f} s")
        wait_projected(stack)
        spent = time.monotonic() - began
        print(f"and is projected again after {spent:.1f} s")
        assert spent < pick(180, 90)
        assert {name: stack.pid(name) for name in pids} == pids, "nobody had to be started again"
        fault.verdict()


@contextmanager
def locked(admin_url: str) -> Iterator[None]:
    """Nobody but us can touch the log and the runs."""
    with psycopg.connect(admin_url) as somebody:

        def has_them() -> bool:
            try:
                somebody.execute("LOCK TABLE log.record_batches, read.runs IN ACCESS EXCLUSIVE MODE")
            except psycopg.errors.DeadlockDetected:  # with a fold that was in the middle of it
                somebody.rollback()
                return False
            return True

        eventually(has_them, 60, "the tables are locked")
        yield
        somebody.rollback()


def read(stack: LocalStack) -> tuple[int, float]:
    began = time.monotonic()
    with stack.client() as client:
        answer = client.get("/api/batches", timeout=SLOWEST_LOCKED_S)
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
    return answer.status_code, time.monotonic() - began


def connections(admin: psycopg.Connection) -> Counter[str]:
    """Of the stack, by application."""
    rows = admin.execute("SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'argus-%'")
    return Counter(row[0] for row in rows)


def busy(admin: psycopg.Connection) -> int:
    """Connections of requests that are in the middle of something for longer than a moment."""
    rows = admin.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('argus-gateway', 'argus-query answers')"
        " AND state <> 'idle' AND now() - xact_start > interval '5 s'"
    )
    return rows.fetchall()[0][0]


class OpenPage:
    """One page of the dashboard, open in a thread of its own."""

    def __init__(self, stack: LocalStack, token: str) -> None:
        self.is_open = False
        self._ended = threading.Event()
        self._client = httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=30, verify=False
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with (
            self._client,
            contextlib.suppress(httpx.HTTPError),
            self._client.stream("GET", "/api/stream", params={"topics": "dashboard"}) as answer,
        ):
            for line in answer.iter_lines():
                self.is_open = answer.status_code == 200 and line is not None
                if self._ended.is_set():
                    return
        self.is_open = False

    def end(self) -> None:
        """It goes with the next line that it is told."""
        self._ended.set()

    def join(self) -> None:
        self._thread.join(60)


def close(pages: list[OpenPage]) -> None:
    for page in pages:
        page.end()
    for page in pages:
        page.join()


def new_users(stack: LocalStack, count: int) -> list[str]:
    """Tokens of so many new users with a workspace of their own."""
    tokens: list[str] = []
    with stack.client() as admin:
        for _ in range(count):
            name, password = f"u-{uuid4().hex[:8]}", uuid4().hex
            admin.post("/api/workspaces", json={"name": name}).raise_for_status()
            admin.post("/api/users", json={"username": name, "password": password}).raise_for_status()
            admin.put(f"/api/workspaces/{name}/members/{name}", json={"role": "member"}).raise_for_status()
            with httpx.Client(base_url=stack.url, verify=False, timeout=30) as person:
                said = (
                    person.post("/api/auth/login", json={"username": name, "password": password})
                    .raise_for_status()
                    .json()
                )
                headers = {"X-Argus-CSRF": said["csrf_token"], "Origin": stack.url}
                key = person.post("/api/keys", json={"name": "page", "workspace": name}, headers=headers)
                tokens.append(key.raise_for_status().json()["token"])
    return tokens
