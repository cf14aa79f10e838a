"""The one voice of the SDK when something is wrong: a line on stderr per kind of trouble. Training never dies of us."""

from __future__ import annotations

import contextlib
import sys
import time

MAX_COMPLAINTS = 20
_said: dict[str, float] = {}


def warn(kind: str, text: str, *, every_s: float | None = None) -> None:
    """`text` stands on stderr, unless this kind of trouble was named before (or less than `every_s` seconds ago)."""
    now = time.monotonic()
    last = _said.get(kind)
    if last is not None and (every_s is None or now - last < every_s):
        return
    _said[kind] = now
    with contextlib.suppress(Exception):
        stream = getattr(sys.stderr, "argus_original", sys.stderr)
        stream.write(f"argus: {text}\n")
        stream.flush()


def complain(text: str) -> None:
    """Something is wrong with a value that was handed in: said once, and of only so many different ones."""
    kind = f"value:{text[:40]}"
    if kind in _said:
        return
    n_said = sum(known.startswith("value:") for known in _said)
    if n_said < MAX_COMPLAINTS:
        warn(kind, text)
    else:
        warn("values", "more values are odd; no further ones are named")


def forget_warnings() -> None:
    """Every kind of trouble may be named once more (a new run began)."""
    _said.clear()
