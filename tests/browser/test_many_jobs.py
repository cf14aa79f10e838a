"""A run with 10,000 jobs, posted as a script would: both views stay usable, and the page holds only what is on screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.async_api import Page, expect

from argus_testkit.stack import LocalStack

SignIn = Callable[[LocalStack, str], Any]

N_JOBS = 10_000
N_MODELS, N_DATASETS = 40, 50
AT_ONCE = 500
MOST_NODES = 4000
MOST_BYTES_OF_A_TILE = 80
"""Of JSON, before it is packed."""


def name_of(n: int) -> str:
    return f"job-{n}"


def post_sweep(sender: Any) -> str:
    """Job n of model n % 40 and dataset n // 40 % 50, loss n / 10,000; those below 8,000 have ended, every tenth badly."""
    batch_id = sender.start("ten thousand", jobs=("extra",), n_jobs_expected=N_JOBS)
    for first in range(0, N_JOBS, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        starts = [
            (name_of(n), {"model": f"model-{n % N_MODELS}", "dataset": f"dataset-{n // N_MODELS % N_DATASETS}"})
            for n in numbers
        ]
        sender.say(batch_id, "job_start", *starts, at_s=2)
        points = [(name_of(n), {"epoch": 1, "metrics": {"val_loss": n / N_JOBS}}) for n in numbers]
        sender.say(batch_id, "job_epoch", *points, at_s=3)
        if first < 8_000:
            sender.say(batch_id, "job_done", *((name_of(n), {}) for n in numbers if n % 10), at_s=4)
            failed = [(name_of(n), {"reason": "out of memory"}) for n in numbers if n % 10 == 0]
            sender.say(batch_id, "job_failed", *failed, at_s=5)
    return batch_id


async def n_nodes(page: Page) -> int:
    return await page.evaluate("document.querySelectorAll('*').length")


async def test_ten_thousand_jobs_as_a_table_and_as_a_matrix(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    batch_id = post_sweep(sender)
    page = await sign_in(stack, f"/runs/{batch_id}")
    rows = page.get_by_test_id("job-row")
    await expect(page.get_by_role("tab", name="Jobs 10,001")).to_be_visible(timeout=60_000)
    await expect(page.get_by_role("button", name="succeeded 7,200")).to_be_visible(timeout=60_000)
    assert await n_nodes(page) < MOST_NODES

    # Sorted, filtered and found, all of them counted.
    await page.get_by_role("button", name="Last loss").click()
    await expect(rows.first).to_contain_text("job-0")
    await page.get_by_role("button", name="Last loss").click()
    await expect(rows.first).to_contain_text("job-9999")
    await page.get_by_role("button", name="failed 800").click()
    await expect(rows.first).to_contain_text("job-7990")
    await page.get_by_role("button", name="failed 800").click()
    await page.get_by_role("button", name="Job", exact=True).click()
    await page.get_by_label("Search jobs").fill("dataset-49")
    await expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", "201")
    await page.get_by_label("Search jobs").fill("")
    await expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", "10002")

    # The keyboard reaches the end, and the page is no larger there.
    await page.get_by_label("Search jobs").blur()
    await page.keyboard.press("End")
    await expect(rows.last).to_contain_text("job-9999")
    await expect(page.locator("tr.at")).to_contain_text("job-9999")
    assert await n_nodes(page) < MOST_NODES

    # What arrives live changes its row, also among so many, and a new job gets a row.
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    for n in range(5):
        numbers = range(8_000, N_JOBS, 10)
        points = [(name_of(i), {"epoch": 2 + n, "metrics": {"val_loss": 0.5}}) for i in numbers]
        sender.say(batch_id, "job_epoch", *points, at_s=10 + n)
    sender.say(batch_id, "job_epoch", ("job-9999", {"epoch": 3, "metrics": {"val_loss": 0.125}}), at_s=20)
    await expect(rows.last).to_contain_text("0.125")
    sender.say(batch_id, "job_start", ("zz-late", {"name": "a late one", "model": "model-3"}), at_s=21)
    await expect(page.get_by_role("tab", name="Jobs 10,002")).to_be_visible()

    # The matrix: every job has a place, only those on screen exist.
    await page.keyboard.press("m")
    matrix = page.get_by_test_id("matrix")
    await expect(matrix.get_by_role("table")).to_have_attribute("aria-colcount", str(N_DATASETS + 1))
    await expect(matrix.get_by_role("columnheader", name="dataset-0", exact=True)).to_be_visible()
    await expect(matrix.get_by_role("link", name=re.compile("^job-0, failed"))).to_be_visible()
    assert await n_nodes(page) < MOST_NODES
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        await page.keyboard.press(key)
    at = matrix.locator(".tile.at")
    await expect(at).to_have_count(1)
    where = await at.get_attribute("href")
    await matrix.evaluate("(box) => box.scrollTo(box.scrollWidth, box.scrollHeight)")
    await expect(matrix.get_by_role("columnheader", name="dataset-49", exact=True)).to_be_visible()
    await expect(matrix.get_by_role("link", name="extra")).to_be_visible()  # of no model and dataset, at the very end
    assert await n_nodes(page) < MOST_NODES
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"{where}$"))
    await expect(page.get_by_test_id("latest-loss")).to_be_visible()

    # Opened as a matrix, the page asks for tiles alone; whole rows come when the table is there to show them.
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition(f"/api/batches/{batch_id}")[2]))
    async with page.expect_response(re.compile("/matrix$")) as answered:
        await page.goto(f"{stack.url}/runs/{batch_id}?view=matrix")
    assert len(await (await answered.value).body()) < N_JOBS * MOST_BYTES_OF_A_TILE
    await expect(page.get_by_role("tab", name="Jobs 10,002")).to_be_visible()
    await expect(page.get_by_role("button", name="succeeded 7,200")).to_be_visible()
    failed = matrix.get_by_role("link", name=re.compile("^job-0, failed"))
    await expect(failed).to_have_attribute("title", re.compile("out of memory"))
    assert not [path for path in asked if path.startswith("/jobs?")]
    await page.keyboard.press("m")
    await expect(rows.get_by_role("img", name="val_loss so far").first).to_be_visible()
    assert [path for path in asked if path.startswith("/jobs?")]
