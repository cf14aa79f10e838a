"""Files that hold all of what they should, and are their owner's alone."""

from __future__ import annotations

import errno
import os
import resource
import sys
from pathlib import Path


def write_private(path: Path, content: bytes) -> None:
    """`path` holds `content`, whole or not at all, readable by its owner only."""
    temporary = path.with_name(path.name + ".new")
    write_new(temporary, content)
    temporary.rename(path)


def write_new(path: Path | str, content: bytes) -> None:
    """`path` holds `content`, readable by its owner only. `OSError` where it does not hold all of it."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def write_over(path: Path | str, json: bytes) -> None:
    """`path` holds `json`, and blanks behind it where it was longer before; readable by its owner only. May raise `OSError`.

    Cutting the file to nothing first would make ext4 write it to the disk as soon as it is closed.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        content = json.ljust(os.fstat(fd).st_size)
        if os.write(fd, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def begin_again(path: Path | str, mark: bytes) -> None:
    """`path`, which exists, holds `mark` and nothing else. May raise `OSError`.

    It is never cut to nothing: a new file costs ext4 ten times as much as an old one, and so does, at its next closing,
    one that was empty in between.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, len(mark))
        if os.pwrite(fd, mark, 0) != len(mark):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def append_only(path: Path) -> int:
    """A descriptor that writes behind the end of `path`, and reads it also when somebody has deleted it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def sync(*paths: Path) -> None:
    """These files and folders will be found after a power cut, too."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def most_open() -> int:
    """How many files this process may have open at once."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if allowed == resource.RLIM_INFINITY else allowed
