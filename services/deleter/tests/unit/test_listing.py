"""Every entry below a folder is listed once, whatever its shape; a fresh look finds a page's entries again."""

from __future__ import annotations

from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argus_contracts.locations import Location
from argus_deleter.listing import Lister
from argus_deleter.manifest import PART, entries_of, packed, parts_of, ranges_as_json, ranges_of
from argus_deleter.object_store import ObjectStore
from argus_deleter.pages import After, Entry, Page

WHERE = Location("b", "r/")


class Shelf:
    """A store in memory, with pages of `size` keys or folders, as S3 describes them."""

    def __init__(self, keys: list[str], size: int = 1000) -> None:
        self.entries = [Entry(key, "", 1, "e", "STANDARD") for key in sorted(keys)]
        self.size, self.n_calls = size, 0

    def keeps_versions(self, bucket: str) -> bool:
        return False

    def page(
        self, bucket: str, prefix: str, *, versions: bool, folders: bool, after: After | None = None, token: str = ""
    ) -> Page:
        self.n_calls += 1
        start = token or (after.key if after else "")
        entries: list[Entry] = []
        found: list[str] = []
        first = bisect_right(self.entries, start, key=lambda one: one.key)
        for entry in self.entries[first:]:
            if not entry.key.startswith(prefix):
                continue
            if token and entry.key.startswith(token) and token.endswith("/"):
                continue
            inner = entry.key.removeprefix(prefix)
            folder = prefix + inner.partition("/")[0] + "/" if folders and "/" in inner else None
            if folder and found[-1:] == [folder]:
                continue
            if len(entries) + len(found) == self.size:
                last = max([one.key for one in entries[-1:]] + found[-1:])
                return Page(entries, found, True, last)
            if folder:
                found.append(folder)
            else:
                entries.append(entry)
        return Page(entries, found, False)


def listed(shelf: Any, at_once: int = 3) -> list[Any]:
    with ThreadPoolExecutor(at_once) as crew:
        return list(Lister(cast("ObjectStore", shelf), crew, at_once).pages(WHERE))


NAMES = st.text("0123456789abf/o.", min_size=1, max_size=6)


@given(st.sets(NAMES, max_size=120), st.integers(2, 9))
def test_every_key_once(names: set[str], size: int) -> None:
    keys = ["r/" + name for name in names]
    found = [entry.key for page in listed(Shelf(keys, size)) for entry in page.entries]
    assert sorted(found) == sorted(keys)


@given(st.sets(NAMES, min_size=1, max_size=120), st.integers(2, 9))
def test_a_range_finds_its_page_again(names: set[str], size: int) -> None:
    shelf = Shelf(["r/" + name for name in names], size)
    for where, entries in listed(shelf):
        after, token, again = where.after, "", list[Entry]()
        while True:
            page = shelf.page("b", where.prefix, versions=False, folders=where.folders, after=after, token=token)
            again += [one for one in page.entries if one.key <= where.upto]
            if not page.is_truncated or page.token >= where.upto:
                break
            token = page.token
        assert again == entries


@pytest.mark.parametrize(
    ("keys", "most"),
    [
        ([f"r/o{i:05d}.bin" for i in range(20_000)], 40),
        ([f"r/c{i // 1000:03d}/o{i % 1000:04d}" for i in range(30_000)], 35),
        ([f"r/a/b/c{i // 700:03d}/d/o{i % 700:04d}" for i in range(14_000)], 26),
        ([f"r/{i * 2654435761 % 2**32:08x}" for i in range(20_000)], 60),
    ],
)
def test_calls_are_few(keys: list[str], most: int) -> None:
    shelf = Shelf(keys)
    pages = listed(shelf)
    assert sum(len(page.entries) for page in pages) == len(keys)
    assert shelf.n_calls <= most


def test_a_page_with_nothing_on_it_goes_on() -> None:
    """S3 may answer fewer keys than there are, and none, too."""

    class Sparse(Shelf):
        def page(self, bucket: str, prefix: str, *, token: str = "", **asked: Any) -> Page:
            if not token.startswith("!"):
                return Page([], [], True, "!" + token)
            page = super().page(bucket, prefix, token=token[1:], **asked)
            return page._replace(token=page.token)

    keys = [f"r/{name}" for name in ("a", "b/c", "b/d", "e", "f/g/h", "i")]
    assert sorted(entry.key for page in listed(Sparse(keys, 2)) for entry in page.entries) == keys


def test_a_folder_that_is_named_again_is_listed_once() -> None:
    """As by servers of versions that go on behind its name, and meet what is in it."""

    class Repeating(Shelf):
        def page(self, bucket: str, prefix: str, *, token: str = "", after: After | None = None, **asked: Any) -> Page:
            page = super().page(bucket, prefix, after=after, **asked)
            return page._replace(token="", after=After(page.token) if page.is_truncated else None)

    keys = [f"r/{name}" for name in ("a/x", "a/y", "a/z", "b", "c/d", "e")]
    assert sorted(entry.key for page in listed(Repeating(keys, 2)) for entry in page.entries) == keys


def test_a_part_is_what_its_text_says() -> None:
    shelf = Shelf([f"r/c{i // 300}/o{i}" for i in range(2_000)] + ['r/"x\n\\ü'])
    parts = list(parts_of(listed(shelf)))
    assert all(len(part.entries) <= PART for part in parts)
    assert sorted(entry for part in parts for entry in part.entries) == sorted(shelf.entries)
    import hashlib

    import orjson

    for part in parts:
        text = part.text()
        assert entries_of(packed(text), hashlib.sha256(text).digest()) == part.entries
        assert ranges_of(orjson.loads(ranges_as_json(part.ranges))) == part.ranges
        with pytest.raises(ValueError, match="not as it was stored"):
            entries_of(packed(text + b"\n"), hashlib.sha256(text).digest())
