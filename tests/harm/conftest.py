"""Doors of a running Argus: ways to hand in bytes, and what became of them."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import nats
import orjson
import psycopg
import pytest
import zstandard

from argus_contracts.envelope import BETWEEN_DOCUMENTS
from argus_contracts.quantities import MAX_MESSAGE_BYTES
from argus_contracts.subjects import bundle_subject, event_subject
from argus_testkit.stack import LocalStack

LAB, ADMIN = "main", "admin"


@dataclass
class Inside:
    """What stands in a stack's database."""

    connection: psycopg.Connection

    def sql(self, query: Any, *values: Any) -> list[Any]:
        return self.connection.execute(query, values).fetchall()

    def logged(self, batch_id: str) -> list[dict[str, Any]]:
        """The events of a run as they stand in the log, in order."""
        rows = self.sql("SELECT payload FROM log.record_batches WHERE batch_id = %s ORDER BY first_position", batch_id)
        return [event for (payload,) in rows for event in orjson.loads(zstandard.decompress(payload))["events"]]

    def letters(self, batch_id: str) -> list[tuple[str, str, bytes]]:
        """(code, reason, raw) of the dead letters that name this run."""
        rows = self.sql(
            "SELECT code, reason, raw FROM log.dead_letters WHERE position(%s in raw) > 0", batch_id.encode()
        )
        return sorted(rows)


@pytest.fixture
def inside(stack: LocalStack) -> Iterator[Inside]:
    with stack.database() as connection:
        yield Inside(connection)


@pytest.fixture
def client(stack: LocalStack) -> Iterator[httpx.Client]:
    """Signed in by the admin's token."""
    with stack.client() as one:
        yield one


@pytest.fixture
def say(stack: LocalStack) -> Callable[..., None]:
    """`say(batch_id, messages)`: over NATS, with the admin's key, each acknowledged by the broker. bundled: several in one."""

    async def publish(subject: str, messages: Sequence[bytes]) -> None:
        token = stack.credentials.token
        inbox = f"_INBOX_{token.split('_')[1]}".encode()
        client = await nats.connect(stack.facts.nats.url, token=token, inbox_prefix=inbox)
        try:
            for raw in messages:
                reply = await client.request(subject, raw, timeout=20)
                assert "error" not in orjson.loads(reply.data), reply.data
        finally:
            await client.close()

    def tell(batch_id: str, messages: Sequence[bytes], *, bundled: bool = False) -> None:
        if bundled:
            asyncio.run(publish(bundle_subject(LAB, ADMIN), bundles(messages)))
        else:
            asyncio.run(publish(event_subject(LAB, ADMIN, batch_id), messages))

    return tell


def bundles(documents: Sequence[bytes]) -> list[bytes]:
    """As few messages as hold all of `documents`."""
    made = [documents[0]]
    for document in documents[1:]:
        if len(made[-1]) + len(document) < MAX_MESSAGE_BYTES:
            made[-1] += BETWEEN_DOCUMENTS + document
        else:
            made.append(document)
    return made


_steps = itertools.count()


@pytest.fixture
def new_event() -> Callable[..., dict[str, Any]]:
    """`new_event(batch_id, **changes)`: a good point of a curve, in the present form."""

    def build(batch_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "event_id": str(uuid.uuid4()), "kind": "job_epoch", "version": 1, "batch_id": batch_id, "job_id": "j",
            "occurred_at": "2026-11-21T03:00:00Z", "data": {"step": next(_steps), "metrics": {"loss": 0.5}}, **changes,
        }  # fmt: skip

    return build


@pytest.fixture
def old_event() -> Callable[..., dict[str, Any]]:
    """`old_event(batch_id, **changes)`: a good point of a curve, as argus-reporter 0.1.3 says it."""

    def build(batch_id: str, **changes: Any) -> dict[str, Any]:
        return {
            "event_id": str(uuid.uuid4()), "schema_version": "1.1", "event_type": "job_epoch", "batch_id": batch_id,
            "job_id": "j", "timestamp": "2026-11-21T03:00:00Z", "source": {"project": "harm"},
            "data": {"epoch": next(_steps), "loss": 0.5}, **changes,
        }  # fmt: skip

    return build
