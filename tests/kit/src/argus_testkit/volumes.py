"""Small disks of a test's own, to be filled. Linux, and only where the tests may mount (root, as in a container)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType


class SmallVolume:
    """`folder` is a disk of `size_bytes` within the block. What was in it is hidden; what is written goes with the disk."""

    def __init__(self, folder: Path, size_bytes: int, mode: int = 0o700) -> None:
        self.folder, self.size_bytes, self.mode = folder, size_bytes, mode
        self._filler = folder / "filler"

    def __enter__(self) -> SmallVolume:
        self.folder.mkdir(parents=True, exist_ok=True)
        _mount("-t", "tmpfs", "-o", f"size={self.size_bytes},mode={self.mode:o}", "tmpfs", self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=True)

    def fill(self) -> None:
        """Not a byte more can be written."""
        with self._filler.open("ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(65_536))
            except OSError:
                pass
            try:
                while True:
                    filler.write(b"\0")
            except OSError:
                pass

    def fill_to(self, share: float) -> None:
        """So much of it is used, where less was."""
        total, used, _ = shutil.disk_usage(self.folder)
        with self._filler.open("ab") as filler:
            filler.write(bytes(max(0, int(total * share) - used)))

    def free(self) -> None:
        """There is space again."""
        self._filler.unlink(missing_ok=True)

    def protect(self) -> None:
        """Nothing can be written at all. OSError where somebody has a file open for writing."""
        _mount("-o", "remount,ro", self.folder)


@cache
def can_mount() -> bool:
    """Whether this machine lets the tests mount."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            with SmallVolume(Path(folder) / "try", 65_536):
                return True
        except OSError:
            return False


def without_room(file_bytes: int) -> list[str]:
    """A command in front of another one, whose files then cannot grow over `file_bytes`: a refusing disk for everybody."""
    return ["sh", "-c", f'ulimit -f {file_bytes // 512}; exec "$@"', "sh"]


def _mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"mount: {done.stderr.strip()}")
