"""The job page: alive, zoomable, with a log that follows."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from argus_testkit.stack import LocalStack

SignIn = Callable[[LocalStack, str], Any]


async def saved_table(page: Page) -> list[list[str]]:
    """What the chart draws now, as the CSV that it saves."""
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Save as CSV").click()
    path = await (await downloading.value).path()
    return list(csv.reader(Path(path).read_text().splitlines()))


async def test_a_live_job_shows_itself_without_a_reload(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    batch_id = sender.start()
    sender.epochs(batch_id, range(1, 11))
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.2")
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    sender.epochs(batch_id, range(11, 51), accuracy=0.9)
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.04")
    await expect(page.get_by_test_id("strip")).to_contain_text("epoch 50 of 100")
    table = await saved_table(page)
    assert table[0] == ["step", "train_loss", "val_loss"]
    assert [int(row[0]) for row in table[1:]] == list(range(1, 51))
    assert [float(row[1]) for row in table[1:]] == [1 / n for n in range(1, 51)]
    await page.get_by_role("button", name=re.compile("^accuracy")).click()
    await expect(page).to_have_url(re.compile("metric=accuracy"))
    gpus = [{"index": i, "util_pct": 40.0 * (i + 1), "memory_used_bytes": 2**30} for i in range(2)]
    sender.say(batch_id, "resource_snapshot", ("job", {"gpus": gpus, "cpu_pct": 55.0}), at_s=60)
    await expect(page.get_by_test_id("strip")).to_contain_text("60 %")
    await expect(page.get_by_test_id("strip")).to_contain_text("2 GiB")
    await page.get_by_text("mean of 2 GPUs").hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("80 %")
    sender.say(
        batch_id, "job_failed", ("job", {"reason": "CUDA out of memory", "traceback": "Traceback:\n  boom"}), at_s=70
    )
    await expect(page.get_by_test_id("job-status")).to_have_text("failed")
    await expect(page.get_by_test_id("failure")).to_contain_text("CUDA out of memory")
    await expect(page.get_by_test_id("failure")).to_contain_text("boom")


async def test_a_drag_zooms_and_a_double_click_shows_everything_again(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.start()
    sender.epochs(batch_id, range(1, 101))
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    chart = page.get_by_role("img", name=re.compile("^Loss of job"))
    await expect(chart.locator("canvas")).to_be_visible()
    box = await chart.bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 100)
    await expect(page.get_by_test_id("readout")).to_contain_text("train_loss")
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 100, steps=5)
    await page.mouse.up()
    await expect(page).to_have_url(re.compile(r"from=\d+&to=\d+"))
    shown = re.search(r"from=(\d+)&to=(\d+)", page.url)
    assert shown
    first, last = int(shown[1]), int(shown[2])
    assert 25 < first < 50 < last < 75
    steps = [int(row[0]) for row in (await saved_table(page))[1:]]
    assert steps == list(range(first, last + 1))
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Save as PNG").click()
    picture = Path(await (await downloading.value).path()).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 5_000
    await page.keyboard.down("Shift")
    await page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 100)
    await page.mouse.down()
    await page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 100, steps=5)
    await page.mouse.up()
    await page.keyboard.up("Shift")
    await expect(page).not_to_have_url(re.compile(f"from={first}&"))
    moved = re.search(r"from=(\d+)&to=(\d+)", page.url)
    assert moved
    assert int(moved[1]) > first
    assert int(moved[2]) - int(moved[1]) == last - first
    await expect(page.get_by_test_id("metric-panel")).to_be_visible()
    await chart.dblclick(position={"x": box["width"] / 2, "y": 100})
    await expect(page).not_to_have_url(re.compile("from="))
    await page.keyboard.press("l")
    await page.keyboard.press("t")
    await expect(page).to_have_url(re.compile("x=time"))
    await expect(page).to_have_url(re.compile("y=log"))
    assert (await saved_table(page))[0][0] == "time_utc"


async def test_nan_is_a_mark_and_not_a_zero(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    batch_id = sender.start()
    sender.epochs(batch_id, range(1, 4))
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    await expect(page.get_by_test_id("latest-loss")).to_have_text("0.6667")
    sender.say(batch_id, "job_epoch", ("job", {"epoch": 4, "metrics": {"train_loss": 0.1, "val_loss": "NaN"}}), at_s=9)
    await expect(page.get_by_test_id("latest-loss")).to_have_text("NaN")
    assert (await saved_table(page))[-1] == ["4", "0.1", "NaN"]
    await page.reload()
    await expect(page.get_by_test_id("latest-loss")).to_have_text("NaN")
    await expect(page.get_by_role("img", name=re.compile("^Loss of job"))).to_be_visible()
    assert (await saved_table(page))[-1] == ["4", "0.1", "NaN"]


async def test_the_log_follows_stops_when_the_reader_scrolls_and_knows_its_gaps(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.start()
    sender.lines(batch_id, range(450))
    sender.lines(batch_id, range(450, 812))
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    log = page.get_by_role("log")
    await log.scroll_into_view_if_needed()
    await expect(log.get_by_text("line 811", exact=True)).to_be_in_viewport()
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    sender.lines(batch_id, range(841, 850))
    await expect(log.get_by_text("line 849", exact=True)).to_be_in_viewport()
    await expect(log.get_by_text("lines 812–840 not received")).to_be_visible()
    await log.evaluate("(box) => { box.scrollTop -= 300 }")
    sender.lines(batch_id, range(850, 870))
    more = page.get_by_role("button", name="20 new lines")
    await expect(more).to_be_visible()
    await expect(log.get_by_text("line 869", exact=True)).not_to_be_in_viewport()
    await more.click()
    await expect(log.get_by_text("line 869", exact=True)).to_be_in_viewport()
    await log.hover()
    for _ in range(40):
        await page.mouse.wheel(0, -2000)
        if await log.get_by_text("line 0", exact=True).count():
            break
        await page.wait_for_timeout(100)
    await expect(log.get_by_text("line 0", exact=True)).to_be_visible()
    await page.get_by_label("Search the log").fill("LINE 123")
    await expect(log.get_by_test_id("log-line")).to_have_count(1)
    await expect(log.locator("mark")).to_have_text("line 123")


async def test_levels_and_colours_of_the_log(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    batch_id = sender.start()
    sender.lines(batch_id, range(3), text="\x1b[32mgreen {}\x1b[0m plain", level="INFO")
    sender.lines(batch_id, range(3, 4), text="it broke {}", level="ERROR")
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    log = page.get_by_role("log")
    colored = log.get_by_text("green 1", exact=True)
    plain = log.get_by_text("plain").first
    color = "(one) => getComputedStyle(one).color"
    assert await colored.evaluate(color) != await plain.evaluate(color)
    await page.get_by_role("group", name="Levels").get_by_role("button", name="error").click()
    await expect(log.get_by_test_id("log-line")).to_have_count(1)
    await expect(log.get_by_test_id("log-line")).to_have_text("it broke 3")


async def test_the_command_is_copied_as_a_shell_takes_it(
    stack: LocalStack, sender: Any, sign_in: SignIn, page: Page
) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    batch_id = sender.start()
    await sign_in(stack, f"/jobs/{batch_id}/job")
    await page.get_by_role("toolbar", name="Actions").get_by_role("button", name="Copy command").click()
    await expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "python train.py --note 'it'\\''s mine'"
