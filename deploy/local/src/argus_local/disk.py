"""Room for the data."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from argus_local.errors import DiskFull, LocalStackError

FULL = {errno.ENOSPC, errno.EDQUOT}


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
