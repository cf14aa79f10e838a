"""Tables and values as plain text. What came from runs is text: control characters are shown, never sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

_JOINER = "\u200d"
_DRESS = "\ufe0f\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
"""What may stand between a picture and a joiner: the colour of a skin, and "as a picture"."""


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 40) -> str:
    """Columns as wide as their longest cell, at most `width`."""
    cells = [[plain(cell, width) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    lines = [
        "  ".join(text.ljust(size) for text, size in zip(line, widths, strict=True)).rstrip()
        for line in [header, *cells]
    ]
    return "\n".join(lines)


def plain(value: Any, width: int = 10_000) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    text = "".join(
        char if char.isprintable() or (char == _JOINER and _joins(text, place)) else "\ufffd"
        for place, char in enumerate(text)
    )
    return text if len(text) <= width else text[: width - 1].rstrip(_JOINER) + "…"


def _joins(text: str, place: int) -> bool:
    """Whether the joiner there makes one picture of two, as of a woman and a microscope. Anywhere else it only hides."""
    before = text[max(0, place - 3) : place].rstrip(_DRESS)
    return bool(before) and _is_picture(before[-1]) and _is_picture(text[place + 1 : place + 2])


def _is_picture(char: str) -> bool:
    return "\u2190" <= char <= "\u2bff" or "\U0001f000" <= char <= "\U0001faff"


def moment(text: str | None) -> str:
    """The local time of an ISO 8601 text, to the second."""
    if not text:
        return "-"
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return plain(text, 25)


def seconds(value: float | None) -> str:
    """A duration as the pages say it: `850 ms`, `12.4 s`, `3 m 20 s`, `3 h 12 m`, `5 d 4 h`."""
    if value is None:
        return "-"
    if value <= 0:
        return "0 s"
    if value < 1:
        return f"{max(1, round(value * 1000))} ms"
    if value < 9.95:
        return f"{value:.1f}".removesuffix(".0") + " s"
    minutes, rest = divmod(round(value), 60)
    if minutes == 0:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} m {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} m" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def byte_size(value: float | None) -> str:
    """`1.5 GiB`, `12 B`."""
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def dollars(value: float | None) -> str:
    """`$0.37`, `$1,240.00`; what is more than nothing never reads `$0.00`."""
    if value is None:
        return "-"
    return "<$0.01" if 0 < value < 0.01 else f"${value:,.2f}"


def dollar_range(least: float, most: float) -> str:
    """Once where both ends read the same."""
    low, high = dollars(least), dollars(most)
    return low if low == high else f"{low} to {high}"
