"""The dashboard: what runs that have ended cost and hold, in whatever set the reader chooses, and choosing runs of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

from playwright.async_api import Locator, Page, expect

from argus_testkit.stack import LocalStack

SignIn = Callable[..., Any]
NewPerson = Callable[[], Any]


def cards(page: Page) -> Locator:
    return page.get_by_test_id("run-card")


def stat(page: Page, name: str) -> Locator:
    return page.get_by_test_id("stat").filter(has=page.get_by_role("heading", name=name, exact=True))


def new_project() -> str:
    return f"p-{uuid.uuid4().hex[:8]}"


async def test_only_runs_that_have_ended_stand_here_and_filters_live_in_the_address(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = new_project()
    label = f"label of {project}"
    sender.end(sender.start("the good one", project, labels=[label]))
    sender.end(sender.start("the bad one", project, output_dir=f"s3://nowhere/{project}/bad"), "batch_failed")
    sender.end(sender.start("the stopped one", project), "batch_aborted")
    sender.start("still going", project)
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(cards(page)).to_have_count(3)
    await expect(stat(page, "Runs in scope")).to_contain_text("3")
    await expect(stat(page, "Failed")).to_contain_text("1 aborted")
    await page.get_by_label("Status", exact=True).select_option("failed")
    await expect(page).to_have_url(f"{stack.url}/dashboard/?status=failed&search={project}")
    await expect(cards(page)).to_have_count(2)
    await expect(stat(page, "Runs in scope")).to_contain_text("2")
    await page.get_by_label("Status", exact=True).select_option("")
    await page.get_by_label("Label", exact=True).select_option(label)
    await expect(cards(page)).to_have_count(1)
    await expect(cards(page)).to_contain_text("the good one")
    await page.get_by_label("Time", exact=True).select_option("all")
    await expect(page).to_have_url(re.compile("days=all"))
    await page.reload()
    await expect(cards(page)).to_have_count(1)
    await expect(page.get_by_label("Label", exact=True)).to_have_value(label)
    await page.get_by_label("Size", exact=True).select_option("over_1_gib")
    await expect(page.get_by_role("heading", name="No run fits these filters")).to_be_visible()
    await expect(page.get_by_text("without the size, the label")).to_be_visible()
    await page.get_by_role("button", name="Clear filters").click()
    await expect(page).to_have_url(f"{stack.url}/dashboard/?days=all")
    await page.keyboard.press("/")
    await page.keyboard.type(f"{project}/ba")
    await expect(page).to_have_url(re.compile("search="))
    await expect(cards(page)).to_have_count(1)
    await expect(cards(page)).to_contain_text("the bad one")
    await expect(page.get_by_role("link", name="Show all on /runs/")).to_have_attribute(
        "href", re.compile(rf"/runs/\?search=.*user={stack.credentials.username}")
    )


async def test_turning_the_page_and_changing_the_order_choose_nothing(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = new_project()
    for n in range(27):
        sender.end(sender.start(f"run {n:02}", project, jobs=("a",)))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(cards(page)).to_have_count(25)
    await page.get_by_label("Sort", exact=True).select_option("name")
    await expect(page).to_have_url(re.compile("sort=name"))
    await expect(cards(page).first).to_contain_text("run 00")
    await page.get_by_label("Select all on this page").check()
    await expect(page.get_by_text("25 selected")).to_be_visible()
    await page.get_by_role("button", name="Next page").click()
    await expect(cards(page)).to_have_count(2)
    await expect(page).to_have_url(re.compile("cursor="))
    await expect(page.get_by_text("26–27 of 27").first).to_be_visible()
    await expect(page.get_by_label("Selection")).to_have_count(0)
    await page.reload()
    await expect(cards(page).last).to_contain_text("run 26")
    await page.get_by_role("button", name="Previous page").click()
    await expect(cards(page)).to_have_count(25)
    await cards(page).nth(3).get_by_role("checkbox").check()
    await page.get_by_label("Sort", exact=True).select_option("name_desc")
    await expect(cards(page).first).to_contain_text("run 26")
    await expect(page).not_to_have_url(re.compile("cursor="))
    await expect(page.get_by_label("Selection")).to_have_count(0)


async def test_keys_and_shift_choose_runs(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    project = new_project()
    for n in range(6):
        sender.end(sender.start(f"run {n}", project, output_dir=f"s3://nowhere/{project}/{n}"))
    page = await sign_in(stack, "/runs/")
    await page.keyboard.press("g")
    await page.keyboard.press("d")
    await expect(page).to_have_url(f"{stack.url}/dashboard/")
    await page.goto(f"{stack.url}/dashboard/?sort=name&search={project}")
    await expect(cards(page)).to_have_count(6)
    for key in ("j", "j", "x", "j", " "):
        await page.keyboard.press(key)
    bar = page.get_by_label("Selection")
    await expect(bar).to_contain_text("2 selected")
    await expect(bar).to_contain_text("2 runs not measured")
    boxes = cards(page).get_by_role("checkbox")
    await expect(boxes.nth(1)).to_be_checked()
    await boxes.nth(5).click(modifiers=["Shift"])
    await expect(bar).to_contain_text("5 selected")
    await expect(page.get_by_label("Select all on this page")).to_have_js_property("indeterminate", True)
    await boxes.nth(5).focus()
    await page.keyboard.press("k")
    await expect(boxes.nth(4)).to_be_focused()
    await page.keyboard.press("Space")
    await expect(bar).to_contain_text("4 selected")
    await page.keyboard.press("a")
    await expect(bar).to_contain_text("6 selected")
    await page.keyboard.press("d")
    await expect(page.get_by_role("heading", name="Delete the outputs of 6 runs?")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(bar).to_contain_text("6 selected")
    await page.keyboard.press("Escape")
    await expect(bar).to_have_count(0)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/runs/b-"))


async def test_a_named_set_is_shown_whatever_the_filters_say(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    project = new_project()
    one = sender.end(sender.start(f"{project}-one", project))
    sender.end(sender.start(f"{project}-two", project), "batch_failed")
    sender.end(sender.start(f"{project} three", project))
    page = await sign_in(stack, f"/dashboard/?status=failed&size=over_1_tib&names={one}%20{project}-two%20{project}-no")
    await expect(cards(page)).to_have_count(2)
    await expect(page.get_by_role("search")).to_have_count(0)
    await expect(page.get_by_label("Admin mode")).to_have_count(0)
    await expect(page.get_by_text("3 runs by name")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="Not here: still going on")).to_contain_text(
        f"{project}-no"
    )
    await page.goto(f"{stack.url}/dashboard/?names={project}%20three&names=")
    await expect(cards(page)).to_have_count(1)
    await page.get_by_role("link", name="All my runs").click()
    await expect(page).to_have_url(f"{stack.url}/dashboard/")
    await expect(page.get_by_role("search")).to_be_visible()


async def test_an_admin_sees_his_own_runs_until_he_asks_for_those_of_others(
    stack: LocalStack, sender: Any, new_person: NewPerson, sign_in: SignIn
) -> None:
    project, eve = new_project(), new_person()
    sender.end(sender.start("of the admin", project))
    eve.sender.end(eve.sender.start("of eve", project, labels=[f"eve's {project}"], cluster=f"c-{project}"))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(cards(page)).to_have_count(1)
    await expect(cards(page)).to_contain_text("of the admin")
    banner = page.get_by_label("Admin mode")
    await banner.get_by_label("User").select_option("*")
    await expect(page).to_have_url(re.compile(r"user=(\*|%2A)"))
    await expect(cards(page)).to_have_count(2)
    await expect(cards(page).filter(has_text=eve.name)).to_have_count(1)
    await banner.get_by_label("Cluster").select_option(f"c-{project}")
    await expect(cards(page)).to_have_count(1)
    await banner.get_by_label("Cluster").select_option("")
    await banner.get_by_label("User").select_option(eve.name)
    await expect(cards(page)).to_have_count(1)
    await expect(banner).to_contain_text(f"You see the runs of {eve.name}.")
    await page.get_by_label("Label", exact=True).select_option(f"eve's {project}")
    await page.get_by_role("link", name="Show all on /runs/").click()
    await expect(page).to_have_url(re.compile(f"/runs/.*user={eve.name}"))


async def test_nobody_else_has_admin_mode(
    stack: LocalStack, sender: Any, new_person: NewPerson, sign_in: SignIn
) -> None:
    project, eve = new_project(), new_person()
    sender.end(sender.start("of the admin", project))
    eve.sender.end(eve.sender.start("of eve", project))
    page = await sign_in(stack, f"/dashboard/?search={project}", eve)
    await expect(cards(page)).to_have_count(1)
    await expect(cards(page)).to_contain_text("of eve")
    await expect(page.get_by_label("Admin mode")).to_have_count(0)
    await expect(page.get_by_test_id("deletion-strip")).to_have_count(0)
    await page.goto(f"{stack.url}/dashboard/?user={stack.credentials.username}")
    await expect(page.get_by_role("heading", name="There are no runs of")).to_be_visible()
    await page.get_by_role("link", name="Your own dashboard").click()
    await expect(cards(page)).to_have_count(1)


async def test_long_and_hostile_names_stay_text_and_in_their_place(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = new_project()
    name = f"<img src=x onerror=alert(1)>\u202e{'very-long-' * 60}"
    for _ in range(3):
        sender.end(
            sender.start(name, project + "x" * 150, labels=[f"{n}{'y' * 90}" for n in range(14)],
                         output_dir=f"s3://bucket/{'deep/' * 100}")
        )  # fmt: skip
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(cards(page)).to_have_count(3)
    for width in (1440, 1000, 360):
        await page.set_viewport_size({"width": width, "height": 740})
        await cards(page).first.scroll_into_view_if_needed()
        await expect(cards(page).first.get_by_text("very-long-", exact=True)).to_be_in_viewport(ratio=1)
    await expect(cards(page).first).to_contain_text("<img src=x onerror=alert(1)>⟨U+202E⟩very")
    await page.keyboard.press("a")
    await expect(page.get_by_label("Selection")).to_contain_text("3 selected")
    widths = "[document.documentElement.scrollWidth, document.querySelector('main').scrollWidth, innerWidth]"
    assert await page.evaluate(widths) == [360, 360, 360]


async def test_money_is_summed_and_charted_with_what_failed_attempts_wasted(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = new_project()
    for name, usd, end in (("well spent", 30.0, "batch_done"), ("wasted", 12.4, "batch_failed")):
        batch_id = sender.start(name, project)
        sender.say(batch_id, "cost_recorded", (None, {"amount_usd": usd}), at_s=30)
        sender.end(batch_id, end)
    sender.end(sender.start("who knows", project))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    spend = stat(page, "Compute spend")
    await expect(spend).to_contain_text("$42.40")
    await expect(spend).to_contain_text("$12.40 on failed attempts")
    await expect(spend).to_contain_text("1 run without known cost")
    await expect(cards(page).filter(has_text="well spent")).to_contain_text("$30.00")
    chart = page.get_by_role("img", name=re.compile(r"Compute spend: \$42\.40 in 30 days"))
    await chart.focus()
    readout = page.get_by_test_id("readout")
    await page.keyboard.press("ArrowLeft")
    await expect(readout).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(readout).to_have_count(0)
    await page.get_by_label("Time", exact=True).select_option("all")
    await page.get_by_role("img", name=re.compile(r"Compute spend: \$42\.40 in [12] months?")).focus()
    await page.keyboard.press("ArrowRight")
    await expect(readout).to_contain_text("on failed attempts")


async def test_what_is_not_known_is_not_called_nothing(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    project = new_project()
    sender.end(sender.start("of unknown cost", project, output_dir=f"/a/local/folder/{project}"))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(stat(page, "Compute spend")).to_contain_text("not known")
    await expect(cards(page)).to_contain_text("not known")
    await expect(cards(page)).to_contain_text("not measured")
    await expect(page.get_by_text("Of none of these runs is it known what computing has cost.")).to_be_visible()
    await page.get_by_label("Search runs").fill(f"nothing is called {project}")
    await expect(stat(page, "Compute spend")).to_contain_text("$0")
    await expect(page.get_by_text("No run in this time fits the filters.")).to_have_count(2)
    await page.get_by_label("Time", exact=True).select_option("7")
    await page.get_by_role("button", name="Look at all time").click()
    await expect(page).to_have_url(re.compile("days=all"))


async def test_charts_follow_their_panels_both_ways(stack: LocalStack, sender: Any, sign_in: SignIn) -> None:
    project = new_project()
    batch_id = sender.start("spent", project)
    sender.say(batch_id, "cost_recorded", (None, {"amount_usd": 3.0}), at_s=30)
    sender.end(batch_id)
    page = await sign_in(stack, f"/dashboard/?search={project}")
    panel = page.get_by_role("region", name="Compute spend over time")
    await expect(panel.locator("canvas")).to_be_visible()
    for width in (1440, 1200, 1000, 390, 1440):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.wait_for_function(
            "panel => Math.abs(panel.querySelector('canvas').clientWidth - panel.clientWidth + 12) <= 2",
            arg=await panel.element_handle(),
        )
        assert await page.evaluate("document.documentElement.scrollWidth") == width


async def test_a_page_without_a_connection_says_so_once_and_comes_back(
    stack: LocalStack, sender: Any, sign_in: SignIn
) -> None:
    project = new_project()
    sender.end(sender.start("a run", project, output_dir=f"s3://nowhere/{project}/a"))
    page = await sign_in(stack, f"/dashboard/?search={project}")
    await expect(cards(page)).to_have_count(1)
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")
    await page.context.set_offline(True)
    await expect(page.get_by_test_id("live-badge")).to_have_text("offline")
    await cards(page).get_by_role("checkbox").check()
    await page.get_by_role("button", name="Delete outputs…").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("alert")).to_contain_text("Argus cannot be reached")
    await page.keyboard.press("Escape")
    await page.get_by_label("Time", exact=True).select_option("90")
    await expect(page.get_by_role("alert").filter(has_text="Argus cannot be reached")).to_have_count(1)
    await expect(page.get_by_test_id("stat")).to_have_count(0)
    await page.context.set_offline(False)
    await expect(cards(page)).to_have_count(1)
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.get_by_test_id("live-badge")).to_have_text("live")


async def test_one_problem_of_all_sections_is_one_notice(stack: LocalStack, sign_in: SignIn) -> None:
    page = await sign_in(stack, "/runs/")
    problem = {"status": 500, "code": "broken", "title": "Something broke", "request_id": "req-1"}
    await page.route(re.compile("/api/dashboard/"), lambda route: route.fulfill(status=500, json=problem))
    await page.goto(f"{stack.url}/dashboard/")
    await expect(page.get_by_role("alert")).to_have_text(re.compile("Something broke"))
    await expect(page.get_by_role("alert")).to_have_count(1)
    await page.unroute_all()
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_test_id("stat")).to_have_count(5)


async def test_who_has_no_run_at_all_learns_how_to_make_one(
    stack: LocalStack, new_person: NewPerson, sign_in: SignIn
) -> None:
    eve = new_person()
    page = await sign_in(stack, "/dashboard/", eve)
    await expect(page.get_by_role("heading", name="No runs yet")).to_be_visible()
    await expect(page.get_by_text("with argus.init")).to_be_visible()
    await expect(page.get_by_text("No run has ended in this time.")).to_have_count(2)
    eve.sender.start("still going", new_project())
    await page.reload()
    await expect(page.get_by_role("heading", name="No run has ended in this time")).to_be_visible()
