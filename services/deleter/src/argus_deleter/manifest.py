"""The manifest of a deletion: parts of at most 1,000 entries, and what they are hashed as. docs/deleting.md describes the text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson
import zstandard

from argus_deleter.listing import Found, Range
from argus_deleter.pages import After, Entry

PART = 1_000
RANGES_PER_PART = 100
"""A part of folders with few objects each is looked at again folder by folder."""


class Part(NamedTuple):
    """Entries in the order of their keys and versions, and where to find them again."""

    entries: list[Entry]
    ranges: list[Range]

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    def text(self) -> bytes:
        """Canonical: one JSON array `[key, version_id, size, etag, storage_class]` a line."""
        return b"".join(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE) for entry in map(list, self.entries))


def parts_of(pages: Iterable[Found]) -> Iterator[Part]:
    """Every entry of the pages in one part; pages are not cut, so that a part can be found again by theirs."""
    entries: list[Entry] = []
    ranges: list[Range] = []
    for where, found in pages:
        if entries and (len(entries) + len(found) > PART or len(ranges) == RANGES_PER_PART):
            yield _part(entries, ranges)
            entries, ranges = [], []
        entries += found
        ranges.append(where)
    if entries:
        yield _part(entries, ranges)


def _part(entries: list[Entry], ranges: list[Range]) -> Part:
    return Part(sorted(entries), ranges)


def packed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(text)


def entries_of(stored: bytes, sha256: bytes) -> list[Entry]:
    """What `packed` has packed. ValueError where it is not what was hashed: nothing is deleted by it then."""
    text = zstandard.ZstdDecompressor().decompress(stored)
    if hashlib.sha256(text).digest() != bytes(sha256):
        raise ValueError("a part of the manifest is not as it was stored")
    return [Entry(*orjson.loads(line)) for line in text.splitlines()]


def ranges_as_json(ranges: list[Range]) -> str:
    return orjson.dumps([[one.prefix, one.folders, one.after and list(one.after), one.upto] for one in ranges]).decode()


def ranges_of(stored: list[Any]) -> list[Range]:
    return [
        Range(prefix, folders, None if after is None else After(*after), upto)
        for prefix, folders, after, upto in stored
    ]


class ManifestHash:
    """SHA-256 over one line per part, in the order of their numbers: `number entries bytes sha256-of-its-text`."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.objects = self.bytes = 0

    def add(self, number: int, n_entries: int, n_bytes: int, sha256: bytes) -> None:
        self._hash.update(f"{number} {n_entries} {n_bytes} {bytes(sha256).hex()}\n".encode())
        self.objects += n_entries
        self.bytes += n_bytes

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
