"""All that lies below a location, page by page, by many calls at once, never all of it in memory.

A page after the other would be simple, and slow: a store answers one in 0.1 s, and one that is a folder on a disk (rclone) walks
all of the asked prefix for each page. So what does not fit into one page is cut: into its folders, or where it has none (a
flat folder of many objects), into ranges of keys, guessed from the digits in the keys of its first page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from typing import NamedTuple

from argus_contracts.locations import Location
from argus_deleter.object_store import ObjectStore
from argus_deleter.pages import After, Entry, Page

_DIGITS = "0123456789"
_HEX = "0123456789abcdef"
_HEX_LETTER = re.compile("(?<=[0-9a-f])[a-f](?=[0-9a-f])")


class Range(NamedTuple):
    """Where a page was found, so that it can be looked at again: the entries behind `after` up to the key `upto`."""

    prefix: str
    folders: bool
    """Only entries of the folder itself."""
    after: After | None
    upto: str


class Found(NamedTuple):
    where: Range
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class _Task:
    """A page to be asked for."""

    prefix: str
    folders: bool
    after: After | None = None
    token: str = ""
    since: After | None = None
    """Behind this the listing began that `token` continues."""
    upto: str | None = None
    """The last key that is this task's; None: no end."""


class Lister:
    """crew: threads that call the store, at_once of them for one listing."""

    def __init__(self, store: ObjectStore, crew: Executor, at_once: int) -> None:
        self.store, self.crew, self.at_once = store, crew, at_once

    def pages(self, location: Location, until: Callable[[], bool] = lambda: False) -> Iterator[Found]:
        """Every entry once, in pages, in any order; where the bucket keeps versions, every version and delete marker.

        until: asked before each call; True ends it early. Errors: those of `ObjectStore.page`.
        """
        versions = self.store.keeps_versions(location.bucket)
        tasks = [_Task(location.prefix, folders=True)]
        running: dict[Future[Page], _Task] = {}
        try:
            while tasks or running:
                # The newest first: what waits stays little, as folders are finished before others are opened.
                while tasks and len(running) < self.at_once and not until():
                    task = tasks.pop()
                    running[self.crew.submit(self._page, location.bucket, task, versions)] = task
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    task, page = running.pop(future), future.result()
                    entries, further = _cut(task, page)
                    tasks += further
                    if entries:
                        yield Found(Range(task.prefix, task.folders, task.after, entries[-1].key), entries)
        finally:
            for future in running:
                future.cancel()

    def _page(self, bucket: str, task: _Task, versions: bool) -> Page:
        after = task.since if task.token else task.after
        return self.store.page(
            bucket, task.prefix, versions=versions, folders=task.folders, after=after, token=task.token
        )


def _cut(task: _Task, page: Page) -> tuple[list[Entry], list[_Task]]:
    """What of `page` is the task's, and which tasks remain of it. Pure."""
    if not task.folders and page.is_truncated and task.after is None:
        # More than a page in a folder: its folders one by one. What this page has comes again with them.
        return [], [_Task(task.prefix, folders=True)]
    entries, is_over = page.entries, not page.is_truncated
    # Behind a folder some servers name it again: something in it is behind its name.
    folders = [one for one in page.folders if task.after is None or one > task.after.key]
    if task.upto is not None:
        entries = [one for one in entries if one.key <= task.upto]
        is_over = is_over or any(one > task.upto for one in folders) or len(entries) < len(page.entries)
        folders = [one for one in folders if one <= task.upto]
    inner = [_Task(folder, folders=False) for folder in folders]
    if is_over:
        return entries, inner
    rest = _rest(task, page)
    splits = [] if page.folders or task.token or not entries else _splits(task.prefix, entries, task.upto)
    ends = [*splits, task.upto]
    ranges = [
        _Task(task.prefix, folders=True, after=After(key), upto=end) for key, end in zip(splits, ends[1:], strict=True)
    ]
    return entries, [*reversed(ranges), replace(rest, upto=ends[0]), *inner]


def _rest(task: _Task, page: Page) -> _Task:
    """Goes on behind the page."""
    if page.after is not None:
        return replace(task, after=page.after)
    since = task.since if task.token else task.after
    names = [*(one.key for one in page.entries[-1:]), *page.folders[-1:]]
    last = After(max(names)) if names else task.after  # a store may answer a page with nothing on it, and go on
    return replace(task, after=last, token=page.token, since=since)


def _splits(prefix: str, entries: list[Entry], upto: str | None) -> list[str]:
    """Keys between which what is behind `entries` may be listed at once, ascending. Any are right; good ones make ranges of
    several pages each: the places of a key at which the page itself has several letters would make smaller ones."""
    first, last = entries[0].key, entries[-1].key
    varies = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    outermost = varies - 1 if last[varies : varies + 1] not in ("9", "f") else varies - 2
    found: list[str] = []
    for place in range(len(prefix), outermost + 1):
        letters = _DIGITS if last[place] in _DIGITS else _HEX if last[place] in _HEX else ""
        if letters and any(_HEX_LETTER.search(one.key, varies) for one in entries[:50]):
            letters = _HEX
        found += [last[:place] + letter for letter in letters if letter > last[place]]
    return sorted(key for key in set(found) if key > last and (upto is None or key < upto))
