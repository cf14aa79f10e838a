"""Points of one curve and attempt as an array, and as the bytes of a block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import zstandard
from numpy.typing import NDArray

POINT = np.dtype([("step", "<i8"), ("time_us", "<i8"), ("tie", "<i8"), ("value", "<f8")])
"""`tie` is the end of the event's id: it orders points of one step and time, so that arrival never does."""
BLOCK_POINTS = 4096
"""The most points of one block."""

_PLAIN, _PACKED = b"\0", b"\1"
_PACK_FROM = 64

Points = NDArray[np.void]


def sorted_points(points: Points) -> Points:
    """`points` by (step, time, tie, value); NaN is the largest value, as it is to Postgres."""
    steps = points["step"]
    if len(points) < 2 or bool(np.all(steps[1:] > steps[:-1])):
        return points
    return points[np.lexsort((points["value"], points["tie"], points["time_us"], steps))]


def cut(points: Points) -> list[Points]:
    """`points` in pieces of nearly equal size and at most `BLOCK_POINTS`."""
    return np.array_split(points, -(-len(points) // BLOCK_POINTS)) if len(points) > BLOCK_POINTS else [points]


def encode_points(points: Points) -> bytes:
    """The bytes of `points` (sorted): steps and times as differences, columns by byte place, zstd. Exact."""
    if len(points) < _PACK_FROM:
        return _PLAIN + points.tobytes()
    columns = np.empty((4, len(points)), dtype="<i8")
    for row, name in enumerate(("step", "time_us", "tie")):
        columns[row] = points[name]
    columns[:2, 1:] -= columns[:2, :-1].copy()
    columns[3] = np.ascontiguousarray(points["value"]).view("<i8")
    places = columns.view(np.uint8).reshape(4, len(points), 8).transpose(0, 2, 1)
    return _PACKED + zstandard.ZstdCompressor(level=1).compress(places.tobytes())


def decode_points(packed: bytes) -> Points:
    """What `encode_points` was given."""
    if packed[:1] == _PLAIN:
        return np.frombuffer(packed, dtype=POINT, offset=1)
    places = np.frombuffer(zstandard.ZstdDecompressor().decompress(packed[1:]), dtype=np.uint8)
    n = len(places) // 32
    columns = np.ascontiguousarray(places.reshape(4, 8, n).transpose(0, 2, 1)).reshape(-1).view("<i8").reshape(4, n)
    points = np.empty(n, dtype=POINT)
    points["step"] = np.cumsum(columns[0])
    points["time_us"] = np.cumsum(columns[1])
    points["tie"] = columns[2]
    points["value"] = columns[3].view("<f8")
    return points


def joined(pieces: Sequence[Points]) -> Points:
    """All points of `pieces`, sorted."""
    return sorted_points(np.concatenate(pieces)) if pieces else np.empty(0, dtype=POINT)
