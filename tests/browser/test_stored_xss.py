"""W1: sixty payloads in every name that a sender can give, on every page: no script, no dialog, no violation of the
policy, and the text as it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from argus_testkit.stack import LocalStack
from argus_testkit.waiting import eventually_async

SignIn = Callable[[LocalStack, str], Any]
RUN = "window.__pwned=1"
PAYLOADS = [
    f"<script>{RUN}</script>", f"<ScRiPt>{RUN}</sCrIpT>", f"<script src=data:,{RUN}></script>", f"<script/x>{RUN}</script>", f"</script><script>{RUN}",
    f"<img src=x onerror={RUN}>", f'"><img src=x onerror="{RUN}">', f"'><img src=x onerror='{RUN}'>", f"<img/src=x/onerror={RUN}>", f"<IMG SRC=x ONERROR={RUN}>",
    f"<svg onload={RUN}>", f"<svg/onload={RUN}>", f"<svg><script>{RUN}</script></svg>", f"<svg><animate onbegin={RUN} attributeName=x>", "<svg><use href=data:,x#x></svg>",
    f"<svg><a xlink:href=javascript:{RUN}><text>x</text></a>", f"<math><mtext></mtext><script>{RUN}</script></math>", f"<body onload={RUN}>", f"<input autofocus onfocus={RUN}>",
    f"<details open ontoggle={RUN}>", f"<video><source onerror={RUN}>", f"<audio src=x onerror={RUN}>", f"<marquee onstart={RUN}>", f"<select autofocus onfocus={RUN}>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'>", f"<iframe src=javascript:parent.{RUN}>", f"<object data=javascript:{RUN}>", f"<embed src=javascript:{RUN}>",
    f"<a href=javascript:{RUN}>x</a>", f"<form action=javascript:{RUN}><button>x", f"<button formaction=javascript:{RUN}>x", "<base href=//evil.example/>",
    f"<meta http-equiv=refresh content=0;url=javascript:{RUN}>", "<link rel=stylesheet href=//evil.example/x>", "<style>@import'//evil.example/x'</style>",
    f"<style>*{{animation:x}}</style><p onanimationend={RUN}>", f"<div onpointerover={RUN} style=position:fixed;inset:0>", f"<template><script>{RUN}</script></template>",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>", f"<!--><img src=x onerror={RUN}>-->", f"<![CDATA[<img src=x onerror={RUN}>]]>", f"<xmp><img src=x onerror={RUN}>",
    f"javascript:{RUN}", f"JaVaScRiPt:{RUN}//", f"java\tscript:{RUN}", f"data:text/html,<script>{RUN}</script>", "vbscript:x", f"&lt;script&gt;{RUN}&lt;/script&gt;", f"&#60;img src=x onerror={RUN}&#62;",
    f"\\u003cscript\\u003e{RUN}", f"%3Cscript%3E{RUN}%3C/script%3E", f"{{{{constructor.constructor('{RUN}')()}}}}", f"{{{{_c.constructor('{RUN}')()}}}}", f"${{{RUN}}}", f"#{{{RUN}}}", f"<%= {RUN} %>",
    f"{{a|<b onmouseover={RUN}>x</b>}}", f"{{marker}}<img src=x onerror={RUN}>{{value}}", f"[x](javascript:{RUN})", f"![x](x'onerror={RUN})", f"`{RUN}`", f"');{RUN};//", f'";{RUN};//',
    "__proto__", "constructor", "=HYPERLINK(\"//evil.example\")", "\u202e<img src=x>\u2066gpj", "＜script＞x＜/script＞", "<\u200bscript>x",
]  # fmt: skip
SHOWN_BY_NUMBER = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
SEEN = """() => ({
    pwned: window.__pwned ?? null,
    words: [document.body.textContent, document.title, ...[...document.querySelectorAll('[title], [aria-label]')].flatMap((e) => [e.title ?? '', e.getAttribute('aria-label') ?? '']),
            ...[...document.querySelectorAll('svg title')].map((e) => e.textContent)].join('\\n'),
    planted: [...document.querySelectorAll('script:not([src^="/assets/"]):not([src="/theme.js"]), iframe, object, embed, base, form[action], img[src="x"], [srcdoc], [formaction], math, marquee, '
        + 'video, audio, details, xmp, template, meta[http-equiv], use[href], animate, link[href*="evil"]')]
        .filter((e) => !e.getAttributeNames().some((name) => name.startsWith('data-v-')))  // ours bear the mark of their component
        .map((e) => e.outerHTML.slice(0, 120)),
    handlers: [...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames().filter((name) => name.startsWith('on')).map((name) => `${e.tagName} ${name}`)),
    links: [...document.querySelectorAll('a[href], area[href]')].map((e) => e.href).filter((href) => new URL(href).origin !== location.origin),
})"""


def as_shown(payload: str) -> str:
    """Letters that hide or turn text stand there by their number."""
    return SHOWN_BY_NUMBER.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", payload)


async def look(page: Page, expected: list[str], what: str, links: tuple[str, ...] = ()) -> None:
    """Everything expected is on the page as it was sent, and nothing of it is anything but text."""

    async def missing() -> list[str]:
        words = (await page.evaluate(SEEN))["words"]
        return [payload for payload in expected if as_shown(payload) not in words]

    async def is_complete() -> bool:
        lacking = await missing()
        assert lacking == [], what
        return True

    await eventually_async(is_complete, within=60)
    seen = await page.evaluate(SEEN)
    assert seen["pwned"] is None, what
    assert (seen["planted"], seen["handlers"]) == ([], []), what
    assert [link for link in seen["links"] if not link.startswith(links)] == [], what
    assert not SHOWN_BY_NUMBER.search(seen["words"]), f"{what}: letters that turn the text around them"


@pytest.fixture
def run_of_payloads(sender: Any) -> str:
    """One run whose every name, value, line and text is one of them."""
    job_ids = [payload if payload.isprintable() else f"job-{n}" for n, payload in enumerate(PAYLOADS)]
    batch_id = sender.start(PAYLOADS[5], project=PAYLOADS[5], jobs=tuple(job_ids), labels=PAYLOADS[:50], params=dict(zip(PAYLOADS, reversed(PAYLOADS), strict=True)),
                            tags={payload: payload for payload in PAYLOADS[:20]}, output_dir=PAYLOADS[7], work_dir=PAYLOADS[7], runner=PAYLOADS[7], cluster=PAYLOADS[7])  # fmt: skip
    named = [
        (job, {"name": name, "model": name, "dataset": name, "host": name, "instance_type": name})
        for job, name in zip(job_ids, PAYLOADS, strict=True)
    ]
    sender.say(batch_id, "job_start", *named, at_s=2)
    git = {"commit": PAYLOADS[0], "branch": PAYLOADS[6], "remote": f"javascript:{RUN}//.git", "dirty": True}
    environment = {"command": ["python", *PAYLOADS], "host": PAYLOADS[10], "cwd": PAYLOADS[5], "user": PAYLOADS[5], "python": PAYLOADS[10], "git": git,
                   "gpus": [{"name": PAYLOADS[6]}], "env_names": PAYLOADS[:30], "packages_digest": "x" * 8}  # fmt: skip
    sender.say(batch_id, "env_snapshot", (None, environment), at_s=3)
    for n, first in enumerate(range(0, len(PAYLOADS), 20)):
        for epoch in (1, 2, 3):
            metrics = {payload: float(epoch) for payload in PAYLOADS[first : first + 20]}
            sender.say(batch_id, "job_epoch", (job_ids[0], {"epoch": 10 * n + epoch, "metrics": metrics}), at_s=4)
    lines = [
        (job_ids[0], {"line_no": n, "stream": "stdout", "line": line, "level": "error"})
        for n, line in enumerate(PAYLOADS)
    ]
    sender.say(batch_id, "log_line", *lines, at_s=5)
    broken = "\n".join(PAYLOADS)
    sender.say(
        batch_id, "job_failed", *((job, {"reason": PAYLOADS[5], "traceback": broken}) for job in job_ids[:3]), at_s=6
    )
    bills = [
        (job, {"amount_usd": 1.0, "basis": payload}) for job, payload in zip(job_ids[:40], PAYLOADS[:40], strict=True)
    ]
    sender.say(batch_id, "cost_recorded", *bills, at_s=7)
    sender.say(batch_id, "batch_failed", (None, {"reason": PAYLOADS[5], "error_report": broken}), at_s=7)
    return batch_id


async def test_no_payload_does_anything_on_any_page(
    stack: LocalStack, sender: Any, sign_in: SignIn, run_of_payloads: str
) -> None:
    batch_id = run_of_payloads
    for payload in PAYLOADS:
        sender.start(payload, project=payload, labels=[payload], host=payload)
    with stack.client() as key:
        for payload in PAYLOADS[:40]:
            assert key.post(
                "/api/keys", json={"name": SHOWN_BY_NUMBER.sub("", payload).replace("\t", " ")}
            ).status_code in (201, 422)
        for payload in PAYLOADS:  # names of users and workspaces hold letters, digits and a few signs: none of these
            if not payload.isidentifier():
                assert key.post("/api/users", json={"username": payload}).status_code == 422
                assert key.post("/api/workspaces", json={"name": payload}).status_code == 422
    page = await sign_in(stack, "/runs/")
    await page.set_viewport_size({"width": 2400, "height": 6000})  # tall enough for every row of every table
    await look(page, PAYLOADS, "the list of runs")
    await page.goto(
        f"{stack.url}/runs/?project={quote(PAYLOADS[5])}&user={quote(PAYLOADS[1])}&search={quote(PAYLOADS[6])}&status={quote(PAYLOADS[5])}"
    )
    await look(page, [PAYLOADS[1]], "filters that the address carries")

    await page.goto(f"{stack.url}/runs/{batch_id}")
    await look(page, PAYLOADS, "the jobs of a run")
    await page.get_by_role("button", name="Matrix").click()
    await look(page, PAYLOADS, "the matrix of jobs")
    for tile in (await page.locator("a.tile").all())[:5]:
        await tile.hover()
    await page.get_by_role("button", name="Table").click()
    await page.get_by_role("tab", name="Log").click()
    await look(page, [payload for payload in PAYLOADS if "\t" not in payload], "the log of a run")
    await page.get_by_role("tab", name="Cost & outputs").click()
    await expect(page.get_by_test_id("cost-report").first).to_be_visible()
    for _ in range(2):
        await page.get_by_role("button", name=re.compile(r"^All \d+$")).first.click()
    await look(page, [], "cost and outputs")
    await page.get_by_role("tab", name="Environment").click()
    await expect(page.get_by_label("Params", exact=True)).to_be_visible()
    folded = page.get_by_role("button", name=re.compile(r"^All \d+$"))
    while await folded.count():
        await folded.first.click()
    await look(page, PAYLOADS, "environment and params")
    await page.keyboard.press("Control+k")
    await page.get_by_role("combobox").or_(page.get_by_placeholder("Find a run")).first.fill("<")
    await expect(page.get_by_role("option").first).to_be_visible()
    await look(page, [], "the palette")
    await page.keyboard.press("Escape")

    await page.goto(f"{stack.url}/dashboard/?days=all")
    await look(page, [PAYLOADS[5], PAYLOADS[7], *PAYLOADS[:50]], "the dashboard")
    await page.get_by_test_id("run-card").first.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Delete outputs…").click()
    await expect(page.get_by_role("dialog").get_by_role("list", name="The selected runs")).to_be_visible()
    await look(page, [PAYLOADS[5]], "what would be deleted")
    address = "&".join(f"names={quote(payload, safe='')}" for payload in PAYLOADS[:12])
    await page.goto(f"{stack.url}/dashboard/?{address}&user={quote(PAYLOADS[1])}&label={quote(PAYLOADS[6])}")
    await look(page, [], "names that the address carries")
    await page.goto(
        f"{stack.url}/dashboard/?user={quote(PAYLOADS[1])}&label={quote(PAYLOADS[6])}&cluster={quote(PAYLOADS[1])}"
    )
    await look(page, [PAYLOADS[1]], "whose runs the address asks for")

    await page.goto(f"{stack.url}/settings/keys")
    await look(page, [payload for payload in PAYLOADS[:40] if "\t" not in payload], "the keys")
    await page.get_by_role("button", name="Revoke").first.click()
    await look(page, [], "revoking a key")
    for n, payload in enumerate(PAYLOADS[::6]):
        address = quote(payload, safe="")
        await page.goto(
            f"{stack.url}/{('nowhere', 'runs', 'jobs/' + batch_id)[n % 3]}/{address}?next={address}#{address}"
        )
        await look(page, [], f"an address with {payload}")


async def test_curves_and_everything_that_hovers_are_text(
    stack: LocalStack, sign_in: SignIn, run_of_payloads: str
) -> None:
    page = await sign_in(stack, "/runs/")
    await page.set_viewport_size({"width": 2400, "height": 3000})
    for first in range(0, len(PAYLOADS), 20):
        keys = PAYLOADS[first : first + 20]
        query = "&".join(f"metric={quote(key, safe='')}" for key in keys)
        await page.goto(f"{stack.url}/jobs/{run_of_payloads}/{quote(PAYLOADS[0], safe='')}?{query}")
        chart = page.get_by_test_id("metric-panel").locator("canvas").first
        await expect(chart).to_be_visible()
        box = await chart.bounding_box()
        assert box is not None
        await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        readout = page.get_by_test_id("readout").first
        for key in keys:
            await expect(readout).to_contain_text(as_shown(key))
        await page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 20)
    if await page.get_by_role("button", name=re.compile(r"^All \d+$")).count():
        await page.get_by_role("button", name=re.compile(r"^All \d+$")).first.click()
    await look(page, PAYLOADS, "a job")
    for chip in (await page.locator("button.chip").all())[::8]:
        await chip.hover()
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Save as PNG").click()
    assert "/" not in (await saved.value).suggested_filename
    await look(page, [], "after hovering and saving")


async def test_the_sign_in_page_leads_nowhere_else(stack: LocalStack, page: Page) -> None:
    """`next` is an address of this Argus or none."""
    for target in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        f"javascript:{RUN}",
        "/\t/evil.example",
        "data:text/html,x",
        "\\\\evil.example",
    ):
        await page.context.clear_cookies()
        await page.goto(f"{stack.url}/login?next={quote(target, safe='')}")
        await page.get_by_label("User name").fill(stack.credentials.username)
        await page.get_by_label("Password").fill(stack.credentials.password)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile(r"^(?!.*/login)"))
        assert page.url.startswith(f"{stack.url}/"), target
        await look(page, [], target)


async def test_what_these_tests_look_for_they_would_find(
    stack: LocalStack, sign_in: SignIn, watched: list[str]
) -> None:
    """A payload that does become a part of the page is seen as such; even then the policy does not let it run."""
    page = await sign_in(stack, "/runs/")
    for payload in PAYLOADS[5], PAYLOADS[24], PAYLOADS[28]:
        await page.evaluate("(html) => document.body.insertAdjacentHTML('beforeend', html)", payload)
    seen = await page.evaluate(SEEN)
    assert len(seen["planted"]) == 2
    assert seen["handlers"] == ["IMG onerror"]
    assert seen["links"] == [f"javascript:{RUN}"]
    assert seen["pwned"] is None
    await eventually_async(lambda: any("CSP" in trouble for trouble in watched))
    await page.goto("about:blank")
    watched.clear()
