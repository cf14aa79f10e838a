"""A run with its jobs, as a table and as a matrix, alive."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from playwright.async_api import BrowserContext, expect

from argus_testkit.stack import LocalStack

SignIn = Callable[[LocalStack, str], Any]


async def test_rows_of_jobs_follow_what_happens_without_a_reload(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.start("a sweep", jobs=("a", "b"))
    page = await sign_in(stack, f"/runs/{batch_id}")
    row = page.get_by_test_id("job-row").filter(has=page.get_by_role("link", name="a", exact=True))
    await expect(page.get_by_test_id("job-row")).to_have_count(2)
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    sender.epochs(batch_id, range(1, 26), job="a")
    await expect(row).to_contain_text("0.08")
    await expect(row).to_contain_text("25 %")
    sender.say(batch_id, "job_start", ("late", {"name": "late"}), at_s=40)
    await expect(page.get_by_test_id("job-row")).to_have_count(3)
    sender.say(batch_id, "job_failed", ("a", {"reason": "out of memory"}), at_s=50)
    await expect(row).to_contain_text("failed")
    sender.say(batch_id, "batch_failed", (None, {"reason": "one job failed", "exit_code": 3}), at_s=60)
    await expect(page.get_by_test_id("run-status")).to_have_text("failed")
    await expect(page.get_by_test_id("failure")).to_contain_text("one job failed")
    await expect(page).to_have_title("✕ a sweep · Argus")
    await expect(page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("^data:image/svg"))


async def test_the_matrix_marks_the_best_and_the_worst(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    batch_id = sender.start("a matrix", jobs=("plain",))
    for i, (model, dataset) in enumerate([("mlp", "digits"), ("mlp", "letters"), ("cnn", "digits")]):
        job = f"{model}-{dataset}"
        sender.say(batch_id, "job_start", (job, {"model": model, "dataset": dataset}), at_s=i)
        sender.say(batch_id, "job_epoch", (job, {"epoch": 1, "metrics": {"val_loss": 0.5 - i / 10}}), at_s=i + 1)
        sender.say(batch_id, "job_done", (job, {}), at_s=i + 2)
    page = await sign_in(stack, f"/runs/{batch_id}?view=matrix")
    await expect(page.get_by_role("columnheader", name="letters")).to_be_visible()
    await expect(page.get_by_role("link", name=re.compile("cnn-digits"))).to_contain_text("best")
    await expect(page.get_by_role("link", name=re.compile("mlp-digits"))).to_contain_text("worst")
    await page.keyboard.press("m")
    await page.get_by_role("button", name="Last loss").click()
    await expect(page).to_have_url(re.compile("sort=loss"))
    await expect(page.get_by_test_id("job-row").first).to_contain_text("cnn-digits")


async def test_a_page_opened_before_its_run_begins_comes_alive_by_itself(
    stack: LocalStack, sender: Any, sign_in: SignIn, browser_context: BrowserContext
) -> None:
    batch_id = f"b-{uuid.uuid4().hex[:12]}"
    run = await sign_in(stack, f"/runs/{batch_id}")
    await expect(run.get_by_role("heading", name="There is no such run")).to_be_visible()
    job = await browser_context.new_page()
    await job.goto(f"{stack.url}/jobs/{batch_id}/early")
    await expect(job.get_by_role("heading", name="There is no such job")).to_be_visible()
    sender.say(batch_id, "batch_start", (None, {"name": "born under an open page"}))
    await run.bring_to_front()
    await expect(run.get_by_role("heading", name="born under an open page")).to_be_visible()
    await expect(run.get_by_text("No job has started yet")).to_be_visible()
    await expect(run.get_by_test_id("live-badge")).to_have_text("live")
    sender.say(batch_id, "job_start", ("early", {"name": "early"}), at_s=1)
    sender.epochs(batch_id, range(1, 5), job="early")
    await expect(run.get_by_test_id("job-row")).to_contain_text("0.5")
    await job.bring_to_front()
    await expect(job.get_by_test_id("latest-loss")).to_have_text("0.5")
    sender.epochs(batch_id, range(5, 11), job="early")
    await expect(job.get_by_test_id("latest-loss")).to_have_text("0.2")


async def test_the_log_of_a_run_follows_all_of_its_jobs_without_asking_again(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.start("two jobs", jobs=("a", "b"))
    sender.lines(batch_id, range(3), job="a", text="first {}")
    page = await sign_in(stack, f"/runs/{batch_id}?tab=log")
    log = page.get_by_role("log")
    await expect(log.get_by_text("first 2", exact=True)).to_be_visible()
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/log-lines" in request.url else None)
    sender.lines(batch_id, range(20, 23), job="b", text="second {}")
    sender.lines(batch_id, range(3, 6), job="a", text="late {}")
    await expect(log.get_by_text("second 22", exact=True)).to_be_visible()
    await expect(log.get_by_text("late 5", exact=True)).to_be_visible()
    texts = await log.get_by_test_id("log-line").all_inner_texts()
    assert texts == [
        "first 0",
        "first 1",
        "first 2",
        "late 3",
        "late 4",
        "late 5",
        "second 20",
        "second 21",
        "second 22",
    ]
    assert asked == []
    await page.reload()
    await expect(log.get_by_test_id("log-line")).to_have_count(9)
    assert await log.get_by_test_id("log-line").all_inner_texts() == texts
