"""What deleting would delete if it happened now: `preview_deletion`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import ValidationError

from argus_contracts.commands import OwnedRun
from argus_contracts.locations import Location
from argus_contracts.queries.common import Envelope, Problem
from argus_contracts.queries.deletions import DeletionPreview, PreviewDeletion, PreviewedRun
from argus_deleter.decide import HIDES_NOTHING, Decider, Known
from argus_deleter.decisions import Decisions
from argus_deleter.eligible import No
from argus_deleter.errors import DeleterError, Unavailable
from argus_deleter.listing import Lister
from argus_deleter.output_deletion import OutputDeletion

AT_ONCE = 4
logger = logging.getLogger(__name__)


class Preview:
    """within_s: how long one answer may take."""

    def __init__(
        self, decisions: Decisions, decider: Decider, lister: Lister, *, grace_s: float, within_s: float
    ) -> None:
        self._decisions, self._decider, self._lister = decisions, decider, lister
        self._grace_s, self._within_s = grace_s, within_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, message: Msg) -> None:
        """The question is answered by and by."""
        task = asyncio.create_task(self._reply(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, message: Msg) -> None:
        envelope = await self.answer(message.data)
        try:
            await message.respond(envelope.model_dump_json().encode())
        except NatsError as error:
            logger.info("a preview could not be answered: %r", error)

    async def answer(self, body: bytes) -> Envelope:
        """Never raises but when cancelled."""
        try:
            question = PreviewDeletion.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "question"
            return _problem("bad_question", f"{where}: {first['msg']}"[:500])
        deadline = time.monotonic() + self._within_s
        try:
            async with self._turns:
                if time.monotonic() > deadline:
                    return _problem(
                        "unavailable", "too many previews are being made"
                    )  # nobody waits for this one any more
                return Envelope(answer=await self._preview(question, deadline))
        except Unavailable as error:
            return _problem("unavailable", str(error)[:500])
        except DeleterError as error:
            return _problem("unavailable", f"the object store: {error}"[:500])
        except Exception:
            logger.exception("preview_deletion")
            return _problem("unavailable", "an error on our side; it was logged")

    async def _preview(self, question: PreviewDeletion, deadline: float) -> DeletionPreview:
        head, _ = await asyncio.to_thread(self._decisions.head)
        known = await self._decider.look(question.runs, head)
        aggregates = await asyncio.to_thread(self._decisions.load, [run.batch_id for run in question.runs])
        lists = asyncio.Semaphore(AT_ONCE)

        async def one(run: OwnedRun, what: Known) -> PreviewedRun:
            where = _skipped(run, what, aggregates.get(run.batch_id))
            if isinstance(where, PreviewedRun):
                return where
            async with lists:
                return await asyncio.to_thread(self._list, run.batch_id, where, deadline)

        runs = await asyncio.gather(*(one(run, what) for run, what in zip(question.runs, known, strict=True)))
        would = [one for one in runs if one.skipped is None]
        return DeletionPreview(
            runs=runs, n_runs=len(would), n_skipped=len(runs) - len(would), objects=sum(one.objects for one in would),
            bytes=sum(one.bytes for one in would), complete=all(one.complete for one in would), grace_s=self._grace_s,
        )  # fmt: skip

    def _list(self, batch_id: str, where: Location, deadline: float) -> PreviewedRun:
        by_class: Counter[str] = Counter()
        objects, cut = 0, False

        def is_late() -> bool:
            nonlocal cut
            cut = cut or time.monotonic() > deadline
            return cut

        versions = self._lister.store.keeps_versions(where.bucket)
        for _, entries in self._lister.pages(where, is_late):
            objects += len(entries)
            for entry in entries:
                if entry.storage_class:
                    by_class[entry.storage_class] += entry.size
        return PreviewedRun(
            batch_id=batch_id, location=str(where), objects=objects, bytes=sum(by_class.values()),
            by_storage_class=dict(by_class), versioned=versions, complete=not cut,
        )  # fmt: skip


def _skipped(run: OwnedRun, known: Known, one: OutputDeletion | None) -> Location | PreviewedRun:
    """As a deletion would decide."""
    if isinstance(known, No):
        if one is not None and one.in_flight and known.skipped in HIDES_NOTHING:
            return PreviewedRun(batch_id=run.batch_id, skipped="in_flight")
        return PreviewedRun(batch_id=run.batch_id, skipped=known.skipped, detail=known.detail)
    where, found = known
    if one is not None and (no := one.why_not_again(found)) is not None:
        return PreviewedRun(batch_id=run.batch_id, location=str(where), skipped=no.skipped, detail=no.detail)
    return where


def _problem(code: str, detail: str) -> Envelope:
    return Envelope(problem=Problem(code=code, detail=detail))
