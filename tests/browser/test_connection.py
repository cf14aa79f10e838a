"""The page says when it is not up to date, and catches up by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Route, expect

from argus_testkit.stack import LocalStack
from argus_testkit.waiting import eventually_async

SignIn = Callable[[LocalStack, str], Any]


async def test_the_badge_tells_of_a_lost_gateway_and_the_page_goes_on_when_it_is_back(
    start_stack: Callable[..., LocalStack], new_sender: Any, sign_in: SignIn
) -> None:
    stack = start_stack()
    with stack.client() as client:
        sender = new_sender(client)
        batch_id = sender.start()
        sender.epochs(batch_id, range(1, 11))
        page = await sign_in(stack, f"/jobs/{batch_id}/job")
        badge = page.get_by_test_id("live-badge")
        await expect(badge).to_have_text("live")
        await expect(page.get_by_test_id("latest-loss")).to_have_text("0.2")
        await asyncio.to_thread(stack.put_down, "gateway")
        await expect(badge).to_have_text(re.compile("reconnecting|offline"))
        await expect(page.get_by_test_id("latest-loss")).to_have_text("0.2")
        await asyncio.to_thread(stack.put_up, "gateway")
        await expect(badge).to_have_text("live")
        sender.epochs(batch_id, range(11, 21))
        await expect(page.get_by_test_id("latest-loss")).to_have_text("0.1")


async def test_several_tabs_share_one_stream(
    stack: LocalStack, sender: Any, sign_in: SignIn, browser_context: BrowserContext
) -> None:
    """The gateway counts them."""
    batch_id = sender.start()
    sender.epochs(batch_id, range(1, 3))
    first = await sign_in(stack, f"/jobs/{batch_id}/job")
    await expect(first.get_by_test_id("live-badge")).to_have_text("live")
    pages = [first]
    for _ in range(7):  # more than the six connections that a browser opens to one HTTP/1.1 server
        tab = await browser_context.new_page()
        await tab.goto(f"{stack.url}/jobs/{batch_id}/job")
        await expect(tab.get_by_test_id("latest-loss")).to_have_text("1")
        pages.append(tab)
    sender.epochs(batch_id, range(3, 9))
    for tab in pages:
        await expect(tab.get_by_test_id("latest-loss")).to_have_text("0.25")
        await expect(tab.get_by_test_id("live-badge")).to_have_text("live")
    one = re.compile(r"^argus_gateway_sse_connections 1(\.0)?$", re.MULTILINE)
    await eventually_async(lambda: one.search(sender.client.get("/metrics").text), what="one stream for all")


async def test_the_badge_says_how_far_behind_the_page_is_and_everything_stays_readable(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    """Nothing can be folded for a while: what is folded is shown, and the page says that there is more."""
    batch_id = sender.start("held up", jobs=("job", "other"))
    sender.epochs(batch_id, range(1, 11))
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    badge = page.get_by_test_id("live-badge")
    await expect(badge).to_have_text("live")
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.2")
    with stack.database() as database, database.transaction():
        database.execute("LOCK TABLE read.projection_positions IN EXCLUSIVE MODE")
        sender.epochs(batch_id, range(11, 21))
        await expect(badge).to_have_text(re.compile(r"^\d+ s behind$"), timeout=60_000)
        await page.goto(f"{stack.url}/runs/{batch_id}")
        await expect(page.get_by_test_id("job-row")).to_have_count(2)
        await page.get_by_role("link", name="job", exact=True).click()
        await expect(page.get_by_test_id("latest-loss")).to_have_text("0.2")
        await expect(badge).to_have_text(re.compile(r"^\d+ s behind$"), timeout=60_000)
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.1", timeout=60_000)
    await expect(badge).to_have_text("live", timeout=60_000)


async def test_a_page_whose_stream_cannot_go_on_fetches_itself_anew(
    stack: LocalStack, sender: Any, sign_in: SignIn, browser_context: BrowserContext
) -> None:
    """The stream is asked for a position that the log does not have, as after a restored database: it answers `reset`."""
    batch_id = sender.start("restored")
    sender.epochs(batch_id, range(1, 11))
    sender.lines(batch_id, range(3))
    page = await sign_in(stack, f"/runs/{batch_id}")
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    asked: list[str] = []

    async def ahead(route: Route) -> None:
        asked.append(route.request.url)
        await asyncio.to_thread(sender.epochs, batch_id, range(11, 21))  # what no stream will tell of
        await asyncio.to_thread(sender.lines, batch_id, range(3, 6))
        await eventually_async(lambda: sender.client.get("/api/position").json().get("lag_events") == 0)
        await route.continue_(url=re.sub(r"last_event_id=\d+", f"last_event_id={2**50}", route.request.url))

    await browser_context.route("**/api/stream?*", ahead, times=1)
    await page.get_by_role("link", name="job", exact=True).click()  # other topics: another stream
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.1", timeout=60_000)
    await expect(page.get_by_role("log").get_by_text("line 5", exact=True)).to_be_visible()
    await expect(page.get_by_test_id("metric-panel")).to_contain_text("40 points")
    assert len(asked) == 1
    assert "last_event_id" in asked[0]
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    sender.epochs(batch_id, range(21, 26))
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.08")


async def test_rebuilt_read_models_are_swapped_in_under_an_open_page(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.start("rebuilt")
    sender.epochs(batch_id, range(1, 11))
    sender.lines(batch_id, range(5))
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    argv = [str(Path(sys.executable).parent / "argus-query"), "rebuild", "all"]
    rebuilding = await asyncio.create_subprocess_exec(*argv, env={**os.environ, **stack.environment_of("query")})
    epoch = 11
    while rebuilding.returncode is None and epoch < 99:
        sender.epochs(batch_id, range(epoch, epoch + 1))
        epoch += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(rebuilding.wait()), 0.3)
    assert await rebuilding.wait() == 0
    sender.epochs(batch_id, range(epoch, 101))
    sender.lines(batch_id, range(5, 8))
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.02")
    await expect(page.get_by_test_id("strip")).to_contain_text("epoch 100 of 100")
    await expect(page.get_by_role("log").get_by_text("line 7", exact=True)).to_be_visible()
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    await expect(page.get_by_test_id("metric-panel")).to_contain_text("200 points")


async def test_a_page_that_is_older_than_the_program_on_the_server_loads_itself_anew(
    stack: LocalStack, sender: Any, sign_in: SignIn, browser_context: BrowserContext
) -> None:
    """After an upgrade the parts that an open page has not loaded yet are gone under their names. Those of runs and jobs are
    there already."""
    name = f"after an upgrade {uuid.uuid4().hex[:8]}"
    sender.start(name)
    page = await sign_in(stack, "/runs/")
    await expect(page.get_by_test_id("run-row").first).to_be_visible()
    await page.wait_for_timeout(5500)  # a page that was loaded just now would not be older
    missing: list[str] = []

    async def gone(route: Route) -> None:
        missing.append(route.request.url.rpartition("/")[2].split("-")[0])
        await route.continue_(url=f"{stack.url}/assets/{missing[-1]}-gone.js")

    await browser_context.route("**/assets/RunPage-*.js", gone)
    await browser_context.route("**/assets/KeysPage-*.js", gone, times=1)
    await page.get_by_role("link", name=name).click()
    await expect(page.get_by_role("heading", name=name)).to_be_visible()
    await expect(page.get_by_test_id("job-row")).to_have_count(1)
    assert missing == []
    # The page that loads itself anew loads this one ahead again.
    await browser_context.unroute("**/assets/RunPage-*.js")
    await page.get_by_role("button", name="You and this page").click()
    await page.get_by_role("menuitem", name="API keys").click()
    await expect(page.get_by_role("heading", name="API keys")).to_be_visible()
    assert missing == ["KeysPage"]
