"""Keeps a fork from happening while a background thread of ours imports something.

A module lock that a thread held at the moment of the fork stays held in the child for ever: whoever imports that
module there would wait for a thread that does not exist.
"""

from __future__ import annotations

import logging  # noqa: F401  # pyright: ignore[reportUnusedImport]  its own hook must be registered before ours, and so runs after it: see `_before`
import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

LONGEST_WAIT_S = 15.0
"""A safety net: imports take a second, and several on a machine that is busy with many ranks starting at once."""

_gate = threading.Lock()
_installed = False
_held = False


@contextmanager
def no_fork_meanwhile() -> Generator[None]:
    """No fork happens within this block."""
    with _gate:
        yield


def install(in_child: Callable[[], None]) -> None:
    """Forks wait for the block above; `in_child` is called in every child."""
    global _installed  # noqa: PLW0603
    if _installed or not hasattr(os, "register_at_fork"):
        return
    _installed = True
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=lambda: _after(in_child))


def _before() -> None:
    """Hooks run in the reverse order of their registration. Were logging's first, it would hold the lock that an
    import in our thread may need, while we wait for that import."""
    global _held  # noqa: PLW0603
    _held = _gate.acquire(timeout=LONGEST_WAIT_S)


def _after_in_parent() -> None:
    global _held  # noqa: PLW0603
    if _held:
        _held = False
        _gate.release()


def _after(in_child: Callable[[], None]) -> None:
    global _gate, _held
    _gate, _held = threading.Lock(), False
    in_child()
