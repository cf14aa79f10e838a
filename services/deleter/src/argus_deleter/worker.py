"""Takes up deletions whose time has come, also those that a process which is no more had begun."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import psycopg

from argus_contracts.commands import OwnedRun
from argus_contracts.queries.outputs import Outputs, OutputsThere
from argus_deleter.ask import Query
from argus_deleter.decisions import SQL, Decisions, storable
from argus_deleter.deleting import Deleting
from argus_deleter.errors import DeleterError, NotNow, NotStored, Overtaken, Stopping, Unavailable
from argus_deleter.measures import Measures

T = TypeVar("T")
POLL_S = 5.0
"""How long a deletion that another process had taken up before it died is left lying at most."""
SOMEBODY_ELSES_S = 2.0
"""How long a deletion that another process works on is left alone."""
LONGEST_WAIT_S = 300.0
FAILURES, FIRST_FAILURE_S = 5, 2.0
"""Tries in one state that failed though no neighbour was away, and how long to wait after the first of them; then four times as
long. After the last one the deletion ends."""
_LOCK_SPACE = 0x_A19_DE1
logger = logging.getLogger(__name__)


class BlockingQuery:
    """`Query` for threads that are not the event loop's."""

    def __init__(self, query: Query, loop: asyncio.AbstractEventLoop) -> None:
        self._query, self._loop = query, loop

    def outputs(self, batch_id: str, after: int) -> Outputs | None:
        return self._wait(self._query.outputs([batch_id], after)).get(batch_id)

    def sharers(self, location: str, run: OwnedRun, after: int, *, personal: bool) -> list[OutputsThere]:
        return self._wait(self._query.sharers(location, run, after, personal=personal))

    def _wait(self, question: Coroutine[Any, Any, T]) -> T:
        asked: Future[T] = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(30)
        except TimeoutError:
            asked.cancel()
            raise Unavailable("query does not answer within 30 s") from None


