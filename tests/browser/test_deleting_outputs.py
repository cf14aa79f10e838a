"""Deleting outputs from the dashboard: a preview, a typed phrase, time to think again, and a receipt."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from playwright.async_api import Locator, Page, expect

from argus_local.s3 import OUTPUTS_BUCKET
from argus_testkit import eventually
from argus_testkit.stack import LocalStack

SignIn = Callable[..., Any]
NewPerson = Callable[[], Any]
GRACE_S = 12


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One that gives a person some seconds to think again, and no more to a run that still speaks."""
    env = {"ARGUS_DELETION_GRACE_S": str(GRACE_S), "ARGUS_DELETION_QUIET_S": "0", "ARGUS_MEASURE_EVERY_S": "0.5"}
    env["ARGUS_OUTPUT_ROOTS"] = f"s3://{OUTPUTS_BUCKET}/"
    with LocalStack(tmp_path_factory.mktemp("deleting") / "home", env) as whole:
        yield whole


@pytest.fixture(scope="module")
def bucket(stack: LocalStack) -> Any:
    settings = stack.facts.s3
    session = boto3.session.Session(settings.access_key, settings.secret_key, region_name="us-east-1")
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    return session.resource("s3", endpoint_url=settings.url, config=config).Bucket(OUTPUTS_BUCKET)


def finished(sender: Any, bucket: Any, name: str, project: str, n_bytes: int = 3000) -> str:
    """A run that has ended and left two objects, which have been measured. Answers its id."""
    folder = f"{project}/{name.replace(' ', '-')}"
    for key, size in (("model.bin", n_bytes), ("plots/a.png", 72)):
        bucket.put_object(Key=f"{folder}/{key}", Body=b"x" * size)
    batch_id = sender.end(sender.start(name, project, output_dir=f"s3://{OUTPUTS_BUCKET}/{folder}/"))
    eventually(
        lambda: sender.client.get(f"/api/batches/{batch_id}").json().get("run", {}).get("output_bytes") is not None,
        within=60,
        what=f"the outputs of {name} are measured",
    )
    return batch_id


def keys_of(bucket: Any, project: str) -> set[str]:
    return {one.key.removeprefix(f"{project}/") for one in bucket.objects.filter(Prefix=f"{project}/")}


def card(page: Page, name: str) -> Locator:
    return page.get_by_test_id("run-card").filter(has=page.get_by_role("link", name=name, exact=True))


def row(page: Page, name: str) -> Locator:
    return page.get_by_test_id("deletion-row").filter(has_text=name)


async def choose(page: Page, *names: str) -> None:
    for name in names:
        await card(page, name).get_by_role("checkbox").check()


async def confirm(page: Page, phrase: str) -> None:
    await page.get_by_role("button", name="Delete outputs…").click()
    field = page.get_by_role("dialog").get_by_role("textbox")
    await expect(field).to_be_focused()
    await page.keyboard.type(phrase)
    await page.keyboard.press("Enter")


