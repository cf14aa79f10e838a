"""What users hand in, made fit for the wire. Pure; says what was wrong instead of raising."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, cast

import orjson

MAX_METRICS = 1_000
MAX_KEY = 256
MAX_SHORT = 1_024
MAX_JSON_VALUE = 4_096
MAX_JSON_ITEMS = 5_000
MAX_EVENT_BYTES = 60 * 1024
"""An event is kept below this; the wire takes 64 KiB with the fields that are added when it is sent."""
MAX_LINE_BYTES = 16 * 1024
MAX_INT = 2**53


def metric(value: Any) -> float | str:
    """`value` as the wire has it: a finite float, or "NaN", "Infinity", "-Infinity". numpy and torch scalars are fine.

    `TypeError` or `ValueError` where it is no number.
    """
    if isinstance(value, str | bytes | bytearray) or value is None:
        raise TypeError(f"{shown(value)} is not a number")
    try:
        number = float(value)
    except TypeError:
        if not callable(item := getattr(value, "item", None)):
            raise
        # An array of one value, of those libraries that refuse to see a number in it.
        number = float(cast("Any", item()))
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def metrics(given: Mapping[Any, Any]) -> tuple[dict[str, float | str], list[str]]:
    """What of `given` can be recorded, and one sentence for each entry that cannot."""
    kept: dict[str, float | str] = {}
    complaints: list[str] = []
    for name, value in given.items():
        key = text(name)
        if not key:
            complaints.append("a metric needs a name")
            continue
        if len(key) > MAX_KEY:
            complaints.append(f"the metric name {key[:40]!r}… was cut to {MAX_KEY} characters")
            key = key[:MAX_KEY]
        try:
            kept[key] = metric(value)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            complaints.append(f"metric {key[:60]!r} was left out: {str(error)[:100]}")
        except Exception as error:
            complaints.append(f"metric {key[:60]!r} was left out: {type(error).__name__}")
    return kept, complaints


def in_parts(values: dict[str, float | str]) -> Iterator[dict[str, float | str]]:
    """`values` in dicts that fit into one event each."""
    items, part, size = list(values.items()), dict[str, float | str](), 0
    for key, value in items:
        cost = len(orjson.dumps(key)) + 40
        if part and (len(part) >= MAX_METRICS or size + cost > MAX_EVENT_BYTES - 4_096):
            yield part
            part, size = {}, 0
        part[key], size = value, size + cost
    if part:
        yield part


def count(value: Any, what: str) -> tuple[int | None, str | None]:
    """`value` as a whole number from 0 to 2**53, or None and the complaint."""
    if value is None:
        return None, None
    try:
        whole = operator.index(value)
    except TypeError:
        try:
            number = float(value)
            whole = math.floor(number)
        except (TypeError, ValueError, OverflowError):
            return None, f"{what}={shown(value)} is not a whole number and was left out"
        except Exception as error:
            return None, f"{what} was left out: {type(error).__name__}"
        if whole != number:
            return (whole, f"{what}={number} was taken as {whole}") if whole >= 0 else (None, f"{what} is negative")
    if not 0 <= whole <= MAX_INT:
        return None, f"{what}={whole} lies outside 0 to 2**53 and was left out"
    return whole, None


def text(value: Any, limit: int | None = None) -> str:
    """`value` as text that every part of Argus can store: no NUL, no lone surrogates, at most `limit` characters."""
    try:
        out = str.__str__(value) if isinstance(value, str) else str(value)  # of enums and numpy's texts: what they hold
    except Exception:
        out = f"<{type(value).__name__} without a text>"
    if "\x00" in out:
        out = out.replace("\x00", "\ufffd")
    try:
        out.encode()
    except UnicodeEncodeError:
        out = out.encode("utf-8", "replace").decode()
    return out if limit is None or len(out) <= limit else out[: limit - 1] + "…"


def line(value: Any) -> str:
    """A log line of at most 16 KiB; what was cut is said at its end."""
    out = text(value)
    if len(out) <= MAX_LINE_BYTES // 4:
        return out
    raw = out.encode()
    if len(raw) <= MAX_LINE_BYTES:
        return out
    return f"{raw[: MAX_LINE_BYTES - 64].decode(errors='ignore')} …[{len(raw) - MAX_LINE_BYTES + 64} bytes cut]"


def shown(value: Any) -> str:
    """`value` in a complaint."""
    try:
        return f"{value!r:.60}"
    except Exception:
        return f"<{type(value).__name__}>"


def tail(value: str, limit: int) -> str:
    """The last `limit` characters of a text: of a traceback the end tells most."""
    out = text(value)
    return out if len(out) <= limit else "[cut]… " + out[-(limit - 8) :]


NO_NAME_IN_AN_ADDRESS = (".", "..")
"""Browsers take these for steps in a path, also where they are encoded: nobody could open a page of this name."""


def name(value: Any, limit: int = MAX_KEY) -> str:
    """One printable line of 1 to `limit` characters."""
    out = "".join(char if char.isprintable() else " " for char in text(value)).strip()
    return out[:limit]


def as_json(value: Any) -> Any:
    """`value` as JSON can say it; what it cannot is said by `str`. Deep, long or tangled things are cut, never refused."""
    return _as_json(value, 0, [MAX_JSON_ITEMS])


def _as_json(value: Any, depth: int, room: list[int]) -> Any:
    """room: how many values may still be looked at; objects that refer to each other would never come to an end."""
    room[0] -= 1
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value, MAX_JSON_VALUE)
    if isinstance(value, int):
        return value if -MAX_INT <= value <= MAX_INT else str(value)
    if isinstance(value, float):
        return metric(value)
    if depth >= 8 or room[0] <= 0:
        return text(value, 200)
    if isinstance(value, Mapping):
        items = islice(cast("Mapping[Any, Any]", value).items(), min(1000, room[0]))
        return {text(key, MAX_KEY): _as_json(item, depth + 1, room) for key, item in items if room[0] > 0}
    if isinstance(value, list | tuple | set | frozenset):
        several = islice(cast("Iterable[Any]", value), min(1000, room[0]))
        return [_as_json(item, depth + 1, room) for item in several if room[0] > 0]
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "shape", None) in ((), (1,)) or hasattr(value, "__float__"):
        try:
            return metric(value)
        except Exception:
            return shown(value)
    if hasattr(value, "__dict__") and not callable(value):
        return _as_json(vars(value), depth + 1, room)
    return text(value, MAX_JSON_VALUE)


def shortened(data: dict[str, Any]) -> dict[str, Any]:
    """`data` with its largest entries cut until it is below 56 KiB."""
    out = dict(data)
    while len(orjson.dumps(out)) > MAX_EVENT_BYTES - 4_096:
        key = max(out, key=lambda name: len(orjson.dumps(out[name])))
        half = _half(out[key])
        if half is None:
            del out[key]
        else:
            out[key] = half
    return out


def _half(value: Any) -> Any:
    """The half of it that tells most; None where it cannot be cut."""
    if isinstance(value, str) and len(value) > 200:
        return tail(value, len(value) // 2)
    if isinstance(value, list) and len(items := cast("list[Any]", value)) > 1:
        return items[: len(items) // 2]
    if isinstance(value, dict) and len(entries := cast("dict[str, Any]", value)) > 1:
        return dict(list(entries.items())[: len(entries) // 2])
    return None
