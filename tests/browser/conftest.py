"""A signed-in page that watches over itself, and a sender that says what a training script would say."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from argus_testkit.http_sender import Sender
from argus_testkit.stack import LocalStack

expect.set_options(timeout=60_000)  # a net: a page that waits for something longer is not right anywhere


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
