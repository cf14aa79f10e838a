"""A line's place as text that a reader hands back. One place serves both orders: a job's, and a whole run's."""

from __future__ import annotations

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from argus_query.logs.chunks import Line

_NUMBERS = struct.Struct(">qiq16s")


class BadCursor(ValueError):
    """The text is no cursor of a log line."""


class Place(NamedTuple):
    """Sorts as the lines of a whole run do; without its first two fields, as those of one job."""

    at_us: int
    job_id: str
    attempt: int
    order: int
    producer: str
    event_id: str


def place_of(job_id: str, line: Line) -> Place:
    return Place(line.at_us, job_id, line.attempt, line.order, line.producer, line.event_id)


def cursor_of(place: Place) -> str:
    """`place` as text. `place_from` gives it back."""
    numbers = _NUMBERS.pack(place.at_us, place.attempt, place.order, bytes.fromhex(place.event_id))
    return urlsafe_b64encode(numbers + f"{place.producer} {place.job_id}".encode()).rstrip(b"=").decode()


def place_from(cursor: str) -> Place:
    """The place that `cursor` names. Errors: `BadCursor`."""
    try:
        packed = urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        at_us, attempt, order, event_id = _NUMBERS.unpack_from(packed)
        producer, _, job_id = packed[_NUMBERS.size :].decode().partition(" ")
    except (ValueError, binascii.Error, struct.error) as error:
        raise BadCursor(f"{cursor[:32]!r} is no cursor of a log line") from error
    return Place(at_us, job_id, attempt, order, producer, event_id.hex())
