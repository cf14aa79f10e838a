"""Tables and values as plain text. What came from runs is text: control characters are shown, never sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any


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
    text = "".join(char if char.isprintable() else "\ufffd" for char in str(value))
    return text if len(text) <= width else text[: width - 1] + "…"


def moment(text: str | None) -> str:
    """The local time of an ISO 8601 text, to the second."""
    if not text:
        return "-"
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return plain(text, 25)


def seconds(value: float | None) -> str:
    """A duration as people say it: `3 h 12 min`, `45.0 s`."""
    if value is None:
        return "-"
    if value < 120:
        return f"{value:.1f} s"
    minutes = int(value // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


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
    return "-" if value is None else f"${value:,.2f}"
