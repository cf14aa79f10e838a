"""The fixtures. pytest finds them through the entry point of this package: nobody imports them."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings

from argus_local.browser import Browser, NoBrowser, find_browser
from argus_local.servers import NatsServer, PostgresServer, S3Server
from argus_testkit import shared_servers
from argus_testkit.databases import Database, cloned_database, make_template, new_passwords
from argus_testkit.nats import refused_connections
from argus_testkit.packages import ARGUS_REPORTER, install_apart
from argus_testkit.s3_stores import MotoServer
from argus_testkit.servers import new_nats, new_postgres, new_s3
from argus_testkit.services import ServiceProcess
from argus_testkit.shared_servers import SharedServers
from argus_testkit.stack import LocalStack

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

settings.register_profile("argus", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long a machine takes for an example says nothing about what is tested. The rest is as Hypothesis chooses (in CI: the
same examples in every run)."""
settings.load_profile("argus")

StartService = Callable[..., ServiceProcess]
StartStack = Callable[..., LocalStack]


@pytest.fixture(scope="module", autouse=True)
def no_forgotten_sockets() -> Iterator[None]:
    """nats-py 2.16 forgets to close the sockets of connections that the server cut: they go with their file, and are no
    warning in somebody else's."""
    yield
    with refused_connections():
        pass


@pytest.fixture(scope="session")
def servers() -> Iterator[SharedServers]:
    """The PostgreSQL and NATS that all workers of this run share. Do not stop them: others use them too."""
    try:
        yield shared_servers.join()
    finally:
        shared_servers.leave()


@pytest.fixture
def database(servers: SharedServers) -> Iterator[Database]:
    """A fresh database of this test, with the URLs of the three roles; schemas are empty, each service migrates its own."""
    with cloned_database(servers.admin_url, servers.passwords) as fresh:
        yield fresh


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server of this test alone (JetStream empty): stop, kill and restart it as you like."""
    server = new_nats(tmp_path / "nats")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def postgres_server(tmp_path: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL of this test alone (about a second): stop, kill and restart it as you like. See `own_database`."""
    server = new_postgres(tmp_path / "postgres")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """As `database`, in the `postgres_server` of this test."""
    passwords = new_passwords()
    make_template(postgres_server.admin_url, passwords)
    with ExitStack() as stack:
        fresh = stack.enter_context(cloned_database(postgres_server.admin_url, passwords))
        yield fresh
        postgres_server.start()  # a test may have left it down; dropping needs it


@pytest.fixture
def s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server of this test alone."""
    server = new_s3(tmp_path / "s3")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def moto_server(tmp_path: Path) -> Iterator[MotoServer]:
    """An S3 server of this test alone that keeps versions, locks and storage classes, and forgets all at its end."""
    server = MotoServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def start_service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartService]:
    """`start_service("argus-ingest", env, args=[…], ready=True)`: the real process, stopped after the test.

    env: all ARGUS_ variables that it shall see (ports are chosen when absent). ready=False returns at once.
    """
    started: list[ServiceProcess] = []

    def start(
        command: str,
        env: Mapping[str, str],
        args: Sequence[str] | None = None,
        ready: bool = True,
        within: float = 60.0,
    ) -> ServiceProcess:
        service = ServiceProcess(command, env, tmp_path, args)
        started.append(service)
        service.launch()
        if ready:
            service.wait_ready(within)
        return service

    yield start
    for service in reversed(started):
        service.stop()
        request.node.add_report_section("teardown", f"log of {service.name}", service.logs()[-8_000:])


@pytest.fixture(scope="session")
def argus_reporter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PYTHONPATH with the stock argus-reporter 0.1.3. Its package is called `argus` too: it cannot live beside ours."""
    return install_apart(ARGUS_REPORTER, tmp_path_factory.mktemp("argus-reporter"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The whole Argus of this worker's tests, with an admin's credentials. Do not break it: `start_stack` gives one to break."""
    whole = LocalStack(tmp_path_factory.mktemp("stack") / "home")
    try:
        whole.start()
        yield whole
    finally:
        if whole.process:
            whole.stop()


@pytest.fixture
def start_stack(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StartStack]:
    """`start_stack(env={…}, name="home", start=True)`: a whole Argus of this test, stopped afterwards."""
    started: list[LocalStack] = []

    def begin(env: Mapping[str, str] | None = None, name: str = "home", start: bool = True) -> LocalStack:
        whole = LocalStack(tmp_path / name, env)
        started.append(whole)
        if start:
            whole.start()
        return whole

    yield begin
    for whole in reversed(started):
        if whole.process:
            whole.stop()
            request.node.add_report_section("teardown", f"output of {whole.home}", whole.output.read_text()[-8_000:])


@pytest.fixture(scope="session")
def chromium() -> Browser:
    """A real Chromium or Chrome. Without one the test fails in CI, and elsewhere says how to get one."""
    with (Path(tempfile.gettempdir()) / f"argus-browser-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers do not install the same package at once
        try:
            return find_browser()
        except NoBrowser as problem:
            if os.environ.get("CI"):
                pytest.fail(str(problem))
            pytest.skip(str(problem))


@pytest.fixture(scope="session")
def browser_path(chromium: Browser) -> Path:
    """The executable of `chromium`."""
    return chromium.path


@pytest_asyncio.fixture
async def browser_context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A fresh profile in a fresh browser process, 1440x900, in UTC."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=str(chromium.path), args=list(chromium.args))
        context = await launched.new_context(viewport={"width": 1440, "height": 900}, timezone_id="UTC", locale="en-GB")
        try:
            yield context
        finally:
            await context.close()
            await launched.close()


@pytest_asyncio.fixture
async def page(browser_context: BrowserContext) -> Page:
    """An empty page."""
    return await browser_context.new_page()
