"""What the sender needs from a way to Argus. Each implementation lives in the sender's thread alone."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

Fate = Literal["taken", "later", "unheard", "refused"]
"""taken: the broker has it. later: nobody is there now. unheard: as later, but it may have it: no answer came.
refused: this very message was not accepted."""


ANSWER_S = 5.0
"""How long an answer is waited for,"""
SLOWEST_BYTES_PER_S = 16 * 1024
"""beside the time that a link so slow takes for what was sent: it is late then, and not away."""
LONGEST_ANSWER_S = 25.0
"""The gateway ends what takes 30 s to say."""


def answer_s(n_bytes: int) -> float:
    """How long to wait for the answer to so many bytes."""
    return min(ANSWER_S + n_bytes / SLOWEST_BYTES_PER_S, LONGEST_ANSWER_S)


@dataclass(frozen=True, slots=True)
class Watermark:
    """What Argus has committed of one producer and class (`argus_contracts.envelope.Stored`)."""

    producer_id: str
    name: str
    next_seq: int
    ranges: list[tuple[int, int]]


def watermark(raw: object) -> Watermark | None:
    """The watermark that a decoded `Stored` states, or None where it is none."""
    if not isinstance(raw, dict):
        return None
    said = cast("dict[str, Any]", raw)
    try:
        given: list[tuple[Any, Any]] = said.get("ranges") or []
        ranges = [(int(first), int(last)) for first, last in given]
        return Watermark(str(said["producer_id"]), str(said["class"]), int(said["next_seq"]), ranges)
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(slots=True)
class BackOff:
    """Grows from `first_s` to `last_s` with every failure, with jitter; a success forgets it."""

    first_s: float = 0.2
    last_s: float = 10.0
    failures: int = 0
    until: float = field(default=0.0)

    def ready(self) -> bool:
        return time.monotonic() >= self.until

    def failed(self, at_least_s: float = 0.0) -> None:
        wait = min(self.first_s * 2**self.failures, self.last_s) * (0.5 + random.random() / 2)  # noqa: S311
        self.failures = min(self.failures + 1, 20)
        self.until = time.monotonic() + max(wait, at_least_s)

    def succeeded(self) -> None:
        self.failures, self.until = 0, 0.0


class Transport(Protocol):
    workspace: str | None
    user: str | None
    """Who the key belongs to, once Argus has said so."""

    def connected(self) -> bool:
        """True: it makes sense to send now. Tries to connect where it is time to. Blocks for at most 3 s."""
        ...

    def publish(self, messages: list[tuple[str, bytes]]) -> list[Fate]:
        """The fate of each message (batch_id, body). Blocks for as long as the slowest link takes for one, at most."""
        ...

    def watermarks(self, waiting: list[str]) -> list[Watermark]:
        """What has become known as stored; `waiting`: the producers that wait for it."""
        ...

    def stop_requested(self, batch_id: str) -> bool | None:
        """Whether somebody asked this batch to stop; None where this way cannot tell."""
        ...

    def idle(self, seconds: float) -> None:
        """That time has passed, or something arrived."""
        ...

    def close(self) -> None: ...

    def abandon(self) -> None:
        """In a forked child: the parent's connection is not held open from here."""
        ...
