"""Runs that one process tells of through the broker, without the SDK: as a scheduler does, or an importer.

Each run is two messages: that it and its job began and ended, and its one point. All are acknowledged by the broker on return.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import nats
import orjson

from argus_contracts.subjects import event_subject

AT_ONCE = 256


def publish_runs(url: str, token: str, workspace: str, user: str, batch_ids: Sequence[str]) -> None:
    asyncio.run(_publish(url, token, workspace, user, batch_ids))


async def _publish(url: str, token: str, workspace: str, user: str, batch_ids: Sequence[str]) -> None:
    key_id = token.split("_")[1]
    connection = await nats.connect(url, token=token, inbox_prefix=f"_INBOX_{key_id}".encode())
    stream, free = connection.jetstream(timeout=30), asyncio.Semaphore(AT_ONCE)

    async def publish(batch_id: str, body: bytes) -> None:
        async with free:
            await stream.publish(event_subject(workspace, user, batch_id), body)

    try:
        async with asyncio.TaskGroup() as group:
            for batch_id in batch_ids:
                for body in _messages(batch_id):
                    group.create_task(publish(batch_id, body))
    finally:
        await connection.close()


def _messages(batch_id: str) -> list[bytes]:
    lifecycle: list[tuple[str, str | None, dict[str, Any]]] = [
        ("batch_start", None, {"project": "bench", "params": {"lr": 0.1, "seed": 7}}),
        ("job_start", "job", {}),
        ("job_done", "job", {}),
        ("batch_done", None, {}),
    ]
    point = [("job_epoch", "job", {"step": 0, "metrics": {"loss": 0.5}})]
    return [_message(batch_id, "lifecycle", lifecycle), _message(batch_id, "metrics", point)]


def _message(batch_id: str, retention_class: str, said: Sequence[tuple[str, str | None, dict[str, Any]]]) -> bytes:
    now = datetime.now(UTC).isoformat()
    events = [
        {
            "event_id": str(uuid.uuid4()), "kind": kind, "version": 1, "batch_id": batch_id, "job_id": job_id, "seq": seq,
            "occurred_at": now, "data": data,
        }
        for seq, (kind, job_id, data) in enumerate(said)
    ]  # fmt: skip
    return orjson.dumps(
        {"v": 2, "producer_id": f"p-{batch_id}", "class": retention_class, "first_seq": 0, "events": events}
    )
