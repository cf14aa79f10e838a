"""The bounds of every message that was ever formed, in the folder's file `bounds`, so that a re-send keeps them."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from argus.files import append_only
from argus.spool import CLASSES, SpoolClass

_RECORD = struct.Struct("<BQHI")  # class, first seq, count, check of the three


class Bounds:
    """`path`: the file; it appears with the first bounds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def fix(self, name: SpoolClass, first_seq: int, count: int) -> None:
        """They are written down, whole or not at all. May raise `OSError`."""
        if self._fd < 0:
            self._fd = append_only(self._path)
            self._cut_torn_end()
        number = CLASSES.index(name)
        record = _RECORD.pack(number, first_seq, count, _check(number, first_seq, count))
        if os.write(self._fd, record) != len(record):
            self._cut_torn_end()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _cut_torn_end(self) -> None:
        """Half a record, left by a full disk or a power cut, would make all behind it unreadable."""
        size = os.fstat(self._fd).st_size
        if size % _RECORD.size:
            os.ftruncate(self._fd, size - size % _RECORD.size)

    def read(self) -> Iterator[tuple[SpoolClass, int, int]]:
        """Class, first seq and count of each, in the order of writing; damaged ones are left out."""
        try:
            raw = self._path.read_bytes()
        except OSError:
            return
        for at in range(0, len(raw) - _RECORD.size + 1, _RECORD.size):
            number, first_seq, count, check = _RECORD.unpack_from(raw, at)
            if count and number < len(CLASSES) and check == _check(number, first_seq, count):
                yield CLASSES[number], first_seq, count

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _check(number: int, first_seq: int, count: int) -> int:
    return (number * 31 + first_seq * 7 + count) & 0xFFFFFFFF
