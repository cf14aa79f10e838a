"""A signed-in page that watches over itself, and a sender that says what a training script would say."""

from __future__ import annotations

import contextlib
import itertools
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from argus_testkit.stack import LocalStack

CLASSES = {"job_epoch": "metrics", "resource_snapshot": "snapshots", "log_line": "log_lines"}
expect.set_options(timeout=60_000)  # a net: a page that waits for something longer is not right anywhere


class Sender:
    """Posts events of one producer in the v2 wire form, over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.producer_id = f"browser-test-{uuid.uuid4().hex}"
        self.seqs: dict[str, Iterator[int]] = {}
        self.begun = datetime.now(UTC) - timedelta(minutes=5)

    def say(self, batch_id: str, kind: str, *about: tuple[str | None, Mapping[str, Any]], at_s: float = 0) -> None:
        """One event of `kind` for each (job, data); the first happened `at_s` seconds after `begun`, the others right behind."""
        name = CLASSES.get(kind, "lifecycle")
        counter = self.seqs.setdefault(name, itertools.count())
        events = [
            {
                "event_id": str(uuid.uuid4()), "kind": kind, "version": 1, "batch_id": batch_id, "job_id": job_id,
                "attempt": 1, "seq": next(counter), "data": dict(data),
                "occurred_at": (self.begun + timedelta(seconds=at_s, milliseconds=i)).isoformat(),
            }
            for i, (job_id, data) in enumerate(about)
        ]  # fmt: skip
        message = {
            "v": 2, "producer_id": self.producer_id, "class": name, "first_seq": events[0]["seq"], "events": events,
        }  # fmt: skip
        answer = self.client.post("/api/events/batch", json=message)
        answer.raise_for_status()
        assert answer.json()["rejected"] == 0, answer.text

    def start(
        self, name: str = "a run", project: str = "browser", jobs: tuple[str, ...] = ("job",), **data: Any
    ) -> str:
        """A run has started and its jobs with it. Answers its id."""
        batch_id = f"b-{uuid.uuid4().hex[:12]}"
        self.say(batch_id, "batch_start", (None, {"name": name, "project": project, **data}))
        command = ["python", "train.py", "--note", "it's mine"]
        self.say(
            batch_id, "env_snapshot", (None, {"command": command, "host": "box-1", "git": {"commit": "ab12cd34" * 5}})
        )
        self.say(batch_id, "job_start", *((job, {"name": job, "n_epochs_expected": 100}) for job in jobs), at_s=1)
        return batch_id

    def end(self, batch_id: str, how: str = "batch_done", at_s: float = 60, **data: Any) -> str:
        """The run has ended; answers its id again."""
        self.say(batch_id, how, (None, data), at_s=at_s)
        return batch_id

    def epochs(self, batch_id: str, numbers: range, job: str = "job", **more: Any) -> None:
        """One point for each number: train_loss 1/n and val_loss 2/n, n from 1."""
        points = [(job, {"epoch": n, "metrics": {"train_loss": 1 / n, "val_loss": 2 / n, **more}}) for n in numbers]
        self.say(batch_id, "job_epoch", *points, at_s=numbers.start)

    def lines(self, batch_id: str, numbers: range, job: str = "job", text: str = "line {}", **more: Any) -> None:
        lines = [(job, {"line_no": n, "stream": "stdout", "line": text.format(n), **more}) for n in numbers]
        self.say(batch_id, "log_line", *lines, at_s=numbers.start)


@pytest.fixture
def sender(stack: LocalStack) -> Iterator[Sender]:
    with stack.client() as client:
        yield Sender(client)


@pytest.fixture
def new_sender() -> Callable[[httpx.Client], Sender]:
    """A sender for another stack."""
    return Sender


SignIn = Callable[..., Any]


@dataclass(frozen=True)
class Person:
    """Somebody beside the admin, in the admin's workspace, with a sender of his own."""

    name: str
    password: str
    sender: Sender


@pytest.fixture
def new_person(stack: LocalStack) -> Iterator[Callable[[], Person]]:
    """`new_person()`: a member of the admin's first workspace."""
    with contextlib.ExitStack() as open_clients:

        def make() -> Person:
            name, password = f"person-{uuid.uuid4().hex[:8]}", "a password to begin with"
            with stack.client() as admin:
                workspace = admin.get("/api/auth/me").json()["workspaces"][0]["workspace"]
                membership = {"workspace": workspace, "role": "member"}
                admin.post(
                    "/api/users", json={"username": name, "password": password, "workspaces": [membership]}
                ).raise_for_status()
            own = open_clients.enter_context(httpx.Client(base_url=stack.url, timeout=30, verify=False))
            me = own.post("/api/auth/login", json={"username": name, "password": password}).raise_for_status().json()
            own.headers["X-Argus-CSRF"] = me["csrf_token"]
            return Person(name, password, Sender(own))

        yield make


@pytest.fixture
def sign_in(page: Page) -> SignIn:
    """`await sign_in(stack, "/runs/", who)`: the page shows that path as `who`, else as the admin."""

    async def go(stack: LocalStack, path: str, who: Person | None = None) -> Page:
        await page.goto(f"{stack.url}{path}")
        await page.get_by_label("User name").fill(who.name if who else stack.credentials.username)
        await page.get_by_label("Password").fill(who.password if who else stack.credentials.password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile(r"^(?!.*/login)"))
        return page

    return go


@pytest_asyncio.fixture(autouse=True)
async def watched(browser_context: BrowserContext) -> AsyncIterator[list[str]]:
    """After every test: no dialog, no script error, no violation of the content security policy on any page."""
    troubles: list[str] = []
    await browser_context.expose_function("__argusTrouble", lambda what: troubles.append(what))
    await browser_context.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " (e) => window.__argusTrouble(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}`))"
    )

    def watch(page: Page) -> None:
        async def refuse(dialog: Any) -> None:
            troubles.append(f"dialog: {dialog.message}")
            await dialog.dismiss()

        page.on("dialog", refuse)
        page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))

    browser_context.on("page", watch)
    yield troubles
    assert troubles == []
