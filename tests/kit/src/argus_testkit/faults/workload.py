"""Senders as processes on one stack, and what they said."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from argus_testkit.faults.ledger import Said, read_ledgers
from argus_testkit.faults.scale import pick
from argus_testkit.stack import LocalStack
from argus_testkit.waiting import eventually

SYNC_SECONDS = 120.0


class Workload:
    """Some senders that talk to one stack.

    n_jobs and events_per_s (all kinds together) are those of each sender. door: `nats` or `http` for the real SDK. url: where they
    send, when that is not the stack itself (a fault proxy in front of it). settings: further variables of the senders and of
    `argus sync`. wrapped: a command that runs the senders (`unshare …`); it becomes the sender, so that a kill meets it.
    """

    def __init__(
        self, stack: LocalStack, folder: Path, dice: random.Random, *, n_jobs: int | None = None,
        events_per_s: float | None = None, seconds: float | None = None, door: str = "nats", url: str | None = None,
        settings: Mapping[str, str] | None = None, wrapped: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self.stack, self.folder, self.dice = stack, folder, dice
        self.name = f"faults-{uuid.uuid4().hex[:8]}"
        self.asked: dict[str, Any] = {
            "n_jobs": n_jobs or pick(3, 16),
            "events_per_s": events_per_s or pick(120.0, 4_000.0),
            "seconds": seconds or pick(600.0, 3_600.0),  # until `finish`
        }
        self.url = url or (stack.url if door == "http" else stack.facts.nats.url)
        self.settings, self.wrapped = dict(settings or {}), list(wrapped)
        self.senders: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def environment(self) -> dict[str, str]:
        """Of every sender, and of `argus sync`."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("ARGUS_")}
        token = self.stack.credentials.token
        where = {"ARGUS_URL": self.url, "ARGUS_TOKEN": token, "ARGUS_SPOOL_DIR": str(self.spool)}
        return {**own, **where, **self.settings}

    def start(self, n_senders: int = 1, url: str | None = None, **asked: Any) -> None:
        """`n_senders` more training processes with the real SDK.

        url: of their way to Argus, where it is not `self.url`.
        asked: n_jobs, events_per_s, seconds, heartbeat_s (default: the SDK's) and line_bytes (0) for these.
        """
        for _ in range(n_senders):
            self._start("argus_testkit.faults.sender", asked, url)

    def start_raw(self, door: str = "http", **asked: Any) -> None:
        """One more sender without SDK and spool; see raw_sender.py for `door` and `numbered`."""
        url = self.stack.url if door == "http" else self.stack.facts.nats.url
        with self.stack.client() as client:
            me = client.get("/api/auth/me").raise_for_status().json()
        who = {"workspace": me["workspace"], "user": me["user"]}
        self._start("argus_testkit.faults.raw_sender", {"door": door, "url": url, **who, **asked})

    def _start(self, module: str, asked: dict[str, Any], url: str | None = None) -> None:
        batch_id = f"{self.name}-{len(self.senders)}"
        whole = {
            **self.asked, "batch_id": batch_id, "ledger": str(self._ledger(batch_id)),
            "seed": self.dice.getrandbits(32), **asked,
        }  # fmt: skip
        with (self.folder / f"{batch_id}.out").open("ab") as out:
            self.senders[batch_id] = subprocess.Popen(
                [*self.wrapped, sys.executable, "-m", module, json.dumps(whole)], stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, env={**self.environment, **({"ARGUS_URL": url} if url else {})},
            )  # fmt: skip

    def wait_until_talking(self, n: int = 1, within: float = 180.0) -> None:
        """Every sender has said `n` events."""
        ledgers = [self._ledger(batch_id) for batch_id in self.senders]
        eventually(lambda: all(_n_said(path) >= n for path in ledgers), within, "every sender talks")

    def _hears_or_has_ended(self, batch_id: str) -> bool:
        """A sender makes its ledger when it knows what to do on SIGTERM."""
        return self._ledger(batch_id).exists() or self.senders[batch_id].poll() is not None

    def _ledger(self, batch_id: str) -> Path:
        return self.folder / f"{batch_id}.ledger"

    def topics(self, n_senders: int) -> list[str]:
        """Of the live stream: every job of the first `n_senders`, which need not have been started yet: who listens before they
        speak misses nothing."""
        batch_ids = [f"{self.name}-{sender}" for sender in range(n_senders)]
        return [f"job:{batch_id}/job-{n}" for batch_id in batch_ids for n in range(self.asked["n_jobs"])]

    def finish(self, within: float = 120.0) -> Said:
        """The senders have ended as scripts do, what they left in the spool is sent, and this is what they said.

        An AssertionError says which sender failed, or that something stays in the spool.
        """
        for batch_id, sender in self.senders.items():
            eventually(partial(self._hears_or_has_ended, batch_id), within, f"{batch_id} has begun")
            if sender.poll() is None:
                sender.terminate()
        for batch_id, sender in self.senders.items():
            code = sender.wait(within)
            words = (self.folder / f"{batch_id}.out").read_text()[-2_000:]
            assert code in (0, -9), f"sender {batch_id} ended with {code}: {words}"
        self.sync()
        return self.said()

    def kill(self) -> None:
        """Every sender is gone, without a chance to say anything (SIGKILL)."""
        for sender in self.senders.values():
            sender.kill()
            sender.wait()

    def sync(self) -> None:
        """What is left in the spool is stored: `argus sync`, until it says so."""
        if not self.spool.exists():
            return
        command = [
            *self.wrapped, sys.executable, "-m", "argus.cli", "sync", "--all", "--json", "--timeout", str(SYNC_SECONDS),
        ]  # fmt: skip
        for _ in range(5):  # it gives up where nothing moves for a while
            done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
        raise AssertionError(f"argus sync leaves something in the spool: {done.stdout}{done.stderr}")

    def n_said(self) -> int:
        """How many events have an outcome so far; cheap."""
        return sum(_n_said(path) for path in self.folder.glob("*.ledger"))

    def wait_for_more(self, n: int, within: float = 180.0) -> None:
        """`n` further events have been said."""
        before = self.n_said()
        eventually(lambda: self.n_said() >= before + n, within, "the senders go on")

    def words(self) -> str:
        """What the senders wrote on stdout and stderr."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.out")))

    def said(self) -> Said:
        """What is in the ledgers now."""
        return read_ledgers(sorted(self.folder.glob("*.ledger")))

    def figures(self) -> list[dict[str, float]]:
        """What each SDK sender measured of its own calls (only those that ended by themselves)."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.figures"))]


def _n_said(ledger: Path) -> int:
    return ledger.read_bytes().count(b"\n= ") if ledger.exists() else 0
