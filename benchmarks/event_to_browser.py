"""From `job.log` to the text on the page of a real browser, while 1,000 events a second flow through everything.

Each log line carries the moment at which it was said; a script in the page looks at the log panel in every frame and notes,
for each line that it has not seen before, how old it is. Sender and browser share one clock: that of this machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from argus_local.browser import find_browser
from argus_testkit import eventually
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure, percentile

SECONDS = float(os.environ.get("ARGUS_BENCH_BROWSER_SECONDS", "30"))
EVENTS_PER_SECOND = 1000
LINES_PER_SECOND = 50

SENDER = """
import sys, time, argus
seconds, rate, lines = (float(a) for a in sys.argv[1:4])
with argus.init(project="bench", name="browser", batch_id="bench-browser") as run, run.job("job-0") as job:
    began, step = time.time(), 0
    while (now := time.time()) < began + seconds:
        for _ in range(int(rate / lines) - 1):
            job.epoch(step, step=step, train_loss=1 / (step + 1), val_loss=2 / (step + 1)); step += 1
        job.log(f"said-at {time.time():.4f}")
        time.sleep(max(0.0, began + step / (rate - lines) - time.time()))
"""

WATCH = """() => {
  window.__ages = []; const seen = new Set();
  const look = () => {
    const now = Date.now() / 1000;
    for (const row of document.querySelectorAll('[data-testid="log-line"]')) {
      const said = row.textContent.slice(8);
      if (!seen.has(said)) { seen.add(said); window.__ages.push(now - Number(said)); }
    }
    requestAnimationFrame(look);
  };
  look();
}"""


PROFILE = """
It is waiting, not work: the SDK hands over what was said every 50 ms, and a live stream asks for what is new every 50 ms at most;
between them lie two commits (log, read models) and the frame in which the page draws.
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as folder, sync_playwright() as playwright:
        stack = LocalStack(Path(folder) / "home")
        stack.start()
        try:
            browser = playwright.chromium.launch(
                executable_path=str(find_browser().path), args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            ages = _ages(stack, page, Path(folder))
            browser.close()
        finally:
            stack.stop()
    return [
        Figure("event to browser at 1,000 events/s, p95", percentile(ages, 0.95) * 1000, 300, "ms"),
        Figure("event to browser at 1,000 events/s, p99", percentile(ages, 0.99) * 1000, None, "ms"),
        Figure("event to browser at 1,000 events/s, median", percentile(ages, 0.5) * 1000, None, "ms"),
        Figure("  lines seen", len(ages), None, "lines"),
    ]


def _ages(stack: LocalStack, page: Page, folder: Path) -> list[float]:
    environment = {
        **os.environ,
        "ARGUS_URL": stack.facts.nats.url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(folder / "spool"),
    }
    arguments = [str(SECONDS + 5), str(EVENTS_PER_SECOND), str(LINES_PER_SECOND)]
    sender = subprocess.Popen([sys.executable, "-c", SENDER, *arguments], env=environment)
    with stack.client() as client:
        eventually(lambda: client.get("/api/batches/bench-browser/jobs/job-0").status_code == 200, within=30)
    page.goto(f"{stack.url}/jobs/bench-browser/job-0")
    page.get_by_label("User name").fill(stack.credentials.username)
    page.get_by_label("Password").fill(stack.credentials.password)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("said-at").first.wait_for(timeout=20_000)
    time.sleep(2)  # the first lines are history, not live
    page.evaluate(WATCH)
    page.wait_for_timeout(500)
    page.evaluate("() => { window.__ages.length = 0 }")
    sender.wait(SECONDS + 60)
    return json.loads(page.evaluate("() => JSON.stringify(window.__ages)"))


if __name__ == "__main__":
    for figure in measure():
        print(figure)
