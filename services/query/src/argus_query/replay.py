"""Answers `replay`: the events of some topics behind a position, from the log, as far as it is projected.

Nothing is kept per listener: whoever asks says where he stands.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg import AsyncConnection

from argus_contracts.quantities import MAX_EVENT_BYTES
from argus_contracts.queries.common import Viewer
from argus_contracts.queries.live import LiveEvent, Replay, Replayed
from argus_query.log_reader import decode_events
from argus_query.runs.outputs import is_about_a_deletion
from argus_query.sql import load
from argus_query.visibility import seen_by

_SQL = load(__package__ or "", "replay.sql")
_RUNS_SQL = load("argus_query.runs", "queries.sql")
MAX_BEHIND = 200_000
"""Who is further behind fetches the page anew."""
MAX_ANSWER_BYTES = 640 * 1024
_ROWS = 400
_RUN_CLASSES = frozenset({"lifecycle", "metrics"})
_LOG_CLASSES = frozenset({"log_lines"})
_ALL_CLASSES = frozenset({"lifecycle", "metrics", "snapshots", "log_lines"})
_CACHED_BYTES = 4 * 1024 * 1024


class RecentRecords:
    """The records decoded last, so that many listeners of one run cost one decoding. Bounded by compressed bytes."""

    def __init__(self) -> None:
        self._events: OrderedDict[int, tuple[int, list[dict[str, Any]]]] = OrderedDict()
        self._bytes = 0

    def decode(self, first_position: int, payload: bytes) -> list[dict[str, Any]]:
        known = self._events.get(first_position)
        if known is not None:
            self._events.move_to_end(first_position)
            return known[1]
        events = decode_events(payload)
        self._events[first_position] = (len(payload), events)
        self._bytes += len(payload)
        while self._bytes > _CACHED_BYTES and len(self._events) > 1:
            _, (size, _) = self._events.popitem(last=False)
            self._bytes -= size
        return events


@dataclass(slots=True)
class Topics:
    """What a listener asked for."""

    dashboard: bool = False
    runs: dict[str, str] = field(default_factory=dict)
    """batch_id -> topic"""
    logs: dict[str, str] = field(default_factory=dict)
    """batch_id -> topic"""
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    """batch_id -> job_id -> topic"""
    refused: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, names: list[str]) -> Topics:
        topics = cls()
        for name in dict.fromkeys(names):
            kind, _, rest = name.partition(":")
            batch_id, slash, job_id = rest.partition("/")
            if name == "dashboard":
                topics.dashboard = True
            elif kind == "batch" and rest and not slash:
                topics.runs[rest] = name
            elif kind == "log" and rest and not slash:
                topics.logs[rest] = name
            elif kind == "job" and batch_id and job_id:
                topics.jobs.setdefault(batch_id, {})[job_id] = name
            else:
                topics.refused.append(name)
        return topics

    def batch_ids(self) -> list[str]:
        return sorted({*self.runs, *self.logs, *self.jobs})

    def classes_of(self, batch_id: str) -> frozenset[str]:
        """The retention classes in which there may be something for somebody."""
        if batch_id in self.jobs:
            return _ALL_CLASSES
        of_run = _RUN_CLASSES if batch_id in self.runs else frozenset[str]()
        return of_run | (_LOG_CLASSES if batch_id in self.logs else frozenset[str]())

    def keep_visible(self, visible: set[str]) -> None:
        """The others are refused."""
        for batch_id in [b for b in self.runs if b not in visible]:
            self.refused.append(self.runs.pop(batch_id))
        for batch_id in [b for b in self.logs if b not in visible]:
            self.refused.append(self.logs.pop(batch_id))
        for batch_id in [b for b in self.jobs if b not in visible]:
            self.refused += self.jobs.pop(batch_id).values()

    def of(self, event: dict[str, Any], batch_id: str, is_visible: bool) -> list[str]:
        """The topics that `event` belongs to."""
        job_id, kind = event.get("job_id"), event["kind"]
        found: list[str] = []
        if self.dashboard and is_visible and job_id is None and kind not in _NO_NEWS:
            found.append("dashboard")
        if batch_id in self.runs and kind not in ("resource_snapshot", "log_line"):
            found.append(self.runs[batch_id])
        if batch_id in self.logs and kind == "log_line":
            found.append(self.logs[batch_id])
        wanted_jobs = self.jobs.get(batch_id)
        if wanted_jobs:
            if job_id is None:
                found += wanted_jobs.values()
            elif job_id in wanted_jobs:
                found.append(wanted_jobs[job_id])
        return found


_NO_NEWS = frozenset({"job_epoch", "resource_snapshot", "log_line", "batch_heartbeat"})
"""They flow while a run goes on, and change nothing that a list shows. (`topics.ts` of the UI has the same rule.)"""
_Row = tuple[int, int, str, str, bytes | None]


async def replay(connection: AsyncConnection[Any], question: Replay, recent: RecentRecords) -> Replayed:
    """See `Replay`. Call in a transaction that sees one state of the tables."""
    row = await (await connection.execute(_SQL["position_and_day"], [question.since])).fetchone()
    position, log_end, day = (row[0], row[1], row[2]) if row else (0, 0, None)
    topics = Topics.parse(question.topics)
    visible = await _visible(connection, question.viewer, topics.batch_ids())
    topics.keep_visible(visible)
    refused = sorted(topics.refused)
    if question.since > max(position, log_end) or position - question.since > MAX_BEHIND:
        return Replayed(position=position, events=[], more=False, reset=True, refused=refused)
    if question.since >= position:  # he knows as much as we do, or of events that are not projected yet
        return Replayed(position=question.since, events=[], more=False, reset=False, refused=refused)
    wanted = {
        **seen_by(question.viewer),
        "since": question.since,
        "up_to": position,
        "day": day,
        "limit": _ROWS,
    }
    rows, horizon = await _records(connection, topics, wanted, position)
    events, reached = _events(rows, topics, question, horizon, recent)
    return Replayed(position=reached, events=events, more=reached < position, reset=False, refused=refused)


async def _visible(connection: AsyncConnection[Any], viewer: Viewer, batch_ids: list[str]) -> set[str]:
    if not batch_ids:
        return set()
    cursor = await connection.execute(_RUNS_SQL["visible_runs"], {"batch_ids": batch_ids, **seen_by(viewer)})
    return {row[0] async for row in cursor}


async def _records(
    connection: AsyncConnection[Any], topics: Topics, wanted: dict[str, Any], position: int
) -> tuple[list[_Row], int]:
    """Rows of the log in the order of their positions, and up to where they are complete."""
    found: dict[int, _Row] = {}
    horizon = position
    by_classes: dict[frozenset[str], list[str]] = {}
    for batch_id in topics.batch_ids():
        by_classes.setdefault(topics.classes_of(batch_id), []).append(batch_id)
    for classes, batch_ids in by_classes.items():
        cursor = connection.cursor(binary=True)
        await cursor.execute(_SQL["records_of_batches"], {**wanted, "batch_ids": batch_ids, "classes": sorted(classes)})
        rows = await cursor.fetchall()
        for batch_id in batch_ids:
            of_batch = [row for row in rows if row[3] == batch_id]
            if len(of_batch) == _ROWS:
                horizon = min(horizon, of_batch[-1][1])
        found.update({row[0]: row for row in rows})
    if topics.dashboard:
        cursor = connection.cursor(binary=True)
        await cursor.execute(_SQL["lifecycle_records"], {**wanted, "limit": 5 * _ROWS})
        rows = await cursor.fetchall()
        if len(rows) == 5 * _ROWS:
            horizon = min(horizon, rows[-1][1])
        for row in rows:
            found.setdefault(row[0], row)
    return [found[first] for first in sorted(found)], horizon


def _events(
    rows: list[_Row], topics: Topics, question: Replay, horizon: int, recent: RecentRecords
) -> tuple[list[LiveEvent], int]:
    """The events up to `horizon` that fit into the answer, and the position up to which they are complete."""
    viewer = question.viewer
    events: list[LiveEvent] = []
    n_bytes = 0
    for first_position, _, workspace, batch_id, payload in rows:
        if payload is None:
            continue
        is_visible = viewer.all_workspaces or workspace in viewer.workspaces
        for index, event in enumerate(recent.decode(first_position, payload)):
            position = first_position + index
            if position <= question.since:
                continue
            if position > horizon:
                return events, horizon
            names = topics.of(event, batch_id, is_visible)
            if not names:
                continue
            if len(events) >= question.limit or n_bytes > MAX_ANSWER_BYTES:
                return events, position - 1
            for name in names:
                live = _live_event(name, position, batch_id, event)
                if n_bytes > MAX_ANSWER_BYTES + MAX_EVENT_BYTES:
                    live.data = {"omitted": True}  # one large event under dozens of topics: the page fetches it
                n_bytes += 160 + len(orjson.dumps(live.data))
                events.append(live)
    return events, horizon


def _live_event(topic: str, position: int, batch_id: str, event: dict[str, Any]) -> LiveEvent:
    return LiveEvent.model_construct(
        topic=topic,
        position=position,
        kind=event["kind"],
        batch_id=batch_id,
        job_id=event.get("job_id"),
        attempt=event.get("attempt") or 1,
        occurred_at=str(event["occurred_at"]),
        # Who may see the run may know that its outputs are being deleted; what stands in the receipt is for fewer.
        data={} if is_about_a_deletion(event["kind"]) else event.get("data") or {},
    )
