"""Room for the data, and the alarm before there is none."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from argus_local.errors import DiskFull, LocalStackError

FULL = {errno.ENOSPC, errno.EDQUOT}
ALARM_SHARE = 0.8
"""Of a disk. PostgreSQL and JetStream stop at a full one, forget nothing, and go on when there is space: but they stop."""
_LOOK_EVERY_S = 5.0
_REPEAT_EVERY_S = 3600.0


def require_space(folder: Path, needed_bytes: int) -> None:
    """DiskFull when the disk of `folder` (which exists) has less than `needed_bytes` left."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(str(folder), free, needed_bytes)


def make_home(home: Path) -> None:
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise LocalStackError(f"ARGUS_HOME={home} cannot be used: {problem.strerror}") from problem


def nearly_full(folders: Iterable[Path], alarm_share: float = ALARM_SHARE) -> dict[Path, float]:
    """Of the disks below `folders` that are used to this share or more: one of the folders, and the share (0 to 1)."""
    full: dict[int, tuple[Path, float]] = {}
    for folder in folders:
        if folder.exists():
            _total, used, free = shutil.disk_usage(folder)
            share = used / (used + free) if used + free else 1.0  # what is kept for root is nobody's
            if share >= alarm_share:
                full.setdefault(folder.stat().st_dev, (folder, share))
    return dict(full.values())


class DiskWatch:
    """Tells of disks that are nearly full: when one becomes so, every hour while it stays so, and when it has room again."""

    def __init__(self, folders: Iterable[Path], alarm_share: float = ALARM_SHARE) -> None:
        self.alarm_share = alarm_share
        self._folders = list(folders)
        self._told: dict[Path, float] = {}
        self._next_look = 0.0

    def news(self) -> list[str]:
        """Sentences. Looks at the disks every 5 s at most."""
        now = time.monotonic()
        return self.look(now) if now >= self._next_look else []

    def look(self, now: float) -> list[str]:
        self._next_look = now + _LOOK_EVERY_S
        full = nearly_full(self._folders, self.alarm_share)
        said = [f"the disk of {folder} has room again" for folder in self._told if folder not in full]
        self._told = {folder: told for folder, told in self._told.items() if folder in full}
        for folder, share in full.items():
            if now - self._told.get(folder, -_REPEAT_EVERY_S) >= _REPEAT_EVERY_S:
                self._told[folder] = now
                said.append(f"the disk of {folder} is {share:.0%} full: when it is full, nothing is accepted any more")
        return said
