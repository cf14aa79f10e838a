"""Lines of one job, in the order they are read, and as the bytes of a chunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson
import zstandard

CHUNK_LINES = 1000
CHUNK_BYTES = 256 * 1024


class Line(NamedTuple):
    """One line. Sorts as it is read: by attempt and order; the rest only makes the order the same whatever arrives first."""

    attempt: int
    order: int
    """`line_no`; for foreign senders microseconds of their clock, with the order of arrival at the door."""
    producer: str
    """'' with foreign senders."""
    event_id: str
    """32 hexadecimal digits."""
    time_us: int
    line_no: int | None
    stream: str
    level: str | None
    text: str

    @property
    def at_us(self) -> int:
        """Where the line stands among those of other jobs."""
        return self.order if self.line_no is None else self.time_us


def encode_lines(lines: list[Line], level: int = 1) -> bytes:
    """The bytes of `lines` (not empty). Exact."""
    return zstandard.compress(orjson.dumps([list(column) for column in zip(*lines, strict=True)]), level)


def decode_lines(packed: bytes) -> list[Line]:
    """What `encode_lines` was given."""
    return list(map(Line._make, zip(*orjson.loads(zstandard.decompress(packed)), strict=True)))


def cut(lines: list[Line]) -> Iterator[tuple[list[Line], int]]:
    """`lines` in pieces of at most 1,000 lines and (but for one long line) 256 KiB, each with its bytes."""
    piece: list[Line] = []
    n_bytes = 0
    for line in lines:
        size = len(line.text.encode()) + _OVERHEAD_BYTES
        if piece and (len(piece) == CHUNK_LINES or n_bytes + size > CHUNK_BYTES):
            yield piece, n_bytes
            piece, n_bytes = [], 0
        piece.append(line)
        n_bytes += size
    if piece:
        yield piece, n_bytes


def chunk_rows(batch_id: str, job_id: str, lines: list[Line], settled: bool, level: int = 1) -> list[tuple[Any, ...]]:
    """The rows of `log_chunks` that hold `lines` (sorted)."""
    rows: list[tuple[Any, ...]] = []
    for piece, n_bytes in cut(lines):
        first, last = piece[0], piece[-1]
        times = [line.at_us for line in piece]
        rows.append((
            batch_id, job_id, first.attempt, first.order, last.attempt, last.order, min(times), max(times),
            len(piece), n_bytes, settled, encode_lines(piece, level),
        ))  # fmt: skip
    return rows


_OVERHEAD_BYTES = 64
CHUNK_TYPES = (
    "text", "text", "int4", "int8", "int4", "int8", "int8", "int8", "int4", "int4", "bool", "bytea",
)  # fmt: skip
