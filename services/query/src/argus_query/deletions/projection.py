"""Folds records of the log into the table of deletions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from psycopg import AsyncConnection

from argus_query.cache import Recent
from argus_query.deletions.state import DeletionKnown
from argus_query.read_model import Record, purged_batches
from argus_query.runs.outputs import is_about_a_deletion
from argus_query.sql import columns_of, json_text, load, load_text

_SQL = load(__package__ or "", "queries.sql")
_REMEMBERED = 2_000
Key = tuple[str, str]
"""`batch_id`, `deletion_id`"""


class Deletions:
    """The read model of deletions."""

    name = "deletions"
    version = 2
    tables = ("deletions",)

    def __init__(self) -> None:
        self._recent: Recent[Key, DeletionKnown] = Recent(_REMEMBERED)

    def schema(self) -> str:
        return load_text(__package__ or "", "schema.sql")

    async def load(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        self._recent.trim()
        missing = self._recent.missing({_key(record, index) for record, index in _told(records)})
        if missing:
            cursor = await connection.execute(_SQL["load_deletions"], columns_of(missing))
            async for deletion_id, batch_id, workspace, owner, raw in cursor:
                known = DeletionKnown.from_json(deletion_id, batch_id, workspace, owner, raw)
                self._recent.put((batch_id, deletion_id), known)

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> None:
        touched: dict[Key, DeletionKnown] = {}
        for record, index in _told(records):
            key = _key(record, index)
            known = self._recent.get(key)
            if known is None:
                known = DeletionKnown(key[1], key[0], record.workspace, record.user)
                self._recent.put(key, known)
            known.project_event(record.events[index], record.times[index], record.first_position + index)
            touched[key] = known
        if touched:
            rows = [(*known.row(), json_text(known.to_json())) for known in touched.values()]
            await connection.execute(_SQL["upsert_deletions"], columns_of(rows))
        purged = purged_batches(records)
        if purged:
            await connection.execute(_SQL["delete_deletions"], [purged])
            self._recent.drop_where(lambda key: key[0] in purged)

    async def maintain(self, connection: AsyncConnection[Any]) -> bool:
        return False

    def forget(self) -> None:
        self._recent.clear()


def _told(records: Sequence[Record]) -> Iterator[tuple[Record, int]]:
    """Where the facts about deletions stand."""
    for record in records:
        if record.retention_class == "lifecycle":
            for index, event in enumerate(record.events):
                if is_about_a_deletion(event["kind"]):
                    yield record, index


def _key(record: Record, index: int) -> Key:
    return record.batch_id, record.events[index]["data"]["deletion_id"]
