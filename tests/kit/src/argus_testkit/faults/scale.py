"""How large a fault test is, and the seed of its accidents.

ARGUS_FAULTS=full: the long forms (minutes; `make soak`). Otherwise the short ones (seconds). ARGUS_FAULTS_SEED=N repeats a run.
"""

from __future__ import annotations

import os
import random
from typing import TypeVar

T = TypeVar("T")


def is_full() -> bool:
    """Whether the long forms were asked for; any other word than `full` and `short` is an error, not a default."""
    chosen = os.environ.get("ARGUS_FAULTS", "") or "short"
    if chosen not in {"short", "full"}:
        raise ValueError(f"ARGUS_FAULTS is {chosen!r}: it must be short or full")
    return chosen == "full"


def pick(short: T, full: T) -> T:
    """The one for this run."""
    return full if is_full() else short


SOON_AGAIN = pick({"ARGUS_INGEST_ACK_WAIT_SECONDS": "5"}, {})
"""For a stack whose ingest is killed: in the short form the broker delivers what a dead process had in hand again after 5 s, not 30."""


def seeded(what: str) -> random.Random:
    """The accidents of one test. The seed is printed, and ARGUS_FAULTS_SEED gives the same ones again."""
    seed = int(os.environ.get("ARGUS_FAULTS_SEED") or random.SystemRandom().randrange(2**32))
    print(f"{what}: ARGUS_FAULTS_SEED={seed}")
    return random.Random(f"{what} {seed}")
