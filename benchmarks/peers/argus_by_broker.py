"""Runs that one process tells of through the broker, without the SDK: as a scheduler does, or an importer.

Each run is two documents: that it and its job began and ended, and its one point. They travel in bundles, and all are
acknowledged by the broker on return.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import nats
import orjson

from argus_contracts.envelope import BETWEEN_DOCUMENTS
from argus_contracts.subjects import bundle_subject

DOCUMENTS_PER_BUNDLE = 100
EVENTS_OF_A_RUN = 5
BUNDLES_AT_ONCE = 16


def publish_runs(url: str, token: str, workspace: str, user: str, batch_ids: Sequence[str]) -> None:
    asyncio.run(_publish(url, token, workspace, user, batch_ids))


async def _publish(url: str, token: str, workspace: str, user: str, batch_ids: Sequence[str]) -> None:
    key_id = token.split("_")[1]
    connection = await nats.connect(url, token=token, inbox_prefix=f"_INBOX_{key_id}".encode())
    stream, free = connection.jetstream(timeout=30), asyncio.Semaphore(BUNDLES_AT_ONCE)
    subject = bundle_subject(workspace, user)

    async def publish(documents: Sequence[bytes]) -> None:
        try:
            await stream.publish(subject, BETWEEN_DOCUMENTS.join(documents))
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            documents: list[bytes] = []
            for batch_id in batch_ids:
                documents += _documents(batch_id)
                if len(documents) >= DOCUMENTS_PER_BUNDLE:
                    await free.acquire()
                    group.create_task(publish(documents))
                    documents = []
            if documents:
                await free.acquire()
                group.create_task(publish(documents))
    finally:
        await connection.close()


def _documents(batch_id: str) -> list[bytes]:
    lifecycle: list[tuple[str, str | None, dict[str, Any]]] = [
        ("batch_start", None, {"project": "bench", "params": {"lr": 0.1, "seed": 7}}),
        ("job_start", "job", {}),
        ("job_done", "job", {}),
        ("batch_done", None, {}),
    ]
    point = [("job_epoch", "job", {"step": 0, "metrics": {"loss": 0.5}})]
    return [_document(batch_id, "lifecycle", lifecycle), _document(batch_id, "metrics", point)]


def _document(batch_id: str, retention_class: str, said: Sequence[tuple[str, str | None, dict[str, Any]]]) -> bytes:
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