async def test_outputs_go_after_the_phrase_and_can_be_kept_in_the_grace_time(
    stack: LocalStack, sender: Any, bucket: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    gone_id = finished(sender, bucket, "to go", project)
    finished(sender, bucket, "to keep", project)
    page = await sign_in(stack, f"/dashboard/?search={project}")
    strip = page.get_by_test_id("deletion-strip")
    await expect(strip).to_have_count(0)
    await expect(page.get_by_role("img", name=re.compile("annual storage cost.* for 6 KiB"))).to_be_visible()
    await choose(page, "to go", "to keep")
    await expect(page.get_by_label("Selection")).to_contain_text("up to 6 KiB reclaimed")
    opener = page.get_by_role("button", name="Delete outputs…")
    await opener.click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("6 KiB in 4 objects")).to_be_visible()
    await expect(dialog.get_by_role("listitem")).to_have_count(2)
    button = dialog.get_by_role("button", name="Delete outputs")
    await expect(dialog.get_by_role("textbox")).to_be_focused()
    for wrong in ("delete 2 run", "Delete 2 runs", "delete 3 runs", "delete 2 runs "):
        await dialog.get_by_role("textbox").fill(wrong)
        await expect(button).to_be_disabled()
        await page.keyboard.press("Enter")
        await expect(dialog).to_be_visible()
    for _ in range(4):
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('[role=dialog]') !== null")
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(opener).to_be_focused()
    assert len(keys_of(bucket, project)) == 4

    await confirm(page, "delete 2 runs")
    said = page.get_by_role("status").filter(has_text="2 deletions are queued")
    await expect(said).to_be_focused()
    await expect(page.get_by_label("Selection")).to_have_count(0)
    await expect(strip).to_contain_text("2 in progress")
    await expect(strip).to_have_class(re.compile("is-running"))
    await strip.get_by_role("button", name="Details").click()
    await expect(row(page, "to keep")).to_contain_text(re.compile(r"0:\d\d"))
    await page.get_by_role("button", name="Cancel deleting the outputs of to keep").click()
    await expect(row(page, "to keep")).to_contain_text("cancelled")
    await expect(strip).to_contain_text("1 succeeded")
    await expect(strip).to_have_class(re.compile("is-succeeded"))
    await expect(row(page, "to go")).to_contain_text("3 KiB freed · 2 objects")
    assert keys_of(bucket, project) == {"to-keep/model.bin", "to-keep/plots/a.png"}
    await expect(card(page, "to go")).to_contain_text("outputs deleted")
    await expect(card(page, "to go")).to_contain_text("0 B")
    ended = page.get_by_role("status").filter(has_text="2 deletions have ended: 1 deleted, 1 cancelled.")
    await expect(ended).to_be_visible()

    await card(page, "to go").get_by_role("button", name="outputs deleted").click()
    receipt = page.get_by_role("dialog")
    await expect(receipt).to_contain_text("3 KiB freed")
    await expect(receipt).to_contain_text("outputs deletion finished")
    async with page.expect_download() as download:
        await receipt.get_by_role("link", name="Download as JSON").click()
    written = json.loads((await (await download.value).path()).read_text())["deletion"]
    assert (written["batch_id"], written["state"], written["objects_deleted"]) == (gone_id, "deleted", 2)
    await page.keyboard.press("Escape")
    await page.goto(f"{stack.url}/runs/{gone_id}?tab=costs")
    await expect(page.get_by_test_id("cost-and-outputs")).to_contain_text("Deleted")


