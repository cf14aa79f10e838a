"""Small pure helpers that all read models share: times, ranks, last-writer-wins fields, text that Postgres takes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from pydantic import AwareDatetime, TypeAdapter

_ANY_TIME: TypeAdapter[datetime] = TypeAdapter(AwareDatetime)
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NAME = 256
_LATEST_MICROS = 10**16  # later than every time that the contract takes (before the year 2100)

Field = list[Any]
"""`[rank, value]`: a value with the rank of the event that stated it."""


def micros(moment: str | Any) -> int:
    """Microseconds since 1970-01-01 UTC of an `occurred_at` as it stands on the wire."""
    try:
        parsed = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        parsed = _ANY_TIME.validate_python(moment)  # what the contract took beside ISO 8601, such as a Unix time
    return micros_of(parsed)


def all_micros(moments: Sequence[str | Any]) -> list[int]:
    """`micros` of each. Those that follow each other mostly lie in the same second, as `2026-11-21T06:18:29.123456Z`."""
    found: list[int] = []
    second, start = "?", 0
    for moment in moments:
        usual = type(moment) is str and len(moment) == 27 and moment[19] == "." and moment[26] == "Z"
        if usual and moment[:20] == second:
            found.append(start + int(moment[20:26]))
            continue
        at = micros(moment)
        if usual:
            second, start = moment[:20], at - at % 1_000_000
        found.append(at)
    return found


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC."""
    # A double holds the microseconds of this century to a quarter of one, so rounding gives the exact number.
    return round(moment.timestamp() * 1_000_000)


def moment_of(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


@lru_cache(maxsize=32_768)
def iso(microseconds: int | None) -> str | None:
    """UTC text with microseconds, for jsonb and timestamptz columns. Rows of one run and its jobs share many times, and a fold
    makes all rows of one table before those of the next: of thousands of runs, it must not have forgotten them by then."""
    if microseconds is None:
        return None
    second, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(second)}.{fraction:06d}+00:00" if fraction else f"{_second(second)}+00:00"


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat().removesuffix("+00:00")


def rank(attempt: int, at: int, event_id: str) -> str:
    """Text that sorts as (attempt, occurred_at, event_id): the greater states the value that counts."""
    return f"{attempt:07d}.{at:017d}.{event_id}"


def first_rank(attempt: int, at: int, event_id: str) -> str:
    """As `rank`, but within an attempt the earlier event is the greater."""
    return f"{attempt:07d}.{_LATEST_MICROS - at:017d}.{event_id}"


def state_field(fields: dict[str, Field], name: str, new_rank: str, value: Any) -> bool:
    """`name` now holds `value` unless an event of higher rank stated it. None states nothing. True: it changed."""
    if value is None:
        return False
    known = fields.get(name)
    if known is not None and known[0] >= new_rank:
        return False
    fields[name] = [new_rank, value]
    return True


def value_of(fields: dict[str, Field], name: str, default: Any = None) -> Any:
    known = fields.get(name)
    return default if known is None else known[1]


def attempt_of(event: dict[str, Any]) -> int:
    return event.get("attempt") or 1


def storable(value: Any) -> Any:
    """`value` (decoded JSON) without NUL characters, which Postgres refuses in text and jsonb: they become U+FFFD."""
    if isinstance(value, str):
        return value.replace("\0", "�") if "\0" in value else value
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value


def older_environment(said: Any) -> dict[str, Any]:
    """What a `batch_start` of an older sender says in `environment`: `host`, `user`, `commit` as text, and `command`.

    No contract knows this field, so anything may stand there; what is of another type was not said.
    """
    fields = said if isinstance(said, dict) else {}
    known = {name: fields[name] for name in ("host", "user", "commit") if isinstance(fields.get(name), str)}
    command = fields.get("command")
    return {**known, "command": command} if isinstance(command, list | str) else known


def short_name(text: str | None) -> str | None:
    """`text` as lists filter, group and show it: at most 256 characters, because an index entry holds 2,704 bytes."""
    return text if text is None or len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def natural_key(text: str) -> str:
    """Sorts (byte by byte) as people order names: `job-2` before `job-10`, `lr=0.003` before `lr=0.01`, letter case aside."""
    return _NUMBER.sub(_sortable_number, text.casefold())


def _sortable_number(match: re.Match[str]) -> str:
    """Whole parts get their length in front; what follows the only dot is a fraction, and sorts as it stands."""
    whole, *further = match[0].split(".")
    if len(further) == 1:
        return f"{_with_length(whole)}.{further[0]}"
    return ".".join(_with_length(part) for part in (whole, *further))


def _with_length(digits: str) -> str:
    number = digits.lstrip("0")
    return f"{len(number):03d}{number}"


def seconds(start: int | None, end: int | None) -> float | None:
    """From `start` to `end` (microseconds); never negative, because a clock may have stepped back."""
    return None if start is None or end is None else max(0, end - start) / 1_000_000


def like_pattern(search: str) -> str:
    r"""A LIKE pattern for `search` anywhere in a casefolded text; `%`, `_` and `\` mean themselves."""
    escaped = search.casefold().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%".replace("\0", "�")
