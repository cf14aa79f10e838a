"""Carries outboxes to Argus: the live producer's own, and those that dead processes of the same user left behind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson

from argus import folders
from argus.outbox import Outbox
from argus.settings import Settings
from argus.spool import CLASSES
from argus.transport import Transport
from argus.trouble import warn

WINDOW = 512
"""Messages that are handed over at once,"""
WINDOW_BYTES = 8 * 1024 * 1024
"""or as many as are so large together."""
UNFINISHED_FOR_S = 300.0
"""A hidden folder that is so old is nobody's."""
FORMED = 64
"""Messages of one outbox that are formed ahead."""
MAX_WAITING = 20_000
"""Messages formed and not stored; more are left in their segments until some are."""


@dataclass(slots=True)
class Orphan:
    """A dead producer's folder, locked by us."""

    outbox: Outbox
    lock_fd: int
    meta: dict[str, Any]

    def release(self) -> None:
        """Somebody else may adopt it. Where everything is stored, the folder is gone."""
        self.outbox.form(0)
        self.outbox.finish_reading()
        if self.outbox.is_empty():
            self.outbox.remove_folder()
        self.outbox.close()
        with contextlib.suppress(OSError):
            os.close(self.lock_fd)


class Courier:
    """Moves what waits in some outboxes through one transport. One thread."""

    def __init__(self, transport: Transport, max_bytes: int) -> None:
        self.transport = transport
        self.outboxes: dict[str, Outbox] = {}
        self.full = False
        """True where the last turn handed over as much as one may: more is waiting."""
        self._max_bytes = max_bytes
        self._tidied_at = 0.0

    def turn(self) -> bool:
        """One round of sending and listening. True where something was handed over; `full` tells how much."""
        moved = self.full = False
        if self.transport.connected():
            moved = self._send()
            waiting = [producer_id for producer_id, outbox in self.outboxes.items() if outbox.unstored()]
            for mark in self.transport.watermarks(waiting):
                outbox = self.outboxes.get(mark.producer_id)
                if outbox is not None and mark.name in CLASSES:
                    outbox.stored(mark.name, mark.next_seq, mark.ranges)  # type: ignore[arg-type]
        now = time.monotonic()
        if now - self._tidied_at >= 0.2:
            self._tidied_at = now
            for outbox in self.outboxes.values():
                outbox.tidy(self._max_bytes)
        return moved

    def _send(self) -> bool:
        batch: list[tuple[Outbox, Any]] = []
        now = time.monotonic()
        for outbox in self.outboxes.values():
            waiting = sum(len(track.waiting) for track in outbox.tracks.values())
            outbox.form(min(FORMED - outbox.unsent(), MAX_WAITING - waiting))
            self.full = self.full or outbox.unsent() >= FORMED
            batch += [(outbox, message) for message in outbox.due(now, WINDOW - len(batch))]
        self.full = self.full or len(batch) >= WINDOW
        bodies: list[tuple[str, bytes]] = []
        readable: list[tuple[Outbox, Any]] = []
        n_bytes = 0
        for outbox, message in batch:
            if n_bytes > WINDOW_BYTES:
                break
            try:
                bodies.append((outbox.batch_id, outbox.body_of(message)))
                readable.append((outbox, message))
                n_bytes += len(bodies[-1][1])
            except OSError:
                message.tried(now, taken=False)
        fates = self.transport.publish(bodies) if bodies else []
        now = time.monotonic()
        for (_, message), fate in zip(readable, fates, strict=True):
            if fate == "unheard":
                message.unheard = True
            elif fate != "later":
                message.tried(now, taken=fate == "taken")
        return any(fate == "taken" for fate in fates)


def orphans(
    root: Path,
    settings: Settings,
    transport: Transport | None,
    *,
    unaddressed: bool = False,
    everybody: bool = False,
    at_most: int | None = None,
    leave: Set[str] = frozenset(),
) -> list[Orphan]:
    """The folders of dead producers that wait for this user and URL, the oldest first, each locked by the caller from now on.

    unaddressed: also those that were written without any URL. everybody: also those of other keys and URLs, but for those of
    which it is known that they are another user's.
    leave: the producers that are not wanted.
    """
    found: list[Orphan] = []
    with contextlib.suppress(OSError):
        for folder in sorted(root.iterdir()):
            if at_most is not None and len(found) >= at_most:
                break
            if folder.name in leave:
                continue
            if folder.name.startswith(".") or not folder.is_dir():
                _forget_unfinished(folder)
                continue
            meta = read_meta(folder)
            if meta is None:
                continue
            wanted = (
                (everybody and not is_of_another(meta, transport))
                or is_ours(meta, settings, transport)
                or (unaddressed and meta.get("url") is None)
            )
            if not wanted:
                continue
            lock_fd = try_lock(folder)
            if lock_fd is None:
                continue
            try:
                found.append(Orphan(Outbox(folder, meta["producer_id"], meta["batch_id"]), lock_fd, meta))
            except Exception as error:  # of another version, or damaged: it holds up no other
                os.close(lock_fd)
                warn(f"odd:{folder.name}", f"{folder} cannot be read and stays as it is ({error!r:.100})")
    return found


def is_ours(meta: dict[str, Any], settings: Settings, transport: Transport | None) -> bool:
    """Whether the folder was filled for the same Argus by the same user (or with the same key)."""
    if meta.get("url") != settings.shown_url or settings.url is None:
        return False
    if meta.get("key_id") == settings.key_id:
        return True
    user = (meta.get("workspace"), meta.get("user"))
    return transport is not None and all(user) and user == (transport.workspace, transport.user)


def is_of_another(meta: dict[str, Any], transport: Transport | None) -> bool:
    """Whether Argus once said whose key it was, and it was not ours: it would refuse these events from us, for good."""
    user = (meta.get("workspace"), meta.get("user"))
    return all(user) and (transport is None or user != (transport.workspace, transport.user))


def read_meta(folder: Path) -> dict[str, Any] | None:
    try:
        decoded = orjson.loads((folder / "meta.json").read_bytes())
    except (OSError, ValueError):
        return None
    meta = cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}
    good = meta.get("producer_id") == folder.name and isinstance(meta.get("batch_id"), str)
    return meta if good else None


def try_lock(folder: Path) -> int | None:
    """The descriptor that holds the folder's lock, or None while its producer lives or somebody else works on it."""
    try:
        lock_fd = os.open(folder / folders.LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / folders.LOCK).stat()
    except OSError:
        os.close(lock_fd)
        return None
    return lock_fd


def _forget_unfinished(folder: Path) -> None:
    """A folder that was never finished being made, or kept as a spare (its process died meanwhile), holds nothing."""
    with contextlib.suppress(OSError):
        if folder.name.endswith(".new") and time.time() - folder.stat().st_mtime > UNFINISHED_FOR_S:
            lock_fd = try_lock(folder)
            if lock_fd is None and (folder / folders.LOCK).exists():
                return  # its process lives
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            if lock_fd is not None:
                os.close(lock_fd)
