"""The page of a job with 1,000,000 steps of 20 metrics: frames per second in a real browser while somebody works with it.

A script in the page notes the moment of every animation frame. The browser draws in software (no GPU), on the same machine
as the stack, and `LIVE_PER_SECOND` further steps of all 20 metrics arrive all the while. What counts is each activity by
itself: a quiet second elsewhere does not hide a hook.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, sync_playwright

from argus_local.browser import find_browser
from argus_testkit import eventually
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure, percentile
from benchmarks.stacks import running_stack, sender_environment

PROFILE = """
The page's own thread uses 10 to 15 % of a core while 20 steps of 20 metrics arrive each second, measured in processor time
on a machine with a load of 20; what is left of long frames there is waiting for a processor. What it took: answers are not
watched by Vue number by number, a live point is put behind its curve instead of making the curve anew, ECharts gets numbers
in a row instead of a list of pairs, the band of extremes is one item instead of one per point, and curves are drawn at most
eight times a second. A large part of the rest is painting in software, which a GPU does for nothing.
"""

STEPS = int(os.environ.get("ARGUS_BENCH_STEPS", "1000000"))
N_METRICS = 20
LIVE_PER_SECOND = 20
SECONDS = float(os.environ.get("ARGUS_BENCH_FRAMES_SECONDS", "8"))
GOAL_FPS = 50
SHOWN = 6

SENDER = """
import math, sys, time, argus
steps, n_metrics, live_per_second = (int(a) for a in sys.argv[1:4])
keys = ["train_loss", "val_loss", *(f"metric_{n}" for n in range(n_metrics - 2))]
def point(step):
    noise = step * 2654435761 % 1000 / 10_000
    return {key: math.exp(-step / 300_000) * (n + 1) + noise for n, key in enumerate(keys)}
with argus.init(project="bench", name="frames", batch_id="bench-frames") as run, run.job("job-0") as job:
    for step in range(steps):
        job.metrics(point(step), step=step)
    while not run.stopped:
        step += 1
        job.metrics(point(step), step=step)
        job.log(f"step {step} done")
        time.sleep(1 / live_per_second)
