"""The runs list with a million runs in it, through the gateway: every filter, first page and deep page, for whom it is slowest.

A hundred thousand runs are the user's, three hundred thousand her workspace's; somebody is a member of all ten
workspaces; and the administrator sees everything. ARGUS_BENCH_RUNS changes the number of runs.
"""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from argus_query.paging import encode_cursor
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure, percentile
from benchmarks.many_runs import LAB, OWNER, RARE_LABEL, RARE_PROJECT, RARE_WORD, SECONDS_APART, TEAMS
from benchmarks.stacks import loaded_with_runs, running_stack

N_RUNS = int(os.environ.get("ARGUS_BENCH_RUNS", "1000000"))
REPEATS = 20
"""Fewer would make a p95 of the one slowest answer."""
PASSWORD = "correct horse battery staple"
GOAL_MS = 100

FILTERS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "200 rows": {"limit": 200},
    "status=failed": {"status": "failed"},
    "status=running": {"status": "running"},
    "status=queued": {"status": "queued"},
    "status=failed,aborted": {"status": "failed,aborted"},
    "status=disconnected": {"status": "disconnected"},
    "project, common": {"project": "project-000"},
    "project, seldom": {"project": "project-180"},
    "project, rare": {"project": RARE_PROJECT},
    "user": {"user": OWNER},
    "user and project": {"user": OWNER, "project": "project-005"},
    "user and status": {"user": OWNER, "status": "aborted"},
    "project and status": {"project": "project-000", "status": "running"},
    "workspace": {"workspace": LAB},
    "type=workflow": {"type": "workflow"},
    "type, status and project": {"type": "workflow", "status": "aborted", "project": "project-003"},
    "label, common": {"label": "label-00"},
    "label, seldom": {"label": "label-49"},
    "label, rare": {"label": RARE_LABEL},
    "label and user": {"label": "label-49", "user": OWNER},
    "label and status": {"label": "label-40", "status": "aborted"},
    "search, a letter": {"search": "e"},
    "search, a letter that none has": {"search": "ü"},
    "search, two letters": {"search": "xz"},
    "search, common": {"search": "resnet"},
    "search, common pair": {"search": "llama probe"},
    "search, half a number": {"search": "#7771"},
    "search, an id": {"search": "run-0123450"},
    "search, rare": {"search": RARE_WORD},
    "search, nothing has it": {"search": "qqqqq"},
    "search and status": {"search": "unet", "status": "aborted"},
    "search and label": {"search": "vit vit", "label": "label-30"},
    "search and user": {"search": RARE_WORD, "user": OWNER},
}  # fmt: skip

PROFILE = """
The list is two statements: which runs (`runs/find.py`), then their rows. What an index has in order is one range of it;
somebody's ranges (workspaces, statuses) are merged in order, and none is read further than the page needs. A text or a label
is looked for among the newest 10,000 of all ranges together; only where that fills no page the inverted index over
three-character pieces, workspace, project, user and label is asked, which then has few to name. A label that is so rare that
10,000 runs are not likely to fill a page is looked up there at once: the facets know how many runs have it.

Before, each of ten workspaces had a window of its own that was always read to its end: 20,000 rows in no order of the disk.
Rows that are searched hold no more than what is searched now, which made that table 2.3 times smaller. Of 204 pages the median
costs PostgreSQL 1.2 ms of processor time to find (5.9 before), p95 16 ms (36), the slowest 39 ms (165).
"""


def measure() -> list[Figure]:
    with running_stack() as stack:
        figures = loaded_with_runs(stack, N_RUNS)
        viewers = _viewers(stack)
        try:
            for client in viewers.values():
                client.get("/api/batches").raise_for_status()
            for who, client in viewers.items():
                figures += _lists(who, client)
        finally:
            for client in viewers.values():
                client.close()
    return figures


def _viewers(stack: LocalStack) -> dict[str, httpx.Client]:
    """Signed in as in a browser: a key would see its one workspace only."""
    admin = _signed_in(stack, stack.credentials.username, stack.credentials.password)
    known = {workspace["name"] for workspace in admin.get("/api/workspaces").raise_for_status().json()["items"]}
    for name in {LAB, *TEAMS} - known:
        admin.post("/api/workspaces", json={"name": name}).raise_for_status()
    for name, workspaces in ((OWNER, [LAB]), ("everywhere", [LAB, *TEAMS])):
        member = {"username": name, "password": PASSWORD,
                  "workspaces": [{"workspace": workspace, "role": "member"} for workspace in workspaces]}  # fmt: skip
        admin.post("/api/users", json=member).raise_for_status()
    return {
        "a member of one workspace": _signed_in(stack, OWNER, PASSWORD),
        "a member of ten workspaces": _signed_in(stack, "everywhere", PASSWORD),
        "a global administrator": admin,
    }


def _signed_in(stack: LocalStack, username: str, password: str) -> httpx.Client:
    client = httpx.Client(base_url=stack.url, timeout=30, headers={"Origin": stack.url})
    me = client.post("/api/auth/login", json={"username": username, "password": password}).raise_for_status().json()
    client.headers["X-Argus-CSRF"] = me["csrf_token"]
    return client


def _lists(who: str, client: httpx.Client) -> list[Figure]:
    """Every filter and page `REPEATS` times, in a random order, so that none finds its own rows still warm."""
    middle = datetime.now(UTC) - timedelta(seconds=N_RUNS * SECONDS_APART / 2)
    pages = {"first page": {}, "deep page": {"cursor": encode_cursor(middle.isoformat(), "")}}
    asked = [(name, page) for name in FILTERS for page in pages] * REPEATS
    random.Random(7).shuffle(asked)
    times: dict[tuple[str, str], list[float]] = {}
    for name, page in asked:
        times.setdefault((name, page), []).append(_timed(client, "/api/batches", FILTERS[name] | pages[page]))
    slowest = sorted(times, key=lambda known: percentile(times[known], 0.95), reverse=True)
    everything = [spent for each in times.values() for spent in each]
    facets = [_timed(client, "/api/facets", {}) for _ in range(REPEATS * 2)]
    return [
        Figure(f"{who}: p95 of all {len(FILTERS)} filters, 2 pages", percentile(everything, 0.95), GOAL_MS, "ms"),
        Figure("  median", percentile(everything, 0.5), None, "ms"),
        *(
            Figure(f"  p95 of the slowest: {', '.join(known)}", percentile(times[known], 0.95), GOAL_MS, "ms")
            for known in slowest[:3]
        ),
        Figure("  facets of the filter row, p95", percentile(facets, 0.95), GOAL_MS, "ms"),
    ]


def _timed(client: httpx.Client, path: str, parameters: dict[str, Any]) -> float:
    """Milliseconds until the whole answer is here."""
    began = time.perf_counter()
    client.get(path, params=parameters).raise_for_status()
    return (time.perf_counter() - began) * 1000