async def test_what_cannot_be_deleted_is_said_before_and_after(
    stack: LocalStack, sender: Any, bucket: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    finished(sender, bucket, "with outputs", project)
    sender.end(sender.start("without", project))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await choose(page, "with outputs", "without")
    await expect(page.get_by_label("Selection")).to_contain_text("1 run with nothing to delete")
    await page.get_by_role("button", name="Delete outputs…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("1 run is left alone: without an output folder.")
    await page.keyboard.press("Escape")
    await confirm(page, "delete 2 runs")
    await expect(page.get_by_role("status").filter(has_text="1 deletion is queued")).to_contain_text(
        "1 run left alone, without an output folder: without"
    )
    await choose(page, "with outputs", "without")
    await expect(page.get_by_label("Selection")).to_contain_text("nothing to delete in any of them")
    await expect(page.get_by_role("button", name="Delete outputs…")).to_be_disabled()
    await page.keyboard.press("d")
    await expect(dialog).to_have_count(0)


async def test_the_two_charts_have_the_same_buckets_and_one_crosshair(
    stack: LocalStack, sender: Any, bucket: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    batch_id = finished(sender, bucket, "spent and kept", project)
    sender.say(batch_id, "cost_recorded", (None, {"amount_usd": 3.0}), at_s=61)
    page = await sign_in(stack, f"/dashboard/?days=all&search={project}")
    spent = page.get_by_role("region", name="Compute spend over time")
    kept = page.get_by_role("region", name="Projected annual storage cost")
    await expect(kept.get_by_role("img", name=re.compile("for 3 KiB"))).to_be_visible()
    await spent.get_by_role("img").focus()
    await page.keyboard.press("ArrowLeft")
    await expect(spent.get_by_test_id("readout")).to_contain_text("$3.00")
    await expect(kept.get_by_test_id("readout")).to_contain_text("3 KiB")
    words = await spent.get_by_test_id("readout").locator("b").inner_text()
    last_day = words.rpartition("–")[2].strip()
    await expect(kept.get_by_test_id("readout")).to_contain_text(f"by the end of {last_day}")
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("readout")).to_have_count(0)


async def test_the_phrase_and_the_buttons_stay_in_sight_however_much_is_refused(
    stack: LocalStack, sender: Any, bucket: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    finished(sender, bucket, "with outputs", project)
    for n in range(24):
        sender.end(sender.start(f"elsewhere {n}", project, output_dir=f"s3://elsewhere/{project}/{n}/"))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(page.get_by_test_id("run-card")).to_have_count(25)
    await page.keyboard.press("a")
    await page.get_by_role("button", name="Delete outputs…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_text("24 runs are left alone: at an address that is refused.")).to_be_visible()
    for size in ((1000, 800), (390, 800)):
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        for part in (dialog.get_by_role("textbox"), dialog.get_by_role("button", name="Delete outputs")):
            await expect(part).to_be_in_viewport(ratio=1)
    await dialog.get_by_text("Why", exact=True).click()
    await expect(dialog.get_by_text(f"s3://elsewhere/{project}/7/")).to_be_visible()
    await expect(dialog.get_by_role("textbox")).to_be_in_viewport(ratio=1)


async def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_happens_twice(
    stack: LocalStack, sender: Any, bucket: Any, sign_in: SignIn
) -> None:
    project = f"p-{uuid.uuid4().hex[:8]}"
    batch_id = finished(sender, bucket, "once", project)
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await choose(page, "once")
    lost: list[str] = []

    async def lose(route: Any) -> None:
        """It arrives; its answer does not."""
        if route.request.method == "POST" and not lost:
            lost.append(route.request.post_data_json["command_id"])
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/api/outputs/deletions", lose)
    await confirm(page, "delete 1 run")
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("alert")).to_contain_text("pressing again does nothing twice")
    async with page.expect_request("**/api/outputs/deletions") as again:
        await dialog.get_by_role("button", name="Delete outputs").click()
    assert (await again.value).post_data_json["command_id"] == lost[0]
    await expect(page.get_by_role("status").filter(has_text="1 deletion is queued")).to_be_visible()
    listed = sender.client.get("/api/dashboard/deletions").json()["items"]
    assert len([one for one in listed if one["batch_id"] == batch_id]) == 1


async def test_an_admin_deletes_for_the_user_whom_he_has_chosen(
    stack: LocalStack, new_person: NewPerson, bucket: Any, sign_in: SignIn
) -> None:
    project, eve = f"p-{uuid.uuid4().hex[:8]}", new_person()
    finished(eve.sender, bucket, "of eve", project)
    page = await sign_in(stack, f"/dashboard/?user={eve.name}&search={project}")
    await choose(page, "of eve")
    async with page.expect_request(
        lambda request: request.url.endswith("/api/outputs/deletions") and request.method == "POST"
    ) as sent:
        await confirm(page, "delete 1 run")
    assert (await sent.value).post_data_json["as_user"] == eve.name
    strip = page.get_by_test_id("deletion-strip")
    await strip.get_by_role("button", name="Details").click()
    await expect(row(page, "of eve")).to_contain_text(eve.name)
    await row(page, "of eve").get_by_role("button", name="Details of of eve").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(re.compile(r"begins in 0:\d\d"))
    await dialog.get_by_role("button", name="Cancel the deletion").click()
    await expect(dialog).to_contain_text("nothing was touched")
    await expect(dialog.get_by_role("heading", name="Receipt")).to_be_visible()
    await expect(dialog.get_by_role("button", name="Cancel the deletion")).to_have_count(0)
