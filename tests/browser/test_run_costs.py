"""What a run has cost and left, on its own page: attempts, bills and prices as they were known, and its outputs."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config
from playwright.async_api import Page, expect

from argus_local.s3 import OUTPUTS_BUCKET
from argus_testkit import eventually
from argus_testkit.stack import LocalStack

SignIn = Callable[..., Any]
COSTS_TAB = re.compile(r"[?&]tab=costs")


def set_price(stack: LocalStack, instance_type: str, usd: float, capacity: str = "spot") -> None:
    with stack.client() as admin:
        workspace = admin.get("/api/auth/me").json()["workspaces"][0]["workspace"]
        price = {"workspace": workspace, "instance_type": instance_type, "capacity": capacity, "usd_per_hour": usd}
        admin.post("/api/prices", json={**price, "effective_from": "2026-01-01T00:00:00Z"}).raise_for_status()


def begin(sender: Any, name: str, **data: Any) -> str:
    batch_id = f"b-{uuid.uuid4().hex[:12]}"
    sender.say(batch_id, "batch_start", (None, {"name": name, "project": "costs", **data}))
    return batch_id


def run_two_attempts(sender: Any, instance_type: str, name: str = "twice", **data: Any) -> str:
    """A run of one job on one machine: half an hour on spot in vain, then an hour on demand that ends well. Answers its id."""
    batch_id = begin(sender, name, **data)
    machine = {"host": f"host-{batch_id}", "instance_type": instance_type, "capacity": "spot", "cpus": 8.0}
    sender.say(batch_id, "job_start", ("train", machine))
    sender.say(batch_id, "job_failed", ("train", {"reason": "out of memory"}), at_s=1800)
    sender.say(batch_id, "job_start", ("train", {**machine, "capacity": "on-demand"}), at_s=1900, attempt=2)
    sender.say(batch_id, "job_done", ("train", {}), at_s=5500, attempt=2)
    sender.say(batch_id, "batch_done", (None, {}), at_s=5600, attempt=2)
    return batch_id


def row(page: Page, words: str) -> Any:
    return page.get_by_test_id("cost-attempt").filter(has_text=words)


async def test_attempts_and_the_price_and_the_bill_that_changed_them(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    instance_type = f"type-{uuid.uuid4().hex[:8]}"
    batch_id = run_two_attempts(sender, instance_type)
    page = await sign_in(stack, f"/runs/{batch_id}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/cost") else None)
    await expect(page.get_by_role("tab", name="Jobs")).to_be_visible()
    assert asked == [], "the panel is not shown"
    await page.get_by_role("tab", name="Cost & outputs").click()
    await expect(page).to_have_url(COSTS_TAB)
    panel = page.get_by_test_id("run-costs")
    await expect(panel.get_by_test_id("cost-unknown")).to_contain_text(f"nobody has said what {instance_type} (spot)")
    await expect(panel).to_contain_text(f"argus prices set {instance_type} --capacity spot")
    await expect(row(page, "attempt 1")).to_contain_text("no price known")

    set_price(stack, instance_type, 10.0)
    set_price(stack, instance_type, 30.0, "on-demand")
    eventually(
        lambda: sender.client.get(f"/api/batches/{batch_id}").json()["run"]["cost_usd"] == 35.0,
        within=60,
        what="both prices count",
    )
    await page.reload()
    await expect(panel.get_by_test_id("cost-unknown")).to_have_count(0)
    for word in ("failed", f"{instance_type} · spot", "30 m 0 s", "$5.00", "wasted", "price"):
        await expect(row(page, "attempt 1")).to_contain_text(word)
    for word in ("succeeded", f"{instance_type} · on-demand", "1 h 0 m", "$30.00"):
        await expect(row(page, "attempt 2")).to_contain_text(word)
    await expect(row(page, "attempt 2").get_by_text("wasted")).to_have_count(0)
    figures = panel.locator("dl")
    await expect(figures).to_contain_text(
        re.compile(r"Total\s*\$35\.00.*Wasted\s*\$5\.00.*All on spot\s*\$15\.00", re.S)
    )
    await expect(figures).to_contain_text("the prices of machines")

    sender.say(batch_id, "cost_recorded", ("train", {"amount_usd": 41.5, "basis": "invoice 7"}), at_s=6000, attempt=2)
    await expect(row(page, "attempt 2")).to_contain_text("$41.50")
    await expect(row(page, "attempt 2")).to_contain_text("bill")
    await expect(figures).to_contain_text("$46.50")
    reports = panel.get_by_test_id("cost-report")
    await expect(reports.first).to_contain_text("Bill of train, attempt 2: $41.50 (invoice 7)")
    await expect(reports.first).to_contain_text("→ $46.50, $5.00 wasted")
    await expect(reports.filter(has_text=f"Price of {instance_type} (spot): $10.00 an hour")).to_have_count(1)

    await page.get_by_role("tab", name="Jobs").click()
    cost = page.get_by_role("link", name="$46.50")
    await expect(cost).to_have_attribute("title", re.compile(r"\$5\.00 of it on attempts that failed"))
    await cost.click()
    await expect(panel).to_be_visible()


async def test_what_is_not_known_and_what_cannot_be_shown_are_said(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    batch_id = sender.end(sender.start("nothing known"))
    page = await sign_in(stack, f"/runs/{batch_id}?tab=costs")
    unknown = page.get_by_test_id("cost-unknown")
    await expect(unknown).to_contain_text("What this run costs is not known: the sender has not said which machine")
    await expect(unknown).to_contain_text("ARGUS_INSTANCE_TYPE")
    await expect(unknown).to_contain_text("argus prices set TYPE --capacity on-demand --usd-per-hour")
    await expect(page.get_by_test_id("run-outputs")).to_contain_text("named no output folder")

    elsewhere = sender.end(sender.start("elsewhere", output_dir="/mnt/data/out"))
    problem = {"title": "Away for a moment", "status": 503, "detail": "the query service is away", "request_id": "r-1"}
    await page.route("**/cost", lambda route: route.fulfill(status=503, json=problem))
    await page.goto(f"{stack.url}/runs/{elsewhere}?tab=costs")
    failed = page.get_by_test_id("run-costs").get_by_role("alert")
    await expect(failed).to_contain_text("What it cost cannot be shown: Away for a moment")
    outputs = page.get_by_test_id("run-outputs")
    await expect(outputs).to_contain_text("no s3:// address")
    await expect(outputs.get_by_role("button", name="Measure again")).to_have_count(0)
    await page.unroute("**/cost")
    await failed.get_by_role("button", name="Try again").click()
    await expect(unknown).to_be_visible()


async def test_many_attempts_are_folded(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    batch_id = begin(sender, "many")
    machine = {"host": "many", "instance_type": f"type-{batch_id}", "cpus": 1.0}
    jobs = [f"fold-{n:02}" for n in range(30)]
    sender.say(batch_id, "job_start", *((job, machine) for job in jobs))
    sender.say(batch_id, "job_done", *((job, {}) for job in jobs), at_s=60)
    sender.end(batch_id, at_s=70)
    page = await sign_in(stack, f"/runs/{batch_id}?tab=costs")
    await expect(page.get_by_test_id("cost-attempt")).to_have_count(10)
    await page.get_by_role("button", name="All 30").click()
    await expect(page.get_by_test_id("cost-attempt")).to_have_count(30)


async def test_outputs_lead_to_their_deletion_which_is_told_of(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    folder = f"main/admin/outputs-{uuid.uuid4().hex[:8]}"
    settings = stack.facts.s3
    session = boto3.session.Session(settings.access_key, settings.secret_key, region_name="us-east-1")
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    bucket = session.resource("s3", endpoint_url=settings.url, config=config).Bucket(OUTPUTS_BUCKET)
    bucket.put_object(Key=f"{folder}/model.bin", Body=b"x" * 3000)
    address = f"s3://{OUTPUTS_BUCKET}/{folder}/"
    batch_id = sender.end(sender.start("with outputs", output_dir=address))
    page = await sign_in(stack, f"/runs/{batch_id}?tab=costs")
    outputs = page.get_by_test_id("run-outputs")
    for word in (address, "2.9 KiB", "Objects", "in STANDARD", "Measured"):
        await expect(outputs).to_contain_text(word)
    await expect(page.get_by_role("link", name="2.9 KiB")).to_have_attribute(
        "title", re.compile("^3,000 bytes in 1 object")
    )
    measured = sender.client.get(f"/api/batches/{batch_id}").json()["run"]["outputs_measured_at"]
    await outputs.get_by_role("button", name="Measure again").click()
    eventually(
        lambda: sender.client.get(f"/api/batches/{batch_id}").json()["run"]["outputs_measured_at"] != measured,
        within=60,
        what="the folder is listed again",
    )
    link = outputs.get_by_role("link", name="Delete these outputs on the dashboard")
    await expect(link).to_have_attribute("href", re.compile(rf"/dashboard/?\?names={batch_id}$"))

    body = {"batch_ids": [batch_id], "confirm": "delete 1 run", "command_id": str(uuid.uuid4())}
    answer = sender.client.post("/api/outputs/deletions", json=body).raise_for_status().json()
    await expect(page.get_by_test_id("deletion-notice")).to_contain_text(re.compile(r"begins in \d+ m \d+ s"))
    await expect(outputs.get_by_role("button", name="Measure again")).to_have_count(0)
    sender.client.delete(f"/api/outputs/deletions/{answer['results'][0]['deletion_id']}").raise_for_status()
    await expect(page.get_by_test_id("deletion-notice")).to_have_count(0)
    await expect(outputs).to_contain_text("cancelled")
    await link.click()
    await expect(page.get_by_test_id("run-card")).to_have_count(1)