"""

WATCH = """() => {
  window.__frames = { times: [], long: 0 }
  new PerformanceObserver((list) => { window.__frames.long += list.getEntries().length }).observe({ type: 'longtask' })
  const tick = (at) => { window.__frames.times.push(at); requestAnimationFrame(tick) }
  requestAnimationFrame(tick)
}"""


def measure() -> list[Figure]:
    with running_stack() as stack, sync_playwright() as playwright, _sender(stack):
        _wait_until_stored(stack)
        browser = playwright.chromium.launch(
            executable_path=str(find_browser().path), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        return frames_of(page, stack.url, stack.credentials.username, stack.credentials.password)


@contextmanager
def _sender(stack: LocalStack) -> Iterator[None]:
    """The job is said, and goes on living until the end of the block."""
    arguments = [str(STEPS), str(N_METRICS), str(LIVE_PER_SECOND)]
    sender = subprocess.Popen([sys.executable, "-c", SENDER, *arguments], env=sender_environment(stack))
    try:
        yield
    finally:
        sender.kill()
        sender.wait()


def _wait_until_stored(stack: LocalStack) -> None:
    def n_points() -> int:
        answer = client.get("/api/batches/bench-frames/jobs/job-0")
        series = answer.json()["job"]["series"] if answer.status_code == 200 else []
        return min((one["n_points"] for one in series if one["family"] == "metric"), default=0)

    with stack.client() as client:
        eventually(lambda: n_points() >= STEPS, within=900)


def frames_of(page: Page, url: str, username: str, password: str, batch_id: str = "bench-frames") -> list[Figure]:
    """The figures of the page of this run's `job-0`, which must be alive."""
    page.goto(f"{url}/jobs/{batch_id}/job-0")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    began = time.perf_counter()
    page.get_by_role("button", name="Sign in").click()
    page.locator(".plot canvas").first.wait_for(timeout=60_000)
    shown_ms = (time.perf_counter() - began) * 1000
    page.wait_for_timeout(3000)  # the program itself is compiled and the first answers are drawn
    page.evaluate(WATCH)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        """Seconds of a processor that the page's own thread has used."""
        metrics = devtools.send("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    figures = [Figure("job page, 1,000,000 steps: signed in to curves drawn", shown_ms, 1000, "ms")]
    for name, act in ACTIVITIES.items():
        page.evaluate("() => { window.__frames.times.length = 0; window.__frames.long = 0 }")
        began, busy_before = time.monotonic(), busy()
        while time.monotonic() < began + SECONDS:
            act(page)
        busy_percent = 100 * (busy() - busy_before) / (time.monotonic() - began)
        seen = json.loads(page.evaluate("() => JSON.stringify(window.__frames)"))
        between = [later - earlier for earlier, later in zip(seen["times"], seen["times"][1:], strict=False)]
        figures += [
            Figure(f"  {name}: frames per second", len(between) * 1000 / sum(between), GOAL_FPS, "/s", "higher"),
            Figure(f"  {name}: frame time, median", percentile(between, 0.5), 1000 / GOAL_FPS, "ms"),
            Figure(f"  {name}: frame time, p95", percentile(between, 0.95), None, "ms"),
            Figure(f"  {name}: tasks over 50 ms", seen["long"], None, f"in {SECONDS:.0f} s"),
            Figure(f"  {name}: the page's thread is busy", busy_percent, None, "% of a core"),
        ]
    return figures


def _watch(page: Page) -> None:
    page.wait_for_timeout(500)


def _read(page: Page) -> None:
    """The crosshair goes over the curves and back."""
    left, top, width = _plot(page)
    page.mouse.move(left + 20, top)
    page.mouse.move(left + width - 20, top + 20, steps=40)
    page.mouse.move(left + 20, top, steps=40)


def _zoom(page: Page) -> None:
    left, top, width = _plot(page)
    page.mouse.move(left + width * 0.3, top)
    page.mouse.down()
    page.mouse.move(left + width * 0.6, top, steps=15)
    page.mouse.up()
    page.wait_for_timeout(400)
    page.mouse.dblclick(left + width * 0.5, top)
    page.wait_for_timeout(400)


def _pan(page: Page) -> None:
    """Inside a zoomed range, back and forth."""
    left, top, width = _plot(page)
    if "from=" not in page.url:
        page.mouse.move(left + width * 0.4, top)
        page.mouse.down()
        page.mouse.move(left + width * 0.6, top, steps=5)
        page.mouse.up()
    page.keyboard.down("Shift")
    for start, end in ((0.7, 0.3), (0.3, 0.7)):
        page.mouse.move(left + width * start, top)
        page.mouse.down()
        page.mouse.move(left + width * end, top, steps=25)
        page.mouse.up()
        page.wait_for_timeout(150)
    page.keyboard.up("Shift")


def _toggle(page: Page) -> None:
    """Further curves come and go; the scale and the axis change."""
    chips = page.locator(".chips .chip")
    for n in range(2, SHOWN):
        chips.nth(n).click()
        page.wait_for_timeout(120)
    page.keyboard.press("l")
    page.wait_for_timeout(200)
    page.keyboard.press("t")
    page.wait_for_timeout(300)
    page.keyboard.press("l")
    page.keyboard.press("t")
    page.wait_for_timeout(200)


def _plot(page: Page) -> tuple[float, float, float]:
    box = page.locator(".plot").first.bounding_box()
    assert box
    return box["x"], box["y"] + 120, box["width"]


ACTIVITIES: dict[str, Callable[[Page], None]] = {
    "watching": _watch,
    "crosshair": _read,
    "zooming": _zoom,
    "panning": _pan,
    "toggling": _toggle,
}


if __name__ == "__main__":
    for figure in measure():
        print(figure)
