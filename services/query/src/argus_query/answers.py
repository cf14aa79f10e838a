"""Answers questions: JSON in, the envelope of the contract out. Knows the database, not the broker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
import psycopg
from psycopg import AsyncConnection, IsolationLevel, errors
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from pydantic import BaseModel, ValidationError

from argus_contracts.queries.common import Asked
from argus_contracts.queries.costs import GetCost, ListPrices
from argus_contracts.queries.dashboard import (
    GetDashboardChoices,
    GetDashboardSpend,
    GetDashboardStorage,
    GetDashboardSummary,
    ListDashboardRuns,
    StorageRates,
)
from argus_contracts.queries.deletions import GetDeletion, ListDeletions
from argus_contracts.queries.jobs import GetJob, GetMatrix, ListJobs
from argus_contracts.queries.live import GetPosition, ListHosts, Positions, Replay
from argus_contracts.queries.logs import ListLogLines, LogLines
from argus_contracts.queries.outputs import FindOutputs, GetOutputs, ListUnmeasured
from argus_contracts.queries.questions import QUESTIONS
from argus_contracts.queries.runs import GetFacets, GetRun, ListRuns
from argus_contracts.queries.series import GetSeries
from argus_query import logs, paging
from argus_query.costs.reads import TooMuch, get_cost, list_prices
from argus_query.dashboard.listing import list_runs as list_dashboard_runs
from argus_query.dashboard.rates import DEFAULT_RATES
from argus_query.dashboard.reads import get_choices, get_spend, get_storage, get_summary
from argus_query.database import KEEPALIVE, answered_within, is_passing, still_good
from argus_query.deletions.reads import get_deletion, list_deletions
from argus_query.hosts.reads import list_hosts
from argus_query.jobs.matrix import get_matrix
from argus_query.jobs.reads import get_job, get_series, list_jobs
from argus_query.logs import read_log_lines
from argus_query.outputs.reads import find_outputs, get_outputs, list_unmeasured
from argus_query.packing import envelope_of
from argus_query.replay import RecentRecords, replay
from argus_query.runs.reads import dropped_events, get_facets, get_run, list_runs, run_row
from argus_query.schemas import LIVE
from argus_query.sql import load
from argus_query.visibility import BadQuestion, NotFound, seen_by

_SQL = load(__package__ or "", "positions.sql")
AFTER_SECONDS = 2.0
"""How long an answer waits for the position that its question names."""
POOL_SECONDS = 2.0
ANSWER_SECONDS = 8.0
"""Postgres itself ends a statement after 5 s: a link that is silent for longer is dead."""
MAX_ANSWER_BYTES = 1_000_000
"""A NATS message holds 1 MiB."""
_POLL_SECONDS = 0.015
_log = logging.getLogger(__name__)


class Moment(NamedTuple):
    """The moment of an answer: how far the live tables are, and the time by the database's clock, as events are received by."""

    position: int
    now: datetime


def new_pool(url: str, size: int) -> AsyncConnectionPool[AsyncConnection[Any]]:
    """Connections that may only read, and no answer for longer than 5 s. Not opened yet."""
    options = (
        f"-c TimeZone=UTC -c search_path={LIVE} -c statement_timeout=5s -c lock_timeout=2s"
        " -c idle_in_transaction_session_timeout=20s -c plan_cache_mode=force_custom_plan"
    )
    return AsyncConnectionPool(
        url,
        min_size=1,
        max_size=size,
        max_waiting=200,
        timeout=POOL_SECONDS,
        max_idle=120,
        reconnect_timeout=5,
        open=False,
        configure=_configure,
        check=still_good,
        kwargs={"autocommit": True, "application_name": "argus-query answers", "options": options, **KEEPALIVE},
    )


async def _configure(connection: AsyncConnection[Any]) -> None:
    await connection.set_read_only(True)
    # An answer is many statements; it tells of one moment.
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)


