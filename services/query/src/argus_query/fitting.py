"""Keeps a page of an answer within what one NATS message holds."""

from __future__ import annotations

from collections.abc import Sequence

PAGE_BYTES = 900_000
"""With what an envelope adds, below `answers.MAX_ANSWER_BYTES`."""


def n_that_fit(items: Sequence[str], most_bytes: int = PAGE_BYTES) -> int:
    """How many of the first `items`, each as JSON, make at most `most_bytes`; at least one."""
    total = 0
    for index, item in enumerate(items):
        total += len(item.encode())
        if total > most_bytes and index:
            return index
    return len(items)
