"""Cursors of lists: opaque texts that hold the sort key of the last row."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

import orjson


class BadCursor(ValueError):
    """Not a cursor that this list gave out."""


def encode_cursor(*parts: str) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def decode_cursor(cursor: str, n_parts: int) -> list[str]:
    """Errors: `BadCursor`."""
    try:
        raw: Any = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        raise BadCursor("the cursor is not one of this list") from None
    if not isinstance(raw, list) or len(raw) != n_parts or not all(isinstance(p, str) and "\0" not in p for p in raw):
        raise BadCursor("the cursor is not one of this list")
    return raw


def decode_moment_cursor(cursor: str | None) -> tuple[datetime | None, str | None]:
    """Of a list in the order of a time and an id; two None at its beginning. Errors: `BadCursor`."""
    if cursor is None:
        return None, None
    moment, one_id = decode_cursor(cursor, 2)
    return moment_of_cursor(moment), one_id


def moment_of_cursor(text: str) -> datetime:
    """Errors: `BadCursor`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadCursor("the cursor is not one of this list") from None
