"""Messages as the SDK sends them, without a sender: a log for benchmarks that are not about senders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
from psycopg import AsyncConnection

from argus.segments import Identity
from argus.spool import SpoolClass, new_producer_id
from argus_contracts.subjects import event_subject
from argus_ingest.accept import Buried, Incoming, accept
from argus_ingest.log import LogAppender

EVENTS_PER_MESSAGE = 500
MESSAGES_PER_COMMIT = 100
N_RUNS, N_JOBS = 4, 2
_START = datetime(2026, 1, 1, tzinfo=UTC)


def fill_log(url: str, workspace: str, user: str, n_events: int) -> None:
    """The log has so many more events: points of two metrics and log lines, of 8 jobs of 4 runs (`filled-0` …)."""
    asyncio.run(_fill(url, workspace, user, n_events))


async def _fill(url: str, workspace: str, user: str, n_events: int) -> None:
    appender = LogAppender()
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        commit: list[tuple[str, bytes]] = []
        for batch_id, body in _messages(n_events // EVENTS_PER_MESSAGE):
            commit.append((event_subject(workspace, user, batch_id), body))
            if len(commit) == MESSAGES_PER_COMMIT:
                await appender.append(connection, _accepted(commit))
                commit = []
        await appender.append(connection, _accepted(commit))


def _accepted(commit: list[tuple[str, bytes]]) -> list[Incoming | Buried]:
    return [document for message in commit for document in accept(*message)]


def _messages(n_messages: int) -> Iterator[tuple[str, bytes]]:
    producers = [new_producer_id() for _ in range(N_RUNS)]
    for number in range(n_messages):
        turn, run = divmod(number, N_RUNS)
        turn, is_lines = divmod(turn, 2)
        name: SpoolClass = "log_lines" if is_lines else "metrics"
        first = turn * EVENTS_PER_MESSAGE
        events = [orjson.dumps(_event(f"filled-{run}", name, seq)) for seq in range(first, first + EVENTS_PER_MESSAGE)]
        head = f'{{"v":2,"producer_id":"{producers[run]}","class":"{name}","first_seq":{first},"events":['
        yield (
            f"filled-{run}",
            b"%b%b]}" % (head.encode(), b",".join(Identity(producers[run], name).wear(first, events))),
        )


def _event(batch_id: str, name: SpoolClass, seq: int) -> dict[str, object]:
    step = seq // N_JOBS
    train, val = 1.0 / (step + 1), 2.0 / (step + 1)
    if name == "metrics":
        kind, data = "job_epoch", {"metrics": {"train_loss": train, "val_loss": val}, "epoch": step, "step": step}
    else:
        line = f"epoch {step} train_loss {train:.5f} val_loss {val:.5f}"
        kind, data = "log_line", {"line_no": step, "stream": "log", "level": "INFO", "line": line}
    return {
        "kind": kind, "version": 1, "batch_id": batch_id, "job_id": f"job-{seq // 25 % N_JOBS}", "attempt": 1,
        "occurred_at": (_START + timedelta(microseconds=seq * 20_000)).isoformat().replace("+00:00", "Z"), "data": data,
    }  # fmt: skip
