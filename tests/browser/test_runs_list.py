"""The list of runs: search, filters in the address, keys, and rows that never jump."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from argus_testkit.stack import LocalStack

SignIn = Callable[[LocalStack, str], Any]


def rows(page: Page) -> Any:
    return page.get_by_test_id("run-row")


async def test_search_and_filters_live_in_the_address(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    done = sender.start("finished one", project)
    sender.say(done, "job_done", ("job", {}), at_s=2)
    sender.say(done, "batch_done", (None, {}), at_s=3)
    sender.start("still going", project)
    page = await sign_in(stack, f"/runs/?project={project}")
    await expect(rows(page)).to_have_count(2)
    await page.get_by_role("button", name="succeeded").click()
    await expect(page).to_have_url(re.compile("status=succeeded"))
    await expect(rows(page)).to_have_count(1)
    await expect(rows(page)).to_contain_text("finished one")
    await page.reload()
    await expect(rows(page)).to_have_count(1)
    await page.get_by_role("button", name="Clear").click()
    await page.keyboard.press("/")
    await page.keyboard.type("still goi")
    await expect(page).to_have_url(re.compile("search=still"))
    await expect(rows(page).first).to_contain_text("still going")
    await page.get_by_label("Search runs").fill(f"nothing is called {project}")
    await expect(page.get_by_role("heading", name="No run fits these filters")).to_be_visible()


async def test_keys_choose_and_open_rows(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    for name in ("older", "newer"):
        sender.begun = sender.begun.replace(microsecond=0 if name == "older" else 500_000)
        sender.start(name, project)
    page = await sign_in(stack, f"/runs/?project={project}")
    await expect(rows(page)).to_have_count(2)
    for key in ("j", "j", "k", "x"):
        await page.keyboard.press(key)
    await expect(page.get_by_text("1 selected")).to_be_visible()
    first = await rows(page).first.get_by_role("link").inner_text()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/runs/b-"))
    await expect(page.get_by_role("heading", level=1)).to_have_text(first)
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await expect(page).to_have_url(f"{stack.url}/runs/")


async def test_the_focus_goes_along_with_the_row_that_the_keys_choose(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    for _ in range(3):
        batch_id = sender.start("one of three", project, jobs=("a", "b", "c"))
    page = await sign_in(stack, f"/runs/?project={project}")
    for address, row in ((f"/runs/?project={project}", "run-row"), (f"/runs/{batch_id}", "job-row")):
        await page.goto(f"{stack.url}{address}")
        links = page.get_by_test_id(row).get_by_role("link")
        await expect(links).to_have_count(3)
        await links.first.focus()
        await page.keyboard.press("j")
        await expect(links.nth(1)).to_be_focused()
        opened = await links.nth(1).get_attribute("href")
        await page.keyboard.press("Enter")
        await expect(page).to_have_url(f"{stack.url}{opened}")


async def test_nothing_but_the_list_scrolls_and_its_end_stays_in_sight(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    for n in range(60):
        sender.say(f"b-{uuid.uuid4().hex[:12]}", "batch_start", (None, {"name": f"run {n}", "project": project}))
    page = await sign_in(stack, f"/runs/?project={project}")
    await expect(rows(page).first).to_be_visible()
    box = await page.get_by_test_id("runs").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 300, box["y"] + 200)
    at_end = "document.querySelector('[data-testid=runs]').scrollTop + 1 >= 60 * 36 - innerHeight"
    while not await page.evaluate(at_end):
        await page.mouse.wheel(0, 500)
    await page.mouse.wheel(0, 3000)  # there is nothing further down
    await expect(rows(page).last).to_be_in_viewport()
    assert (
        await page.evaluate("document.querySelector('main').scrollHeight - document.querySelector('main').clientHeight")
        == 0
    )


async def test_new_runs_wait_to_be_asked_for_and_known_ones_change_in_place(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    first = sender.start("the first", project)
    page = await sign_in(stack, f"/runs/?project={project}")
    await expect(rows(page)).to_have_count(1)
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    sender.start("the second", project)
    waiting = page.get_by_role("button", name="1 new run")
    await expect(waiting).to_be_visible()
    await expect(rows(page)).to_have_count(1)
    sender.say(first, "batch_failed", (None, {"reason": "no more disk"}), at_s=4)
    await expect(rows(page)).to_contain_text("failed")
    await waiting.click()
    await expect(rows(page)).to_have_count(2)
    await expect(waiting).to_have_count(0)


async def test_the_palette_finds_a_run(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    name = f"needle-{uuid.uuid4().hex[:8]}"
    batch_id = sender.start(name)
    page = await sign_in(stack, "/settings/keys")
    await page.keyboard.press("Control+k")
    await page.keyboard.type(name)
    # What was found for the first letters may still stand there, and Enter opens the chosen one.
    await expect(page.locator("[role=option][data-highlighted]")).to_contain_text(name)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{stack.url}/runs/{batch_id}")


async def test_a_run_that_is_not_there_says_so(stack: LocalStack, sign_in: SignIn) -> None:
    page = await sign_in(stack, "/runs/never-heard-of")
    await expect(page.get_by_role("heading", name="There is no such run")).to_be_visible()
