"""Who may come in, and where they land."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from argus_testkit.stack import LocalStack

SignIn = Callable[[LocalStack, str], Any]


async def test_a_wrong_password_is_refused_and_a_right_one_opens_the_page_that_was_asked_for(
    stack: LocalStack, page: Page
) -> None:
    await page.goto(f"{stack.url}/settings/keys")
    await expect(page).to_have_url(re.compile(r"/login\?next=/settings/keys"))
    await page.get_by_label("User name").fill(stack.credentials.username)
    await page.get_by_label("Password").fill("not the password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("Wrong user name or password.")
    await page.get_by_label("Password").fill(stack.credentials.password)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{stack.url}/settings/keys")
    await expect(page.get_by_role("heading", name="API keys")).to_be_visible()


async def test_a_link_to_the_sign_in_page_cannot_lead_elsewhere(stack: LocalStack, sign_in: SignIn) -> None:
    page = await sign_in(stack, "/login?next=//example.org/")
    await expect(page).to_have_url(f"{stack.url}/runs/")


async def test_signing_out_ends_the_session(stack: LocalStack, sign_in: SignIn) -> None:
    page = await sign_in(stack, "/runs/")
    await page.get_by_role("button", name="You and this page").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/login"))
    await page.goto(f"{stack.url}/runs/")
    await expect(page).to_have_url(re.compile(r"/login\?next=/runs/"))


async def test_a_key_is_shown_once_works_and_can_be_revoked(stack: LocalStack, sign_in: SignIn) -> None:
    page = await sign_in(stack, "/settings/keys")
    await page.get_by_label("What is it for?").fill("my laptop")
    await page.get_by_role("button", name="Create key").click()
    token = await page.get_by_test_id("new-key").inner_text()
    headers = {"Authorization": f"Bearer {token}"}
    with stack.client() as client:
        assert client.get("/api/auth/me", headers=headers).status_code == 200
        await page.reload()
        row = page.get_by_role("row", name=re.compile("my laptop"))
        await expect(row).to_be_visible()
        await expect(page.get_by_text(token)).to_have_count(0)
        await row.get_by_role("button", name="Revoke").click()
        await page.get_by_role("button", name="Revoke the key").click()
        await expect(row).to_have_count(0)
        assert client.get("/api/auth/me", headers=headers).status_code == 401


async def test_who_is_in_no_workspace_hears_what_is_missing(stack: LocalStack, page: Page) -> None:
    name, password = f"new-{uuid.uuid4().hex[:8]}", "a password to begin with"
    with stack.client() as client:
        client.post("/api/users", json={"username": name, "password": password}).raise_for_status()
    await page.goto(f"{stack.url}/runs/")
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("You are in no workspace.")).to_be_visible()
    await expect(page.get_by_role("link", name="Make an API key")).to_have_count(0)
    await page.goto(f"{stack.url}/settings/keys")
    await page.get_by_label("What is it for?").fill("a box")
    await page.get_by_role("button", name="Create key").click()
    await expect(page.get_by_text("an administrator can take you into one")).to_be_visible()
