"""One part of a manifest: looked at again, deleted, and what came of it stored. Repeated after a kill, it ends as if it had not been.

Before its first delete call the part's first look is stored: which entries had gone or changed by then, without our doing.
Only then are the others deleted. So whoever repeats the part knows: what that look had found unchanged, and is not there any
more, may be gone by our own call, whose answer died with us, and counts as deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from argus_contracts.locations import Location
from argus_deleter.decisions import Decisions
from argus_deleter.errors import Overtaken, StoreAway
from argus_deleter.listing import Range
from argus_deleter.manifest import entries_of, ranges_of
from argus_deleter.object_store import TRIES, ObjectStore, Refusal
from argus_deleter.pages import Entry

Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Look:
    """Entries of a part, by their place in it, that are not as in the manifest."""

    gone: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()

    def as_json(self) -> str:
        return orjson.dumps({"gone": sorted(self.gone), "changed": sorted(self.changed)}).decode()

    @staticmethod
    def of(stored: dict[str, list[int]]) -> Look:
        return Look(frozenset(stored["gone"]), frozenset(stored["changed"]))


@dataclass(frozen=True, slots=True)
class ToDo:
    """What follows from the first look and the newest one."""

    delete: list[int]
    deleted_before: list[int]
    """By an earlier try of ours, as far as can be known."""
    gone: frozenset[int]
    """Before we did anything."""
    changed: frozenset[int]
    """Left as they are."""


def decide(n: int, first: Look, now: Look) -> ToDo:
    """Pure. n: entries of the part. first and now are the same look where it is the first."""
    ours = [i for i in range(n) if i not in first.gone and i not in first.changed]
    return ToDo(
        delete=[i for i in ours if i not in now.gone and i not in now.changed],
        deleted_before=[i for i in ours if i in now.gone],
        gone=first.gone,
        changed=first.changed | {i for i in ours if i in now.changed},
    )


@dataclass(slots=True)
class Result:
    n_deleted: int = 0
    bytes_freed: int = 0
    n_changed: int = 0
    n_gone: int = 0
    n_refused: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def as_row(self) -> dict[str, Any]:
        return {
            "n_deleted": self.n_deleted, "bytes_freed": self.bytes_freed, "n_changed": self.n_changed,
            "n_gone": self.n_gone, "n_refused": self.n_refused, "errors": orjson.dumps(self.errors).decode(),
        }  # fmt: skip


def result_of(entries: list[Entry], todo: ToDo, refusals: Collection[Refusal]) -> Result:
    """Pure. Bytes are those of entries whose deletion the store has confirmed, or that an earlier try has deleted."""
    refused = {(one.entry.key, one.entry.version_id) for one in refusals}
    confirmed = [entries[i] for i in (*todo.delete, *todo.deleted_before)]
    confirmed = [one for one in confirmed if (one.key, one.version_id) not in refused]
    errors = [error_of(one.entry, one.code, one.message) for one in refusals]
    errors += [error_of(entries[i], "Changed", "it was written anew since it was listed") for i in sorted(todo.changed)]
    return Result(
        len(confirmed), sum(one.size for one in confirmed), len(todo.changed), len(todo.gone), len(refusals), errors
    )


def error_of(entry: Entry, code: str, message: str) -> dict[str, Any]:
    version = {"version_id": entry.version_id} if entry.version_id else {}
    return {"key": entry.key, **version, "code": code, "message": message[:500]}


class Parts:
    """Of one deletion. Errors: those of the store, `Unavailable`, `Overtaken`."""

    def __init__(self, decisions: Decisions, store: ObjectStore, deletion_id: str, location: Location) -> None:
        self._decisions, self._store = decisions, store
        self._deletion_id, self._location = deletion_id, location

    def delete(self, number: int) -> Result | None:
        """The part has its result. None: it had one already."""
        asked = {"deletion_id": self._deletion_id, "number": number}
        if (part := self._stored(asked)) is None:
            return None
        entries, where, first = part
        now = self._look(entries, where)
        if first is None:
            if not self._begin(asked, now):
                raise Overtaken(f"somebody else deletes part {number}")
            first = now
        result = result_of(entries, *self._delete(entries, where, first, now))
        self._finish(asked, result)
        return result

    def settle(self, number: int) -> Result | None:
        """A begun part has its result, and nothing more of it is deleted: what our calls may have deleted counts as deleted, what
        is still there stays. None: it had one already, or was never begun."""
        asked = {"deletion_id": self._deletion_id, "number": number}
        if (part := self._stored(asked)) is None:
            return None
        entries, where, first = part
        if first is None:
            return None
        todo = decide(len(entries), first, self._look(entries, where, also_versions=True))
        result = result_of(entries, replace(todo, delete=[]), [])
        self._finish(asked, result)
        return result

    def _stored(self, asked: dict[str, Any]) -> tuple[list[Entry], list[Range], Look | None] | None:
        """Entries, where they were listed, and the first look, if any. None: it has its result."""
        rows = self._decisions.rows("part", **asked)
        if not rows:
            raise Overtaken("somebody else has ended this deletion")
        stored, ranges, first_look, done_at, sha256 = rows[0]
        if done_at is not None:
            return None
        first = None if first_look is None else Look.of(first_look)
        return entries_of(stored, sha256), ranges_of(ranges), first

    def _delete(self, entries: list[Entry], where: list[Range], first: Look, now: Look) -> tuple[ToDo, list[Refusal]]:
        """Those that are as they were are gone, but for what the store refuses. Each further try, which may come minutes later, has a
        look of its own."""
        todo, refused = decide(len(entries), first, now), list[Refusal]()
        places = {(entry.key, entry.version_id): i for i, entry in enumerate(entries)}
        waiting = set(todo.delete)
        for further in range(TRIES):
            is_last = further == TRIES - 1
            if further:
                self._store.pause(further)
                todo = decide(len(entries), first, self._look(entries, where))
                waiting &= set(todo.delete)
            if not waiting:
                break
            try:
                errors = self._store.delete(self._location.bucket, [entries[i] for i in sorted(waiting)])
            except StoreAway:
                if is_last:
                    raise
                continue
            refused += [one for one in errors if is_last or not one.passes]
            waiting = {places[one.entry.key, one.entry.version_id] for one in errors if one.passes}
            if not waiting:
                break
        return todo, refused

    def _begin(self, asked: dict[str, Any], look: Look) -> bool:
        """From now on entries of the part may be gone by us."""
        return bool(self._decisions.write("begin_part", **asked, first_look=look.as_json()))

    def _finish(self, asked: dict[str, Any], result: Result) -> None:
        if not self._decisions.write("finish_part", **asked, **result.as_row()):
            raise Overtaken("somebody else has deleted this part")

    def _look(self, entries: list[Entry], ranges: list[Range], *, also_versions: bool = False) -> Look:
        """Which entries are not there any more, or have another etag. A version of its own name is never another: a part of such
        ones needs no look, unless it is wanted to know which are gone."""
        if not also_versions and all(entry.version_id not in ("", "null") for entry in entries):
            return Look()
        there = self._there_now(entries, ranges)
        gone: list[int] = []
        changed: list[int] = []
        for i, entry in enumerate(entries):
            etag = there.get((entry.key, entry.version_id))
            if etag is None:
                gone.append(i)
            elif etag != entry.etag:
                changed.append(i)
        return Look(frozenset(gone), frozenset(changed))

    def _there_now(self, entries: list[Entry], ranges: list[Range]) -> dict[Name, str]:
        """Etags of what is there. rclone tells none of what it is just deleting, as for a call of ours whose answer got lost: that is not
        there a moment later. Asked a few times, and then it counts as another."""
        there: dict[Name, str] = {}
        for further in range(TRIES):
            if further:
                self._store.pause(further)
            there = {}
            for where in ranges:
                there.update(self._there(where, versions=entries[0].version_id != ""))
            if all(one.etag == "" or there.get((one.key, one.version_id)) != "" for one in entries):
                break
        return there

    def _there(self, where: Range, *, versions: bool) -> Iterator[tuple[Name, str]]:
        after, token = where.after, ""
        while True:
            page = self._store.page(
                self._location.bucket, where.prefix, versions=versions, folders=where.folders, after=after, token=token
            )
            for entry in page.entries:
                if entry.key > where.upto:
                    return
                yield (entry.key, entry.version_id), entry.etag
            if not page.is_truncated:
                return
            token = page.token
            after = page.after or after
