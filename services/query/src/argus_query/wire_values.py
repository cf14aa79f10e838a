"""Ids and times of events, as numbers that sort and pack."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGN = 1 << 63


def moment_of(us: int) -> datetime:
    """The moment `us` microseconds after 1970, UTC."""
    return _EPOCH + timedelta(microseconds=us)


def id_hex(event_id: str) -> str:
    """`event_id` as 32 small hexadecimal digits, whichever of the forms of a UUID its sender chose."""
    plain = event_id.replace("-", "").lower()
    return plain if len(plain) == 32 else UUID(event_id).hex


def tie_of(event_id: str) -> int:
    """A signed 64-bit number that orders events of the same step and time: the last 8 bytes of the id.

    The last, because the first of a UUIDv7 are the clock, which `time` has compared already.
    """
    try:
        return int(event_id[19:23] + event_id[24:36], 16) - _SIGN if len(event_id) == 36 else _odd_tie(event_id)
    except ValueError:
        return _odd_tie(event_id)


def _odd_tie(event_id: str) -> int:
    return int(UUID(event_id).hex[16:], 16) - _SIGN
