"""The outputs of ended runs are listed once after each end, and whenever somebody asks: the fact `outputs_measured`."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

from argus_contracts.commands import OwnedRun
from argus_contracts.locations import Location
from argus_contracts.queries.outputs import Outputs
from argus_deleter.ask import Query
from argus_deleter.decisions import Decisions
from argus_deleter.eligible import No, located
from argus_deleter.errors import DeleterError, Overtaken, Stopping, Unavailable
from argus_deleter.listing import Lister
from argus_deleter.measures import Measures
from argus_deleter.output_deletion import OutputDeletion
from argus_deleter.roots import Roots

AT_ONCE = 100
KNOWN_AT_ONCE, ANSWERS_AT_ONCE = 1_000, 5
"""Of the runs that nobody has measured so many in one answer of `query`, and so many answers each time: those that can never be
measured wait the longest, and must not hide the others."""
QUIET_EVERY_S = 30.0
"""How often to ask where nothing has been projected, as far as is known."""
AGAIN_S, REFUSED_AGAIN_S = 10.0, 3600.0
"""After a first failure; each further one doubles it, up to a day."""
logger = logging.getLogger(__name__)


class Measuring:
    """every_s: how often to ask while runs say things."""

    def __init__(
        self, decisions: Decisions, lister: Lister, query: Query, *, roots: Roots, measures: Measures, every_s: float
    ) -> None:
        self._decisions, self._lister, self._query = decisions, lister, query
        self._roots, self._measures, self._every_s = roots, measures, every_s
        self._hint, self._asked = asyncio.Event(), asyncio.Event()
        self._behind: str | None = None
        """How far the runs that nobody has measured were looked at; None: begin anew."""

    def hint(self) -> None:
        """Something has been projected. Cheap."""
        self._hint.set()

    def wake(self) -> None:
        """Somebody has asked for a listing, or one is due."""
        self._asked.set()

    async def run(self) -> None:
        """Without end."""
        loop = asyncio.get_running_loop()
        looked_at = float("-inf")
        while True:
            pause = self._every_s if self._hint.is_set() else max(self._every_s, QUIET_EVERY_S)
            try:
                if loop.time() - looked_at >= pause:
                    looked_at = loop.time()
                    self._hint.clear()
                    await self._look()
                self._asked.clear()
                while await self._measure_some():
                    pass
            except Stopping:
                return
            except DeleterError as error:
                self._measures.trouble.inc()
                logger.info("cannot measure just now: %s", error)
            await self._sleep(self._every_s)

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._asked.wait(), seconds)
        except TimeoutError:
            return

    async def _look(self) -> None:
        """Runs that query knows as unmeasured wait for their turn, unless they were tried since that end. All of them, or where
        they are very many, the next ones behind those that were looked at before."""
        for _ in range(ANSWERS_AT_ONCE):
            found = (await self._query.unmeasured(KNOWN_AT_ONCE, self._behind)).items
            if found:
                await asyncio.to_thread(
                    self._decisions.write, "measure_unmeasured", batch_ids=[one.batch_id for one in found],
                    output_dirs=[one.output_dir for one in found], lifecycle_positions=[one.lifecycle_position for one in found],
                )  # fmt: skip
            self._behind = found[-1].cursor if len(found) == KNOWN_AT_ONCE else None
            if self._behind is None:
                return

    async def _measure_some(self) -> bool:
        due = [row[0] for row in await asyncio.to_thread(self._decisions.rows, "measurements_due", limit=AT_ONCE)]
        if not due:
            return False
        head, _ = await asyncio.to_thread(self._decisions.head)
        known = await self._query.outputs(due, head)
        for batch_id in due:
            await asyncio.to_thread(self._measure, batch_id, known.get(batch_id))
        return True

    def _measure(self, batch_id: str, run: Outputs | None) -> None:
        """It was listed, and that is said; or why it cannot be is remembered, and when to try again."""
        if run is None:
            self._decisions.write("measured", batch_id=batch_id)  # gone meanwhile
            return
        where = located(OwnedRun(batch_id=batch_id, workspace=run.workspace, user=run.user), run, self._roots)
        if isinstance(where, No):
            self._not_measured(batch_id, where.detail or where.skipped, REFUSED_AGAIN_S)
            return
        try:
            before = self._decisions.load([batch_id]).get(batch_id)
            one = before or OutputDeletion.open(batch_id, run.workspace, run.user)
            if one.in_flight:
                self._not_measured(batch_id, "a deletion is on its way", AGAIN_S)
                return
            one.measured(*self._list(where), run.lifecycle_position)
            self._decisions.save([one])
        except Overtaken:
            return  # a deletion was asked for while we listed, or another process was first: looked at again at once
        except (Stopping, Unavailable) as error:
            if isinstance(error, Stopping) or str(error).startswith("the database"):
                raise
            self._not_measured(batch_id, str(error), AGAIN_S)
            return
        except DeleterError as error:
            self._not_measured(batch_id, str(error), REFUSED_AGAIN_S)
            return
        self._decisions.write("measured", batch_id=batch_id)
        self._measures.measured()

    def _list(self, where: Location) -> tuple[int, int, dict[str, int]]:
        by_class: Counter[str] = Counter()
        objects = 0
        for _, entries in self._lister.pages(where):
            objects += len(entries)
            for entry in entries:
                if entry.storage_class:
                    by_class[entry.storage_class] += entry.size
        return sum(by_class.values()), objects, dict(by_class)

    def _not_measured(self, batch_id: str, problem: str, first_s: float) -> None:
        logger.info("the outputs of %s cannot be listed: %s", batch_id, problem)
        self._decisions.write("not_measured", batch_id=batch_id, problem=problem[:1000], first_s=first_s)