class Worker:
    """at_once: deletions that this process works on at the same time. They share the calls to the store."""

    def __init__(self, decisions: Decisions, deleting: Deleting, measures: Measures, at_once: int) -> None:
        self._decisions, self._deleting, self._measures = decisions, deleting, measures
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "deletion")
        self._running: dict[str, asyncio.Task[None]] = {}
        self._left_until: dict[str, float] = {}
        self._news = asyncio.Event()
        self._may_begin = False

    def wake(self) -> None:
        """A deletion may be due. To be called in the event loop."""
        self._news.set()

    async def run(self, caught_up: Coroutine[Any, Any, None]) -> None:
        """Without end. Until `caught_up` has returned no deletion begins; those that were begun before a restart go on at once."""
        waiting = asyncio.create_task(caught_up)
        waiting.add_done_callback(lambda _: self.wake())
        try:
            await self._without_end(waiting)
        finally:
            waiting.cancel()

    async def _without_end(self, waiting: asyncio.Task[None]) -> None:
        while True:
            self._news.clear()
            if waiting.done():
                waiting.result()
                self._may_begin = True
            pause = POLL_S
            try:
                pause = await self._take_up()
            except Unavailable as error:
                self._measures.trouble.inc()
                logger.warning("cannot look for deletions that are due: %s", error)
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Nobody works any more; the store must have been told to stop."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=15)
        self._threads.shutdown(wait=False)

    async def _take_up(self) -> float:
        """What is due is being worked on, as far as there are threads. Seconds until there may be more."""
        now = asyncio.get_running_loop().time()
        self._left_until = {one: until for one, until in self._left_until.items() if until > now}
        limit = self._at_once + len(self._running) + len(self._left_until)
        for deletion_id, batch_id, seconds in await asyncio.to_thread(
            self._decisions.rows, "next_deletions", limit=limit, may_begin=self._may_begin
        ):
            if deletion_id in self._running or deletion_id in self._left_until:
                continue
            if len(self._running) == self._at_once:
                break  # the end of one of them wakes us
            if seconds > 0:
                return min(POLL_S, seconds + 0.001)
            self._running[deletion_id] = asyncio.create_task(self._work(deletion_id, batch_id))
        return min([POLL_S, *(until - now for until in self._left_until.values())])

    async def _work(self, deletion_id: str, batch_id: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            if not await loop.run_in_executor(self._threads, self._run, deletion_id, batch_id):
                self._left_until[deletion_id] = loop.time() + SOMEBODY_ELSES_S
        except Stopping:
            self._left_until[deletion_id] = float("inf")
        except Exception:
            logger.exception("deletion %s", deletion_id)
            self._left_until[deletion_id] = loop.time() + 10
        finally:
            del self._running[deletion_id]
            self.wake()

    def _run(self, deletion_id: str, batch_id: str) -> bool:
        """False: another process works on it, or it must wait and that could not be written down."""
        try:
            with self._decisions.apart() as lock:
                asked = {"space": _LOCK_SPACE, "deletion_id": deletion_id}
                (is_ours,) = lock.execute(SQL["lock_deletion"], asked).fetchall()[0]
                if not is_ours:
                    return False
                self._run_locked(deletion_id, batch_id, partial(_hold, lock))
        except Unavailable as error:
            logger.warning("deletion %s waits: %s", deletion_id, error)
            return False
        return True

    def _run_locked(self, deletion_id: str, batch_id: str, hold: Callable[[], None]) -> None:
        try:
            self._deleting.run(batch_id, deletion_id, hold)
        except NotNow as why:
            self._postpone(deletion_id, why.seconds, str(why))
        except Overtaken as why:
            self._postpone(deletion_id, 0.2, str(why))
        except Stopping:
            raise
        except Unavailable as why:
            self._wait_longer(deletion_id, str(why))
        except DeleterError as why:
            self._failed(deletion_id, batch_id, str(why))
        except Exception as error:
            if self._deleting.is_stopping:  # threads and the loop end under it
                raise Stopping from error
            logger.exception("deletion %s", deletion_id)
            self._failed(deletion_id, batch_id, f"an error of ours: {error!r}")

    def _failed(self, deletion_id: str, batch_id: str, why: str) -> None:
        """Tried again a few times, however often the process restarts meanwhile; then whoever asked may ask again."""
        rows = self._decisions.rows("failed", deletion_id=deletion_id)
        failures, why = rows[0][0] if rows else 0, storable(why)[:500]
        if failures >= FAILURES:
            try:
                self._deleting.give_up(batch_id, deletion_id, f"given up after {failures} tries: {why}")
                return
            except (Overtaken, NotStored) as error:
                why = f"{why}; and it cannot be ended: {error}"
        self._postpone(deletion_id, min(LONGEST_WAIT_S, FIRST_FAILURE_S * 4 ** min(failures - 1, 20)), why)

    def _wait_longer(self, deletion_id: str, why: str) -> None:
        rows = self._decisions.rows("tries_of_deletion", deletion_id=deletion_id)
        tries = rows[0][0] if rows else 0
        self._postpone(deletion_id, min(LONGEST_WAIT_S, 1.0 * 2 ** min(tries, 20)), why)

    def _postpone(self, deletion_id: str, seconds: float, why: str) -> None:
        self._measures.trouble.inc()
        why = storable(why)[:1000]
        logger.info("deletion %s goes on in %.1f s: %s", deletion_id, seconds, why)
        self._decisions.write("postpone_deletion", deletion_id=deletion_id, seconds=seconds, why=why)


def _hold(lock: psycopg.Connection[Any]) -> None:
    """The lock is ours still: it lasts as long as its connection. Errors: `Overtaken`."""
    try:
        lock.execute("SELECT 1")
    except (psycopg.Error, OSError) as error:
        raise Overtaken(f"the lock on it is gone: {error}") from None
