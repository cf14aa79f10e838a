"""JSON as senders write it: read with care, and cut into the very bytes that came. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import orjson

from argus_contracts.errors import Malformed
from argus_contracts.quantities import MAX_JSON_DEPTH

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_MESSAGE_LEVELS = 2
"""The message object and its list stand around every event."""
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]', re.DOTALL)


class NotJson:
    """Stands where JSON has no such value. No contract type takes it, and it cannot be written back."""

    def __init__(self, text: str) -> None:
        self.text = text


def decode(raw: bytes) -> tuple[Any, bool]:
    """The JSON value, and True; or, where parts of it are not JSON (a bare NaN, 1e400, half a surrogate, bytes that are
    no UTF-8), the value with something that is refused in their place, and False: only the events that hold them are
    lost, not their neighbours, and the bytes as a whole are nothing that a strict reader takes."""
    try:
        return orjson.loads(raw), True
    except orjson.JSONDecodeError as error:
        reason = str(error)
    try:
        # From text: given bytes, json.loads would take UTF-16, too.
        text = raw.decode("utf-8", "surrogateescape")
        return json.loads(text, parse_constant=NotJson, parse_float=_finite, parse_int=_whole), False
    except (ValueError, RecursionError):
        raise Malformed(f"not JSON: {reason}") from None


def event_slices(raw: bytes) -> list[bytes]:
    """The bytes of each element of the list `events` in the JSON object `raw`, as they came. Empty where there is none.

    raw: something that `decode` has read. Of several fields of that name the last one counts, as in every JSON reader.
    """
    slices: list[bytes] = []
    depth, start, in_events, key = 0, 0, False, b""
    for token in _TOKEN.finditer(raw):
        sign = token[0]
        if sign in (b"[", b"{"):
            depth += 1
            if depth == 2 and sign == b"[" and key and json.loads(key) == "events":
                in_events, slices, start = True, [], token.end()
        elif sign in (b"]", b"}", b","):
            if in_events and depth == 2:
                slices.append(raw[start : token.start()].strip(b" \t\r\n"))
                start = token.end()
            if sign != b",":
                in_events = in_events and depth > 2
                depth -= 1
            if depth == 1:
                key = b""
        elif depth == 1 and sign != b":" and not key:
            key = sign
    return [] if slices == [b""] else slices


def may_be_deep(raw: bytes) -> bool:
    """False is sure. Each pass removes the innermost brackets; brackets inside texts can only add depth."""
    brackets = raw.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_JSON_DEPTH + _MESSAGE_LEVELS):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return bool(brackets)


def check_text_and_depth(event: Any) -> None:
    """`Malformed` where `event` holds what cannot be written or stored."""
    for value, depth in _walk(event):
        if depth > MAX_JSON_DEPTH:
            raise Malformed(f"nested deeper than {MAX_JSON_DEPTH} levels")
        if isinstance(value, NotJson):
            raise Malformed(f"not JSON: {value.text[:32]} (NaN and infinity travel as text)")
        if isinstance(value, str) and "\x00" in value:
            raise Malformed("a text has the character NUL, which cannot be stored")
    try:
        orjson.dumps(event)
    except TypeError:
        raise Malformed("a text is not valid Unicode") from None


def _walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value and key inside, with its depth, without recursion."""
    open_values: list[tuple[Any, int]] = [(value, 0)]
    while open_values:
        current, depth = open_values.pop()
        yield current, depth
        if depth > MAX_JSON_DEPTH:
            continue
        if isinstance(current, dict):
            fields = cast("dict[str, Any]", current)
            open_values.extend((key, depth + 1) for key in fields)
            open_values.extend((item, depth + 1) for item in fields.values())
        elif isinstance(current, list):
            open_values.extend((item, depth + 1) for item in cast("list[Any]", current))


def _finite(text: str) -> float | NotJson:
    number = float(text)
    return number if abs(number) != float("inf") else NotJson(text)


def _whole(text: str) -> int | float | NotJson:
    """As `orjson` reads them: what exceeds 64 bits is a float. Thousands of digits are not JSON that anybody reads."""
    if len(text) <= 20 and -(2**63) <= (number := int(text)) < 2**64:
        return number
    return _finite(text)