class Answers:
    """One method per question, by its name on the wire: an answer as its model, or as the fields of one where these are arrays."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], stall: timedelta, rates: StorageRates = DEFAULT_RATES
    ) -> None:
        self._pool = pool
        self._stall = stall
        self._rates = rates
        self._recent = RecentRecords()
        self._by_name: dict[str, Callable[..., Awaitable[BaseModel | dict[str, Any]]]] = {
            "list_runs": self._list_runs,
            "get_run": self._get_run,
            "get_facets": self._get_facets,
            "list_jobs": self._list_jobs,
            "get_matrix": self._get_matrix,
            "get_job": self._get_job,
            "get_series": self._get_series,
            "list_log_lines": self._list_log_lines,
            "list_hosts": self._list_hosts,
            "replay": self._replay,
            "get_dashboard_summary": self._get_dashboard_summary,
            "get_dashboard_spend": self._get_dashboard_spend,
            "get_dashboard_storage": self._get_dashboard_storage,
            "list_dashboard_runs": self._list_dashboard_runs,
            "get_dashboard_choices": self._get_dashboard_choices,
            "list_deletions": self._list_deletions,
            "get_deletion": self._get_deletion,
            "get_outputs": self._get_outputs,
            "find_outputs": self._find_outputs,
            "list_unmeasured": self._list_unmeasured,
            "get_cost": self._get_cost,
            "list_prices": self._list_prices,
        }

    @property
    def answered(self) -> set[str]:
        """Names of questions that somebody must ask."""
        return set(self._by_name)

    async def answer(self, name: str, body: bytes) -> bytes:
        """The envelope, as JSON, to the question `name`. Never raises but when cancelled."""
        try:
            question = QUESTIONS[name][0].model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "question"
            return _problem("bad_question", f"{where}: {first['msg']}"[:500])
        try:
            answer = await self._answer(name, question)
        except NotFound as error:
            return _problem("not_found", str(error))
        except (paging.BadCursor, logs.BadCursor, BadQuestion, TooMuch) as error:
            return _problem("bad_question", str(error))
        except errors.QueryCanceled:
            return _problem("unavailable", "the answer would take longer than 5 s")
        except (PoolTimeout, TooManyRequests, TimeoutError):
            return _problem("unavailable", "too many questions at once, or the database is away")
        except psycopg.Error as error:
            if not is_passing(error):
                _log.exception("question %s", name)
            return _problem("unavailable", "the database cannot answer for now")
        except Exception:
            _log.exception("question %s", name)
            return _problem("unavailable", "an error on our side; it was logged")
        encoded = envelope_of(answer)
        if len(encoded) > MAX_ANSWER_BYTES:
            return _problem("bad_question", "the answer is over 1 MB: ask for less at once")
        return encoded

    async def _answer(self, name: str, question: BaseModel) -> BaseModel | dict[str, Any]:
        if isinstance(question, GetPosition):
            return await self.positions()
        assert isinstance(question, Asked), "every other question is asked by somebody"
        async with self._lent() as connection:
            if question.after is not None:
                await _wait_for(connection, question.after)
            async with connection.transaction():
                return await self._by_name[name](connection, question, await _locked_moment(connection))

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._pool.connection() as connection:
            with answered_within(ANSWER_SECONDS, connection):
                yield connection

    async def positions(self) -> Positions:
        """How far the log and the live tables are."""
        async with self._lent() as connection:
            row = await (await connection.execute(_SQL["lag"])).fetchone()
        if row is None:
            return Positions(log=0, projected=0, lag_events=0, lag_seconds=0.0)
        return Positions(log=row[0], projected=row[1], lag_events=max(0, row[0] - row[1]), lag_seconds=max(0.0, row[2]))

    async def failures(self) -> dict[str, int]:
        """Number of events that could not be folded, per read model."""
        async with self._lent() as connection:
            return dict(await (await connection.execute(_SQL["count_failures"])).fetchall())

    async def _list_runs(self, connection: AsyncConnection[Any], question: ListRuns, at: Moment) -> BaseModel:
        return await list_runs(connection, question, at.position, at.now, self._stall)

    async def _get_run(self, connection: AsyncConnection[Any], question: GetRun, at: Moment) -> BaseModel:
        return await get_run(connection, question, at.position, at.now, self._stall)

    async def _get_facets(self, connection: AsyncConnection[Any], question: GetFacets, at: Moment) -> BaseModel:
        return await get_facets(connection, question, at.position)

    async def _list_jobs(self, connection: AsyncConnection[Any], question: ListJobs, at: Moment) -> BaseModel:
        return await list_jobs(connection, question, at.position)

    async def _get_matrix(self, connection: AsyncConnection[Any], question: GetMatrix, at: Moment) -> BaseModel:
        return await get_matrix(connection, question, at.position)

    async def _get_job(self, connection: AsyncConnection[Any], question: GetJob, at: Moment) -> BaseModel:
        return await get_job(connection, question, at.position, at.now, self._stall)

    async def _get_series(self, connection: AsyncConnection[Any], question: GetSeries, at: Moment) -> dict[str, Any]:
        return await get_series(connection, question, at.position)

    async def _list_log_lines(self, connection: AsyncConnection[Any], question: ListLogLines, at: Moment) -> BaseModel:
        run = await run_row(connection, question.batch_id, seen_by(question.viewer))
        dropped = dropped_events(run).get("log_lines", 0)
        return LogLines(position=at.position, **await read_log_lines(connection, question, dropped))

    async def _list_hosts(self, connection: AsyncConnection[Any], question: ListHosts, at: Moment) -> BaseModel:
        return await list_hosts(connection, question, at.position)

    async def _get_cost(self, connection: AsyncConnection[Any], question: GetCost, at: Moment) -> BaseModel:
        return await get_cost(connection, question, at.position)

    async def _list_prices(self, connection: AsyncConnection[Any], question: ListPrices, at: Moment) -> BaseModel:
        return await list_prices(connection, question, at.position)

    async def _replay(self, connection: AsyncConnection[Any], question: Replay, _: Moment) -> BaseModel:
        return await replay(connection, question, self._recent)

    async def _get_dashboard_summary(
        self, connection: AsyncConnection[Any], question: GetDashboardSummary, at: Moment
    ) -> BaseModel:
        return await get_summary(connection, question, at.position, at.now, self._rates)

    async def _get_dashboard_spend(
        self, connection: AsyncConnection[Any], question: GetDashboardSpend, at: Moment
    ) -> BaseModel:
        return await get_spend(connection, question, at.position, at.now)

    async def _get_dashboard_storage(
        self, connection: AsyncConnection[Any], question: GetDashboardStorage, at: Moment
    ) -> BaseModel:
        return await get_storage(connection, question, at.position, at.now, self._rates)

    async def _list_dashboard_runs(
        self, connection: AsyncConnection[Any], question: ListDashboardRuns, at: Moment
    ) -> BaseModel:
        return await list_dashboard_runs(connection, question, at.position, at.now, self._rates)

    async def _get_dashboard_choices(
        self, connection: AsyncConnection[Any], question: GetDashboardChoices, at: Moment
    ) -> BaseModel:
        return await get_choices(connection, question, at.position)

    async def _list_deletions(self, connection: AsyncConnection[Any], question: ListDeletions, at: Moment) -> BaseModel:
        return await list_deletions(connection, question, at.position, at.now)

    async def _get_deletion(self, connection: AsyncConnection[Any], question: GetDeletion, at: Moment) -> BaseModel:
        return await get_deletion(connection, question, at.position, at.now)

    async def _get_outputs(self, connection: AsyncConnection[Any], question: GetOutputs, at: Moment) -> BaseModel:
        return await get_outputs(connection, question, at.position, self._rates)

    async def _find_outputs(self, connection: AsyncConnection[Any], question: FindOutputs, at: Moment) -> BaseModel:
        return await find_outputs(connection, question, at.position)

    async def _list_unmeasured(
        self, connection: AsyncConnection[Any], question: ListUnmeasured, at: Moment
    ) -> BaseModel:
        return await list_unmeasured(connection, question, at.position)


async def _moment(connection: AsyncConnection[Any]) -> Moment:
    row = await (await connection.execute(_SQL["select_moment"])).fetchone()
    return Moment(*row) if row else Moment(0, datetime.now(UTC))


async def _locked_moment(connection: AsyncConnection[Any]) -> Moment:
    """Two statements in one message. The lock comes first: it waits while tables are swapped, before the moment is taken."""
    cursor = await connection.execute(_SQL["lock_and_select_moment"], prepare=False)
    cursor.nextset()
    row = await cursor.fetchone()
    return Moment(*row) if row else Moment(0, datetime.now(UTC))


async def _wait_for(connection: AsyncConnection[Any], position: int) -> None:
    """Until `position` is projected, at most 2 s."""
    until = asyncio.get_running_loop().time() + AFTER_SECONDS
    while (await _moment(connection)).position < position:
        if asyncio.get_running_loop().time() > until:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _problem(code: str, detail: str) -> bytes:
    return orjson.dumps({"answer": None, "problem": {"code": code, "detail": detail}})
