"""W1: names, log lines and errors of strangers are text on every page: no dialog, no script, no violation of the policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.async_api import expect

from argus_testkit.stack import LocalStack

SignIn = Callable[[LocalStack, str], Any]

WIDER_BY = "Math.max(...['html', 'main'].map((box) => document.querySelector(box)).map((box) => box.scrollWidth - box.clientWidth))"
PAYLOADS = [  # one by one through every page; test_stored_xss.py has all sixty of them at once
    "<img src=x onerror=alert(1)>",
    "{{constructor.constructor('alert(4)')()}}",
]


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_it_is_shown_letter_by_letter(stack: LocalStack, sender: Any, sign_in: SignIn, payload: str) -> None:
    data = {"project": payload, "labels": [payload], "params": {payload: payload}, "tags": {"note": payload}}
    batch_id = sender.start(payload, jobs=(payload,), **data)
    sender.say(
        batch_id,
        "job_start",
        (payload, {"name": payload, "model": payload, "dataset": payload, "host": payload}),
        at_s=2,
    )
    sender.say(batch_id, "job_epoch", (payload, {"epoch": 1, "metrics": {"train_loss": 1.0, payload: 2.0}}), at_s=3)
    sender.lines(batch_id, range(1), job=payload, text=payload.replace("{", "{{").replace("}", "}}"))
    sender.say(batch_id, "job_failed", (payload, {"reason": payload, "traceback": payload}), at_s=5)
    sender.say(batch_id, "batch_failed", (None, {"reason": payload, "error_report": payload}), at_s=6)
    page = await sign_in(stack, f"/runs/?search={batch_id}")
    await expect(page.get_by_test_id("run-row").get_by_role("link").first).to_have_text(payload)
    await page.get_by_test_id("run-row").get_by_role("link").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(payload)
    await page.get_by_role("tab", name="Environment").click()
    await expect(page.get_by_label("Params").get_by_text(payload).first).to_be_visible()
    await page.get_by_role("tab", name="Log").click()
    await expect(page.get_by_test_id("log-line")).to_have_text(payload)
    await page.get_by_role("tab", name="Jobs").click()
    await page.get_by_role("button", name="Matrix").click()
    await page.get_by_role("button", name="Table").click()
    await page.get_by_test_id("job-row").get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(payload)
    await expect(page.get_by_test_id("log-line")).to_have_text(payload)
    await expect(page.get_by_test_id("failure")).to_contain_text(payload)
    chip = page.get_by_role("button", name=payload[:12]).first
    await chip.click()
    chart = page.get_by_role("img", name=payload)
    await expect(chart.locator("canvas")).to_be_visible()
    await chart.hover(position={"x": 200, "y": 100})
    await expect(page.get_by_test_id("readout")).to_contain_text(payload)
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("option").first).to_be_visible()


async def test_escapes_and_hidden_letters_of_a_log_line_do_nothing(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.start()
    sender.lines(
        batch_id,
        range(1),
        text="\x1b]8;;https://example.org\x07a link\x1b]8;;\x07 \x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31mend \u202egnp.exe",
    )
    page = await sign_in(stack, f"/jobs/{batch_id}/job")
    await expect(page.get_by_test_id("log-line")).to_have_text("a link end ⟨U+202E⟩gnp.exe")
    await expect(page.get_by_role("log").get_by_role("link")).to_have_count(0)


async def test_long_values_widen_no_page_and_can_be_copied(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    long = "a-very-long-value-" * 12
    batch_id = sender.start(
        "long", jobs=("j",), project=long, labels=[long], params={long: long, "rates": list(range(90))}
    )
    sender.say(batch_id, "job_start", ("k", {"name": long, "model": "m" * 200, "dataset": "d" * 200}), at_s=2)
    sender.say(batch_id, "job_failed", ("j", {"reason": f"\x1b[31m{long}\x1b[0m", "traceback": long}), at_s=5)
    page = await sign_in(stack, f"/runs/{batch_id}")
    for address in (f"/runs/{batch_id}", f"/jobs/{batch_id}/k", f"/jobs/{batch_id}/j"):
        for width in (1440, 420):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(f"{stack.url}{address}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await expect(page.get_by_text("long").first).to_be_visible()
            assert await page.evaluate(WIDER_BY) == 0, (address, width)
    assert "\x1b" not in await page.get_by_test_id("failure").inner_text()
    await page.get_by_role("button", name="Copy rates").click()
