"""Processes that die by SIGKILL at a chosen function, and processes whose clock is wrong. No line of the product helps.

The work is done by `inside/sitecustomize.py`, which the processes load by their PYTHONPATH.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from argus_testkit.waiting import eventually

INSIDE = Path(__file__).parent / "inside"


class Failpoints:
    """Functions at which a process can be killed. points: `module:qualname`, all that will ever be armed."""

    def __init__(self, folder: Path, points: Sequence[str]) -> None:
        self.folder = folder
        folder.mkdir(mode=0o777, parents=True, exist_ok=True)
        (folder / "points").write_text("\n".join(points))

    @property
    def environment(self) -> dict[str, str]:
        """Give it to every process that shall be killed so."""
        return {"PYTHONPATH": str(INSIDE), "ARGUS_TEST_FAILPOINTS": str(self.folder)}

    def arm(self, point: str, when: str, number: int = 1) -> None:
        """From now on: whichever process makes the `number`-th call of `point` first dies before or after it. Once."""
        assert when in {"before", "after"}, when
        assert point in (self.folder / "points").read_text().split(), point
        (self.folder / "fired").unlink(missing_ok=True)
        fresh = self.folder / "armed.new"
        fresh.write_text(f"{point}:{when}:{number}")
        fresh.rename(self.folder / "armed")

    def disarm(self) -> None:
        (self.folder / "armed").unlink(missing_ok=True)

    @property
    def has_fired(self) -> bool:
        """A process has died where it was told to."""
        return (self.folder / "fired").exists()

    @property
    def missing(self) -> list[str]:
        """Points that some process did not have; it ended with status 97."""
        path = self.folder / "missing"
        return path.read_text().split() if path.exists() else []

    def wait_fired(self, within: float = 180.0) -> None:
        eventually(lambda: self.has_fired, within, f"{self.folder}: a process reached its failpoint")


class Clock:
    """By how many seconds the clock of some processes is wrong. Change it at any time."""

    def __init__(self, file: Path, seconds: float = 0.0) -> None:
        self.file = file
        self.set(seconds)

    def set(self, seconds: float) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.rename(self.file)

    @property
    def environment(self) -> dict[str, str]:
        """Give it to every process that shall have this clock."""
        return {"PYTHONPATH": os.fspath(INSIDE), "ARGUS_TEST_CLOCK": os.fspath(self.file)}
