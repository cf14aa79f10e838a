"""Keeps Ctrl-C from coming between two things that belong together.

Python raises `KeyboardInterrupt` between any two steps of the main thread, also right behind a `write` that has done its work:
nobody could say then whether it was done, and would say it twice or never.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_held = False
_before: Any = None
"""What deals with Ctrl-C outside of such a block."""


@contextmanager
def no_interrupt_meanwhile() -> Generator[None]:
    """Ctrl-C within this block is dealt with behind it. For a moment's work: nothing in it may wait."""
    global _held, _before  # noqa: PLW0603
    before: Any = signal.getsignal(signal.SIGINT)
    if _held or not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    try:
        signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    except ValueError:  # a second interpreter in this process: no signal reaches it
        yield
        return
    _held, _before = True, before
    try:
        yield
    finally:
        _held = False
        signal.signal(signal.SIGINT, before)
        if came:  # also where the block has failed: nobody presses Ctrl-C for nothing
            before(*came[0])


def forget_after_fork() -> None:
    """In the child of another thread: the block was the parent's."""
    global _held  # noqa: PLW0603
    if _held:
        _held = False
        signal.signal(signal.SIGINT, _before)


def are_held() -> bool:
    """Whether the main thread is within such a block."""
    return _held
