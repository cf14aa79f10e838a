"""A log with very many runs in it, written through what ingest itself checks and appends with, a thousand messages a commit.

Only the broker is left out: `accept` validates every message, `LogAppender` takes ownership, numbers and positions as
always. Projecting them is the stack's own business.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from psycopg import AsyncConnection

from argus_contracts.subjects import decision_subject, event_subject
from argus_ingest.accept import accept
from argus_ingest.log import LogAppender

MESSAGES_PER_COMMIT = 1_000
SECONDS_APART = 30
WORDS = (
    "resnet",
    "vit",
    "llama",
    "mlp",
    "unet",
    "bert",
    "sweep",
    "ablation",
    "baseline",
    "finetune",
    "distill",
    "probe",
)
OWNER, LAB = "ada", "lab"
TEAMS = tuple(f"team-{n}" for n in range(9))
CLUSTERS = ("alps", "rhine", "elbe")
N_PROJECTS, N_LABELS = 200, 50
RARE_PROJECT, RARE_LABEL, RARE_WORD = "once-in-a-blue-moon", "reproduce-me", "needle"
ENDS = ("batch_done",) * 180 + ("batch_failed",) * 12 + ("batch_aborted",) * 7 + ("",)
"""How runs end, with their frequency; one in 200 does not."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the log: its number, and what lists filter by. A tenth belong to the user `ada`, three tenths to her workspace."""

    number: int
    workspace: str
    user: str
    name: str
    project: str
    labels: list[str]
    type: str
    end: str

    @property
    def batch_id(self) -> str:
        return f"run-{self.number:07d}"


def runs(n_runs: int) -> Iterator[Run]:
    """The same ones each time. Few, and old, have a rare project, label or word; frequencies of the others fall as in real life."""
    chance = random.Random(7)
    weights = [1 / (rank + 1) for rank in range(N_PROJECTS)]
    projects = chance.choices([f"project-{n:03d}" for n in range(N_PROJECTS)], weights, k=n_runs)
    for number in range(n_runs):
        if number % 10 == 0:
            workspace, user = LAB, OWNER
        elif number % 10 < 3:
            workspace, user = LAB, f"member-{chance.randrange(19)}"
        else:
            team = chance.randrange(len(TEAMS))
            workspace, user = TEAMS[team], f"user-{team}-{chance.randrange(20)}"
        labels = [f"label-{int(N_LABELS * chance.random() ** 2):02d}" for _ in range(number % 3)]
        name = f"{chance.choice(WORDS)} {chance.choice(WORDS)} lr={10 ** -chance.uniform(1, 5):.5f} #{number}"
        project = projects[number]
        if number % 100_000 == 10_000 and number < n_runs // 2:
            name, project, labels = f"{RARE_WORD} {name}", RARE_PROJECT, [RARE_LABEL]
        yield Run(
            number, workspace, user, name, project, list(dict.fromkeys(labels)),
            "workflow" if chance.random() < 0.05 else "training", chance.choice(ENDS),
        )  # fmt: skip


def message_of(run: Run, first_at: datetime, with_outputs: bool = False) -> tuple[str, bytes]:
    """Subject and bytes of the one message in which the sender of `run` said that it began, and how it ended."""
    began = first_at + timedelta(seconds=run.number * SECONDS_APART)
    start: dict[str, Any] = {
        "name": run.name, "type": run.type, "project": run.project, "labels": run.labels,
        "params": {"seed": run.number % 97, "batch_size": 32},
    }  # fmt: skip
    if with_outputs:
        start["output_dir"] = f"s3://outputs-of-{run.workspace}/{run.project}/{run.batch_id}/"
        start["cluster"] = CLUSTERS[run.number % 7 % len(CLUSTERS)]
    said: list[tuple[str, datetime, dict[str, Any]]] = [("batch_start", began, start)]
    if run.end:
        elapsed = 60 + run.number * 7919 % 7200
        data = {"elapsed_s": elapsed, **({"reason": "CUDA out of memory"} if run.end == "batch_failed" else {})}
        said.append((run.end, began + timedelta(seconds=elapsed), data))
    events = [
        {
            "event_id": str(uuid.UUID(int=run.number * 2 + index)), "kind": kind, "version": 1, "batch_id": run.batch_id,
            "seq": index, "occurred_at": at.isoformat(), "data": data,
        }
        for index, (kind, at, data) in enumerate(said)
    ]  # fmt: skip
    message = {"v": 2, "producer_id": f"p-{run.number}", "class": "lifecycle", "first_seq": 0, "events": events}
    return event_subject(run.workspace, run.user, run.batch_id), orjson.dumps(message)


def decisions_about(run: Run, first_at: datetime) -> list[tuple[str, bytes]]:
    """What Argus has found out and decided about the outputs of `run`: nearly all were listed, one in twenty was deleted. The
    newest deletions were asked for in the last hours, some of them are on their way."""
    chance = random.Random(run.number)
    if not run.end or chance.random() < 0.05:
        return []
    at = first_at + timedelta(seconds=run.number * SECONDS_APART + 8_000)
    size = int(10 ** chance.uniform(6, 12.5))
    said: list[tuple[str, dict[str, Any]]] = [("outputs_measured", {"bytes": size, "objects": 1 + size // 10**8})]
    if chance.random() < 0.05:
        deletion = {"deletion_id": f"deletion-{run.number}", "requested_by": run.user, "bytes": size}
        said.append(("outputs_deletion_requested", deletion))
        if chance.random() < 0.95:
            said.append(("outputs_deletion_finished", deletion))
    return [
        (
            decision_subject("deleter", run.batch_id),
            orjson.dumps({
                "v": 2, "class": "lifecycle",
                "events": [{
                    "event_id": str(uuid.UUID(int=2**64 + run.number * 4 + index)), "kind": kind, "version": 1,
                    "batch_id": run.batch_id, "occurred_at": (at + timedelta(minutes=index)).isoformat(), "data": data,
                }],
            }),
        )
        for index, (kind, data) in enumerate(said)
    ]  # fmt: skip


async def append_runs(ingest_url: str, n_runs: int, with_outputs: bool = False) -> int:
    """The log ends with `n_runs` runs, the newest a moment ago. ingest_url: of the role that owns the log. with_outputs: they
    have folders and clusters, and there is what Argus said about them. Returns the log's last position."""
    appender, arrived, last = LogAppender(), [], 0
    decided: list[tuple[str, bytes]] = []
    first_at = datetime.now(UTC) - timedelta(seconds=n_runs * SECONDS_APART)
    async with await AsyncConnection.connect(ingest_url, autocommit=True) as connection:
        for run in runs(n_runs):
            arrived += accept(*message_of(run, first_at, with_outputs))
            if with_outputs:
                decided += decisions_about(run, first_at)
            if len(arrived) == MESSAGES_PER_COMMIT:
                last = (await appender.append(connection, arrived)).last_position
                # Behind the commit, because a decision about a run that nobody knows is buried.
                arrived, decided = [one for message in decided for one in accept(*message)], []
                if arrived:
                    last = (await appender.append(connection, arrived)).last_position
                arrived = []
        if arrived:
            last = (await appender.append(connection, arrived)).last_position
    return last


def append(ingest_url: str, n_runs: int, with_outputs: bool = False) -> int:
    return asyncio.run(append_runs(ingest_url, n_runs, with_outputs))
