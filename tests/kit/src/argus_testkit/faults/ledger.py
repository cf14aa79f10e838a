"""What a sender meant to say and what came of it. One text file per sender process, written before and after each call.

    > batch_id job_id stream seq crc      it is about to say this
    = batch_id job_id stream seq ok|fail  the call returned; whoever is told `ok` may rely on it

An intent without an outcome is `unknown`: the sender was killed in the middle. Intents are on disk (fsync) before the first
call of their group; outcomes are in the kernel when the next call begins, so that a killed sender forgets none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from argus_testkit.faults.payloads import Key


class Ledger:
    """The write end."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def intend(self, events: Sequence[tuple[Key, int]]) -> None:
        """These (key, crc) are on disk as intended."""
        text = "".join(f"> {k.batch_id} {k.job_id} {k.stream} {k.seq} {crc}\n" for k, crc in events)
        self._write(text)
        os.fsync(self._fd)

    def outcome(self, keys: Iterable[Key], word: str) -> None:
        """word: `ok` or `fail`."""
        self._write("".join(f"= {k.batch_id} {k.job_id} {k.stream} {k.seq} {word}\n" for k in keys))

    def close(self) -> None:
        os.fsync(self._fd)
        os.close(self._fd)

    def _write(self, text: str) -> None:
        raw = text.encode()
        if os.write(self._fd, raw) != len(raw):
            raise OSError("the ledger was not written whole")


@dataclass(slots=True)
class Said:
    """All ledgers of a test together: the crc of every event that was meant, by what came of it."""

    ok: dict[Key, int] = field(default_factory=dict[Key, int])
    unknown: dict[Key, int] = field(default_factory=dict[Key, int])
    failed: dict[Key, int] = field(default_factory=dict[Key, int])

    @property
    def batch_ids(self) -> list[str]:
        return sorted({key.batch_id for known in (self.ok, self.unknown, self.failed) for key in known})

    def crc_of(self, key: Key) -> int | None:
        """Of an event that may stand in the log."""
        return self.ok.get(key, self.unknown.get(key))

    def jobs(self) -> list[tuple[str, str]]:
        """(batch_id, job_id) of everything that may be there."""
        return sorted({(key.batch_id, key.job_id) for known in (self.ok, self.unknown) for key in known})


def read_ledgers(paths: Iterable[Path]) -> Said:
    """What all senders said. A last line that was torn by a kill counts as not written."""
    said = Said()
    for path in paths:
        for line in path.read_text().split("\n")[:-1]:
            parts = line.split(" ")
            key = Key(parts[1], parts[2], parts[3], int(parts[4]))
            if parts[0] == ">":
                said.unknown[key] = int(parts[5])
            else:
                crc = said.unknown.pop(key)
                (said.ok if parts[5] == "ok" else said.failed)[key] = crc
    return said
