"""The folder of a producer: it appears whole and locked, and is used again for the next one.

A new directory costs the file system a hundred times more than a new name for an old one, and a new file ten times more than
an old one, so a process that makes many short runs keeps some, emptied, hidden and locked, and removes them at its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Collection
from pathlib import Path

from argus.files import begin_again, most_open, write_over

MAX_SPARE = 256
LOCK = "lock"
"""Held by flock while somebody works on the folder."""
META = "meta.json"

_gate = threading.RLock()
_spares: dict[Path, list[tuple[str, int]]] = {}
"""By root: hidden folders with nothing in them that anybody needs, and the descriptors that hold their locks."""


def make(root: Path, name: str, meta: bytes) -> int:
    """`root/name` exists, with `meta.json` in it; the descriptor that holds its lock. May raise `OSError`.

    It appears in one step, already locked, so that nobody takes it for an orphan.
    """
    hidden = f"{root}/.{name}.new"
    lock_fd = _spare(root, hidden)
    if lock_fd is None:
        lock_fd = _make_hidden(root, hidden)
    try:
        write_over(f"{hidden}/{META}", meta)
        os.rename(hidden, root / name)  # noqa: PTH104
    except OSError:
        os.close(lock_fd)
        raise
    return lock_fd


def give_back(root: Path, name: str, lock_fd: int, used_again: Collection[str], mark: bytes) -> None:
    """`root/name`, whose producer needs nothing of it any more, is gone; the descriptor is not the caller's any more.

    used_again: files that the next producer may find, with nothing but `mark` in them.
    """
    folder, hidden = f"{root}/{name}", f"{root}/.{name}.new"
    try:
        os.rename(folder, hidden)  # noqa: PTH104  first of all: nobody may adopt half of it
        for file in os.listdir(hidden):  # noqa: PTH208
            if file in used_again:
                begin_again(f"{hidden}/{file}", mark)
            elif file not in (LOCK, META):
                os.unlink(f"{hidden}/{file}")  # noqa: PTH108
        with _gate:
            spares = _spares.setdefault(root, [])
            if len(spares) < min(MAX_SPARE, most_open() // 16):
                spares.append((hidden, lock_fd))
                return
        _remove(hidden, lock_fd)
    except OSError:  # somebody cleans up behind us
        with contextlib.suppress(OSError):
            os.close(lock_fd)


def remove_spares() -> None:
    """No empty folder is kept any more."""
    with _gate:
        all_of_them = [spare for spares in _spares.values() for spare in spares]
        _spares.clear()
    for hidden, lock_fd in all_of_them:
        with contextlib.suppress(OSError):
            _remove(hidden, lock_fd)


def forget_after_fork() -> None:
    """In the child: the parent's folders are not held open from here."""
    global _gate  # noqa: PLW0603
    _gate = threading.RLock()
    for spares in _spares.values():
        for _, lock_fd in spares:
            with contextlib.suppress(OSError):
                os.close(lock_fd)
    _spares.clear()


def _spare(root: Path, hidden: str) -> int | None:
    """The descriptor of a spare folder that is called `hidden` now; None where there is none."""
    with _gate:
        spares = _spares.get(root)
        if not spares:
            return None
        old, lock_fd = spares.pop()
    try:
        os.rename(old, hidden)  # noqa: PTH104
    except OSError:  # it was removed, or the whole spool was
        with contextlib.suppress(OSError):
            os.close(lock_fd)
        return None
    return lock_fd


def _make_hidden(root: Path, hidden: str) -> int:
    try:
        os.mkdir(hidden, 0o700)  # noqa: PTH102
    except FileNotFoundError:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.mkdir(hidden, 0o700)  # noqa: PTH102
    lock_fd = os.open(f"{hidden}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock_fd)
        raise
    return lock_fd


def _remove(hidden: str, lock_fd: int) -> None:
    try:
        for file in sorted(os.listdir(hidden), key=LOCK.__eq__):  # noqa: PTH208
            os.unlink(f"{hidden}/{file}")  # noqa: PTH108
        os.rmdir(hidden)  # noqa: PTH106
    finally:
        os.close(lock_fd)
