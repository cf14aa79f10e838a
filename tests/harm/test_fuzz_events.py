"""B2: any event of any kind, and anything that nearly is one: stored or refused, never a fault, and the pages rebuilt from the
log are the pages."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from argus_contracts.errors import Refused
from argus_contracts.registry import EVENT_CLASSES, FACTS_OF_ARGUS, parse_event
from argus_contracts.subjects import event_subject
from argus_ingest.accept import Buried, Incoming, accept
from argus_ingest.log import LogAppender
from argus_ingest.migrate import migrate
from argus_query.database import connect
from argus_query.fold import Folder
from argus_query.log_reader import Cursor, read_chunk
from argus_query.models import all_models
from argus_query.rebuild import differences, rebuild_outdated
from argus_query.schemas import make_bookkeeping
from argus_testkit import Database
from argus_testkit.faults.scale import pick
from argus_testkit.strategies import BATCH_ID, events_of, mutated, near_events

SUBJECT = event_subject("lab", "ada", BATCH_ID)
PLACES = sorted({cls.RETENTION for cls in EVENT_CLASSES.values()})
fuzz = settings(
    deadline=None,
    derandomize=pick(True, False),  # the long form prints what fails, and the reproduction with it
    print_blob=True,
    phases=[Phase.explicit, Phase.generate, *pick([], [Phase.shrink])],  # looking for the smallest takes minutes
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("kind", sorted(EVENT_CLASSES))
def test_every_kind_is_taken_or_refused(kind: str) -> None:
    taken: Counter[str] = Counter()

    @settings(fuzz, max_examples=pick(30, 5_000))
    @given(events_of(kind), mutated(events_of(kind)))
    def look(event: dict[str, Any], spoiled: dict[str, Any]) -> None:
        for one in (event, spoiled):
            try:
                parse_event(one)
            except Refused as refused:
                assert 0 < len(refused.reason) <= 500
                taken[refused.code] += 1
            else:
                taken["taken"] += 1

    look()
    print(kind, dict(taken))
    assert taken["taken"] >= 10, "the events that are made from the schema must be good ones, mostly"


class Whole:
    """Ingest's and query's own code on one database, without the processes around it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._appender = LogAppender()
        self._folder = Folder(all_models())
        self._cursor = Cursor(0, date.min, None)
        self.n_events = self.n_buried = 0

    async def open(self) -> None:
        self._log: AsyncConnection[Any] = await AsyncConnection.connect(self._database.ingest_url, autocommit=True)
        await migrate(self._log)
        self._writer = await connect(self._database.query_url, "writer")
        self._reader = await connect(self._database.query_url, "reader")
        await make_bookkeeping(self._writer)
        await rebuild_outdated(self._database.query_url, all_models())
        self._cursor = await self._folder.start(self._writer)

    async def close(self) -> None:
        for connection in (self._log, self._writer, self._reader):
            await connection.close()

    async def take(self, arrived: list[Incoming | Buried]) -> list[Any]:
        """They are dealt with and folded; answers what query could not fold of them."""
        appended = await self._appender.append(self._log, arrived)
        self.n_events += appended.n_events
        self.n_buried += appended.n_buried
        before = self._cursor.position
        while (
            chunk := await read_chunk(self._reader, self._cursor, 8_000, 10**9)
        ).end.position > self._cursor.position:
            await self._folder.fold(self._writer, self._cursor, chunk)
            self._cursor = chunk.end
        failed = "SELECT slice, kind, traceback FROM read.projection_failures WHERE position > %s"
        return await (await self._writer.execute(failed, [before])).fetchall()

    async def changed_by_a_rebuild(self) -> list[str]:
        await self._folder.maintain(self._writer, self._cursor)
        return await differences(self._database.query_url, all_models())


def messages() -> st.SearchStrategy[tuple[str, list[dict[str, Any]], int | None]]:
    def of_place(place: str) -> st.SearchStrategy[tuple[str, list[dict[str, Any]], int | None]]:
        kinds = sorted(
            kind for kind, cls in EVENT_CLASSES.items() if place == cls.RETENTION and kind not in FACTS_OF_ARGUS
        )
        return st.tuples(
            st.just(place), st.lists(near_events(kinds), min_size=2, max_size=12), st.none() | st.integers(0, 10**6)
        )

    return st.sampled_from(PLACES).flatmap(of_place)


@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")  # what failed may be long
def test_whatever_is_said_is_in_the_log_or_buried_and_the_pages_can_be_rebuilt(database: Database) -> None:
    with asyncio.Runner() as runner:
        whole = Whole(database)
        runner.run(whole.open())
        n_said = 0

        @settings(fuzz, max_examples=pick(40, 20_000))
        @given(st.lists(messages(), min_size=1, max_size=3))
        def say(said: list[tuple[str, list[dict[str, Any]], int | None]]) -> None:
            nonlocal n_said
            arrived: list[Incoming | Buried] = []
            for place, events, first_seq in said:
                numbers = {} if first_seq is None else {"producer_id": "p1", "first_seq": first_seq}
                raw = json.dumps({"v": 2, "class": place, "events": events, **numbers}).encode()
                [judged] = accept(SUBJECT, raw)
                if isinstance(judged, Incoming) and not judged.whole:
                    assert judged.n_events + len(judged.buried) == len(events)
                n_said += len(events)
                arrived.append(judged)
            assert runner.run(whole.take(arrived)) == []

        try:
            say()
            print(f"{n_said} events said: {whole.n_events} in the log, {whole.n_buried} buried")
            assert whole.n_events > pick(60, 1000)
            assert whole.n_buried > pick(20, 1000)
            assert runner.run(whole.changed_by_a_rebuild()) == []
        finally:
            runner.run(whole.close())
