"""One deletion from its due time to its end. It may be killed anywhere: whoever goes on finds in the database where it stands."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime
from typing import Any, Protocol

from argus_contracts.commands import OwnedRun
from argus_contracts.locations import Location
from argus_contracts.queries.outputs import Outputs, OutputsThere
from argus_deleter.decisions import Decisions
from argus_deleter.eligible import No, deletable, quiet_in_s, shared
from argus_deleter.errors import NotNow, Stopping, StoreMisbehaves, StoreRefuses, Unavailable
from argus_deleter.facts import capped
from argus_deleter.listing import Lister
from argus_deleter.manifest import ManifestHash, packed, parts_of, ranges_as_json
from argus_deleter.measures import Measures
from argus_deleter.output_deletion import Outcome, OutputDeletion
from argus_deleter.pages import Entry
from argus_deleter.parts import Parts, Result, error_of
from argus_deleter.roots import Roots

PROGRESS_EVERY_S = 2.0
UNCHECKED_S = 30.0
"""How long objects are deleted while nobody can say whether the run still is as it was."""
REMAINING_NAMED = 100
logger = logging.getLogger(__name__)


class Neighbours(Protocol):
    """What a deletion asks `query`, blocking. Errors: `Unavailable`."""

    def outputs(self, batch_id: str, after: int) -> Outputs | None: ...
    def sharers(self, location: str, run: OwnedRun, after: int, *, personal: bool) -> list[OutputsThere]: ...


class Deleting:
    """Everything that one deletion needs; blocking, in a thread of its own."""

    def __init__(
        self,
        decisions: Decisions,
        lister: Lister,
        neighbours: Neighbours,
        *,
        roots: Roots,
        quiet_s: float,
        measures: Measures,
    ) -> None:
        self._decisions, self._lister, self._store, self._neighbours = decisions, lister, lister.store, neighbours
        self._roots, self._quiet_s, self._measures = roots, quiet_s, measures

    def run(self, batch_id: str, deletion_id: str, hold: Callable[[], None] = lambda: None) -> None:
        """It has ended, or somebody else has ended it. hold: raises where another process may have taken it up.

        Errors: `NotNow`, `Unavailable`, `Overtaken`: it stands where it stood, and is to be run again.
        """
        one = self._decisions.load([batch_id]).get(batch_id)
        if one is None or one.deletion_id != deletion_id or not one.in_flight:
            return
        location = _location_of(one.location)
        reason = self._why_not(one)
        checked = time.monotonic()
        if reason is None and one.state == "requested":
            reason = self._or_reason(lambda: self._plan(one, location)) or self._why_not(one)
            checked = time.monotonic()
        if reason is None and one.state == "planned":
            self._start(one)
        if one.state != "running":
            self._end(one, "failed", {"reason": reason, "objects_deleted": 0, "bytes_freed": 0})
            return
        is_ours = reason is None
        if is_ours:
            try:
                reason = self._delete(one, location, checked, hold)
                is_ours = reason is None
            except StoreRefuses as error:
                reason = str(error)
        self._conclude(one, location, reason, is_ours=is_ours)

    def give_up(self, batch_id: str, deletion_id: str, why: str) -> None:
        """It ends without the store being asked anything. Errors: `Unavailable`, `Overtaken`."""
        one = self._decisions.load([batch_id]).get(batch_id)
        if one is None or one.deletion_id != deletion_id or not one.in_flight:
            return
        ((n_deleted, freed, *_),) = self._decisions.rows("sums_of_parts", deletion_id=deletion_id)
        n_unknown = len(self._decisions.rows("unknown_parts", deletion_id=deletion_id))
        said = {"reason": _joined(why, _unknown(n_unknown)), "objects_deleted": n_deleted, "bytes_freed": freed}
        self._end(one, "partial" if n_deleted or n_unknown else "failed", said)

    @property
    def is_stopping(self) -> bool:
        return self._store.stopping.is_set()

    def _why_not(self, one: OutputDeletion) -> str | None:
        """All that was checked when it was asked for, by what is known now. Asked at the beginning, again behind the listing, which
        may have taken long, and every few seconds while objects are deleted. Errors: `NotNow` while the run is not quiet."""
        head, now = self._decisions.head()
        found = self._neighbours.outputs(one.batch_id, head)
        run = OwnedRun(batch_id=one.batch_id, workspace=one.workspace, user=one.user)
        where = deletable(run, found, self._roots)
        if isinstance(where, No):
            return f"checked again: {where.detail or where.skipped}"
        if str(where) != one.location:
            return f"checked again: the run says now that its outputs are at {where}"
        sharers = self._neighbours.sharers(one.location, run, head, personal=self._roots.are_personal)
        if (no := shared(sharers, where)) is not None:
            return f"checked again: {no.detail}"
        assert found is not None, "it was found where its outputs are"
        if one.lifecycle_position is None:
            return "checked again: asked for before an upgrade of Argus, it cannot tell whether the run has begun again since; ask again"
        if found.lifecycle_position != one.lifecycle_position:
            return "checked again: the run, or a job of it, has begun or ended since the deletion was asked for"
        if one.state != "running" and (wait_s := quiet_in_s(found, self._quiet_s, now)):
            raise NotNow(f"the run has said something {self._quiet_s - wait_s:.0f} s ago", wait_s)
        return None

    def _or_reason(self, work: Callable[[], None]) -> str | None:
        """What the store refuses to do as a whole is why a deletion ends; what it cannot do now is waited for."""
        try:
            work()
        except StoreRefuses as error:
            return str(error)
        return None

    def _plan(self, one: OutputDeletion, location: Location) -> None:
        """All that is there is in the manifest, which is stored."""
        assert one.deletion_id is not None
        self._decisions.write("forget_parts", deletion_id=one.deletion_id)  # of a try that did not get here
        for number, part in enumerate(parts_of(self._lister.pages(location)), 1):
            text = part.text()
            self._decisions.write(
                "put_part", deletion_id=one.deletion_id, number=number, n_entries=len(part.entries), bytes=part.bytes,
                sha256=hashlib.sha256(text).digest(), entries=packed(text), ranges=ranges_as_json(part.ranges),
            )  # fmt: skip
            if self._store.stopping.is_set():
                raise Stopping
        manifest = self._hash(one.deletion_id)
        one.plan(manifest.hexdigest(), manifest.objects, manifest.bytes)
        self._save_plan(one)

    def _hash(self, deletion_id: str) -> ManifestHash:
        manifest, above = ManifestHash(), 0
        while rows := self._decisions.rows("part_digests", deletion_id=deletion_id, above=above):
            for row in rows:
                manifest.add(*row)
            above = rows[-1][0]
        return manifest

    def _save_plan(self, one: OutputDeletion) -> None:
        self._decisions.save([one])

    def _start(self, one: OutputDeletion) -> None:
        """Committed before the first delete call."""
        one.start()
        self._decisions.save([one])

    def _delete(self, one: OutputDeletion, location: Location, checked: float, hold: Callable[[], None]) -> str | None:
        """Every part of the manifest has its result. Else why the folder is to be left as it is now. checked: when it was last
        known that it need not be."""
        assert one.deletion_id is not None
        parts = Parts(self._decisions, self._store, one.deletion_id, location)
        ((n_deleted, freed, *_),) = self._decisions.rows("sums_of_parts", deletion_id=one.deletion_id)
        waiting = [number for (number,) in self._decisions.rows("open_parts", deletion_id=one.deletion_id)]
        waiting.reverse()
        running: set[Future[Result | None]] = set()
        told = time.monotonic()
        try:
            while waiting or running:
                while waiting and len(running) < self._lister.at_once:
                    running.add(self._lister.crew.submit(parts.delete, waiting.pop()))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for result in (future.result() for future in done):
                    if result is not None:
                        n_deleted, freed = n_deleted + result.n_deleted, freed + result.bytes_freed
                        self._measures.deleted(result.n_deleted, result.bytes_freed)
                if time.monotonic() - told >= PROGRESS_EVERY_S and waiting:
                    hold()
                    try:
                        if (reason := self._why_not(one)) is not None:
                            return reason
                        checked = time.monotonic()
                    except Unavailable as error:
                        if time.monotonic() - checked >= UNCHECKED_S:
                            raise
                        logger.info("deletion %s goes on unchecked for now: %s", one.deletion_id, error)
                    one.progress(n_deleted, freed)
                    self._decisions.save([one])
                    told = time.monotonic()
            return None
        finally:
            for future in running:
                future.cancel()
            wait(running)

    def _conclude(self, one: OutputDeletion, location: Location, reason: str | None, *, is_ours: bool) -> None:
        """Unfinished uploads are dropped, a second listing made, and the result said. is_ours: the folder may still be changed, and
        is the run's alone; else nothing further is deleted, and the run's outputs do not count as deleted, whatever is left."""
        said: dict[str, Any] = {"uploads_aborted": 0}
        named: list[Entry] = []
        n_unknown = self._settle(one, location)
        try:
            if is_ours:
                said["uploads_aborted"] = self._abort_uploads(one, location)
            remaining = self._remaining(location, named)
            said |= {"remaining_objects": remaining[0], "remaining_bytes": remaining[1]}
            said["verified_at"] = datetime.now(UTC).isoformat()
        except StoreRefuses as error:
            reason = reason or str(error)
        ((n_deleted, freed, n_changed, _, n_refused),) = self._decisions.rows(
            "sums_of_parts", deletion_id=one.deletion_id
        )
        said |= {"objects_deleted": n_deleted, "bytes_freed": freed}
        if said.get("remaining_objects") == 0 and is_ours:
            self._end(one, "deleted", {**said, "reason": _joined(_unknown(n_unknown)) or None})
            return
        errors = [error for (error,) in self._decisions.rows("first_errors", deletion_id=one.deletion_id)]
        known = {(error["key"], error.get("version_id", "")) for error in errors}
        new = [entry for entry in named if (entry.key, entry.version_id) not in known]
        errors += [error_of(entry, "Remains", "it was there after all deleting") for entry in new]
        reason = reason or _reason(said.get("remaining_objects"), n_changed, n_refused)
        said |= {"reason": _joined(reason, _unknown(n_unknown)), "errors": capped(errors)}
        self._end(one, "partial" if n_deleted or n_unknown else "failed", said)

    def _settle(self, one: OutputDeletion, location: Location) -> int:
        """Parts whose calls were made and whose results are not known, as after a kill or where one of several failed, have results,
        without a further call. Answers of how many parts that cannot be found out."""
        assert one.deletion_id is not None
        parts = Parts(self._decisions, self._store, one.deletion_id, location)
        n_unknown = 0
        for (number,) in self._decisions.rows("unknown_parts", deletion_id=one.deletion_id):
            try:
                if (result := parts.settle(number)) is not None:
                    self._measures.deleted(result.n_deleted, result.bytes_freed)
            except StoreRefuses as error:
                logger.warning("deletion %s: what became of part %d: %s", one.deletion_id, number, error)
                n_unknown += 1
        return n_unknown

    def _abort_uploads(self, one: OutputDeletion, location: Location) -> int:
        """Those that were begun before the first delete call; younger ones are somebody's who writes just now, and so may be those
        that do not say since when they are there."""
        assert one.started_at is not None
        try:
            old = [
                upload
                for upload in self._store.uploads(location)
                if upload.initiated_at is not None and upload.initiated_at <= one.started_at
            ]
        except (
            StoreRefuses,
            StoreMisbehaves,
        ) as error:  # who may not list them cannot drop them; the objects are gone all the same
            logger.warning("unfinished uploads below %s stay: %s", location, error)
            return 0
        return sum(self._lister.crew.map(lambda upload: self._store.abort(location.bucket, upload), old))

    def _remaining(self, location: Location, named: list[Entry]) -> tuple[int, int]:
        n = size = 0
        for _, entries in self._lister.pages(location):
            n, size = n + len(entries), size + sum(entry.size for entry in entries)
            named += entries[: REMAINING_NAMED - len(named)]
        return n, size

    def _end(self, one: OutputDeletion, outcome: Outcome, said: dict[str, Any]) -> None:
        one.end(outcome, said)
        self._decisions.save([one])
        self._measures.ended(outcome)
        logger.info("deletion %s of the outputs of %s ended: %s", one.deletion_id, one.batch_id, outcome)


def _location_of(text: str) -> Location:
    """As it was written down: nothing is checked or changed a second time."""
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not bucket or not prefix.endswith("/") or prefix == "/":
        raise ValueError(f"no location: {text!r}")
    return Location(bucket, prefix)


def _reason(remaining: int | None, n_changed: int, n_refused: int) -> str:
    said = _joined(
        f"the object store refused to delete {n_refused}" if n_refused else "",
        f"{n_changed} were written anew meanwhile and left as they are" if n_changed else "",
        f"the second listing found {remaining}" if remaining else "",
    )
    return said or "the second listing could not be made"


def _unknown(n_parts: int) -> str:
    return f"what was deleted of {n_parts} begun parts is not known, and not counted" if n_parts else ""


def _joined(*words: str) -> str:
    return "; ".join(one for one in words if one)
