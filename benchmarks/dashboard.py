"""Every section of the dashboard with a million runs stored, a hundred thousand of them the user's, asked as the gateway asks.

The runs are written into the log through what ingest checks and appends with (many_runs.py), with what Argus found out about their
outputs, and folded by the stack's own projector. ARGUS_BENCH_RUNS changes the number of runs.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from typing import Any

import orjson
from nats.aio.client import Client

from argus_contracts.subjects import ask_subject
from argus_testkit.stack import LocalStack
from benchmarks.figures import Figure, percentile
from benchmarks.many_runs import LAB, OWNER, RARE_LABEL, RARE_WORD
from benchmarks.stacks import loaded_with_runs, running_stack

N_RUNS = int(os.environ.get("ARGUS_BENCH_RUNS", "1000000"))
REPEATS = 20
"""Fewer would make a p95 of the one slowest answer."""
GOAL_MS = 100

ME = {"viewer": {"user": OWNER, "workspaces": [LAB]}}
ROOT = {"viewer": {"user": "root", "all_workspaces": True}, "authority": {"everything": True}}
FILTERS: dict[str, dict[str, Any]] = {
    "30 days": {},
    "7 days": {"days": 7},
    "all time": {"days": None},
    "all time, failed": {"days": None, "status": "failed"},
    "all time, over 1 TiB": {"days": None, "size": "over_1_tib"},
    "all time, label, common": {"days": None, "label": "label-00"},
    "all time, label, rare": {"days": None, "label": RARE_LABEL},
    "90 days, cluster and label": {"days": 90, "cluster": "alps", "label": "label-05"},
}
SEARCHES: dict[str, dict[str, Any]] = {
    "30 days, common": {"search": "resnet"},
    "all time, a letter": {"days": None, "search": "e"},
    "all time, common": {"days": None, "search": "resnet"},
    "all time, a folder": {"days": None, "search": "project-000/run-0012"},
    "all time, rare": {"days": None, "search": RARE_WORD},
    "all time, nothing has it": {"days": None, "search": "qqqqq"},
    "all time, with a label": {"days": None, "search": "vit", "label": "label-01"},
    "a thousand names": {"names": [f"run-{n * 370:07d}" for n in range(1_000)]},
}
SORTS = ("newest", "oldest", "largest", "smallest", "name", "name_desc")
SECTIONS = ("get_dashboard_summary", "get_dashboard_spend", "get_dashboard_storage")

PROFILE = """
Without a search or a label the sections are sums over days that the projector keeps: a user's year is some thousand rows. A search, a
label or names look at each run of the user: these lie together in one of 32 partitions, and what is filtered by stands first in
their rows. The list reads an index in order where it is sorted by time, and sorts what it found otherwise.
"""

Asked = tuple[str, str, str, dict[str, Any]]
"""Heading, what is said of it, name of the question, its fields."""


def measure() -> list[Figure]:
    with running_stack() as stack:
        figures = loaded_with_runs(stack, N_RUNS, with_outputs=True)
        return figures + asyncio.run(_measured(stack))


async def _measured(stack: LocalStack) -> list[Figure]:
    settings = stack.environment_of("gateway")
    nats = Client()
    await nats.connect(
        settings["ARGUS_NATS_URL"],
        user=settings["ARGUS_NATS_USER"],
        password=settings["ARGUS_NATS_PASSWORD"],
        inbox_prefix=f"_INBOX_{settings['ARGUS_NATS_USER']}".encode(),
    )
    try:
        figures: list[Figure] = []
        for who, whose, goal in (("a user", ME, GOAL_MS), ("a global administrator, all users", ROOT, None)):
            figures += await _answers(nats, who, whose, goal)
        return figures
    finally:
        await nats.close()


async def _answers(nats: Client, who: str, whose: dict[str, Any], goal: float | None) -> list[Figure]:
    """Everything `REPEATS` times, in a random order, so that none finds its own rows still warm."""
    asked: list[Asked] = [*_questions("no search", FILTERS), *_questions("search or names", SEARCHES)]
    asked.append(("choices", "", "get_dashboard_choices", {}))
    asked.append(("deletions", "", "list_deletions", {}))
    everything = asked * REPEATS
    random.Random(7).shuffle(everything)
    times: dict[str, dict[str, list[float]]] = {}
    for heading, about, name, fields in everything:
        spent = await _timed(
            nats, name, {**(whose if heading != "deletions" else {"viewer": whose["viewer"]}), **fields}
        )
        times.setdefault(heading, {}).setdefault(about, []).append(spent)
    figures: list[Figure] = []
    for heading, by_question in sorted(times.items()):
        spent = [one for each in by_question.values() for one in each]
        slowest = max(by_question, key=lambda about: percentile(by_question[about], 0.95))
        figures.append(Figure(f"{who}: {heading}, p95", percentile(spent, 0.95), goal, "ms"))
        if len(by_question) > 1:
            worst = percentile(by_question[slowest], 0.95)
            figures.append(Figure(f"  p95 of the slowest: {slowest}", worst, goal, "ms"))
            figures.append(Figure("  median", percentile(spent, 0.5), None, "ms"))
    return figures


def _questions(kind: str, filters: dict[str, dict[str, Any]]) -> list[Asked]:
    asked: list[Asked] = []
    for about, fields in filters.items():
        asked += [(f"{name.removeprefix('get_dashboard_')}, {kind}", about, name, fields) for name in SECTIONS]
        for sort in SORTS:
            asked.append((f"runs, {kind}", f"{about}, {sort}", "list_dashboard_runs", {**fields, "sort": sort}))
    return asked


async def _timed(nats: Client, name: str, question: dict[str, Any]) -> float:
    """Milliseconds until the whole answer is here."""
    body = orjson.dumps(question)
    began = time.perf_counter()
    reply = await nats.request(ask_subject(name), body, timeout=30)
    spent = (time.perf_counter() - began) * 1000
    problem = orjson.loads(reply.data)["problem"]
    if problem is not None:
        raise RuntimeError(f"{name}: {problem}")
    return spent
