"""One run as its process' sender sees it: what it has said here, what of that Argus has, and what else is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from argus.outbox import Outbox
from argus.settings import Settings
from argus.spool import Spool, SpoolClass, new_producer_id
from argus.transport import Transport

HEARTBEAT_S = 30.0
TELL_DROPS_S = 5.0
STOP_POLL_S = 10.0
CHORES_FROM_S = 1.0
"""A run that lives so long has a folder that outlives a power cut and says whose it is; shorter ones pay for neither."""

_CLASS_OF: dict[str, SpoolClass] = {
    "job_epoch": "metrics",
    "resource_snapshot": "snapshots",
    "log_line": "log_lines",
}


def lane_of(kind: str) -> SpoolClass:
    """Where events of this kind are written."""
    return _CLASS_OF.get(kind, "lifecycle")


class Producer:
    """A run's spool and outbox. The calling threads write into the spool's lanes; everything else is the sender's.

    beat: writes a heartbeat into the spool, with how many events were dropped so far, by class.
    skipped: how many lines never came as far as the spool. beats: False where this producer is not the one that beats
    (a forked child); it only tells of what it drops.
    """

    def __init__(
        self,
        settings: Settings,
        batch_id: str,
        attempt: int,
        beat: Callable[[dict[str, int]], None],
        skipped: Callable[[], int],
        *,
        beats: bool,
    ) -> None:
        self.id = new_producer_id()
        self.batch_id = batch_id
        meta = {"batch_id": batch_id, "attempt": attempt, "url": settings.shown_url, "key_id": settings.key_id}
        self.spool = Spool(settings.spool_dir, self.id, meta)
        self.outbox = Outbox(self.spool.folder, self.id, batch_id, self.spool)
        self.stop_requested = False
        self.ended = False
        """True once the run has said its last: the sender may close the lanes."""
        self.gone = threading.Event()
        """Set once nobody works on the spool here any more."""
        self._beat, self._skipped, self._beats = beat, skipped, beats
        self._told: dict[str, int] = {}
        now = time.monotonic()
        self._next_beat, self._next_drops, self._next_stop_poll = now + HEARTBEAT_S, now + TELL_DROPS_S, now + 1.0
        self.born_at, self._sync_at = now, now + CHORES_FROM_S

    # -- what was dropped ----------------------------------------------------------------------------------------

    def dropped(self) -> dict[str, int]:
        """How many events are gone that Argus never had, by class."""
        total = self.spool.dropped()
        for name, count in self.outbox.dropping.dropped.items():
            total[name] = total.get(name, 0) + count
        if skipped := self._skipped():
            total["log_lines"] = total.get("log_lines", 0) + skipped
        return total

    def final_drops(self) -> dict[str, int]:
        """What was dropped in all, by class. From now on nothing is: nobody could tell of it any more."""
        self.outbox.dropping.stop()
        return self.dropped()

    def tell_drops(self, *, final: bool = False) -> None:
        """What was dropped is in the spool, if any was since the last time: nobody may be there to say it at the end."""
        if (dropped := self.final_drops() if final else self.dropped()) != self._told:
            self._told = dropped
            self._beat(dropped)

    def wait_for_memory(self, timeout_s: float) -> None:
        """What no disk has taken is on one, or stored, or `timeout_s` have passed. Called when the run has ended."""
        deadline = time.monotonic() + timeout_s
        while self.spool.holds_memory() and time.monotonic() < deadline:
            if self.gone.wait(0.05):
                return

    # -- in the sender's thread ----------------------------------------------------------------------------------

    def chores(self, now: float, transport: Transport | None) -> None:
        """What is due besides sending is done: heartbeat, drops, whether to stop. transport: None while away."""
        if now < self.born_at + CHORES_FROM_S:
            return
        if self._beats and now >= self._next_beat:
            self._next_beat = now + HEARTBEAT_S
            self._told = self.dropped()
            self._beat(self._told)
        if now >= self._next_drops:
            self._next_drops = now + TELL_DROPS_S
            self.tell_drops()
        if (
            transport is not None
            and transport.user is not None
            and self.spool.note(workspace=transport.workspace, user=transport.user)
        ):
            self._sync_at = min(self._sync_at, now + CHORES_FROM_S)
        if now >= self._sync_at:
            self._sync_at = float("inf") if self.spool.sync() else now + CHORES_FROM_S
        if transport is None:
            return
        if not self.stop_requested and now >= self._next_stop_poll:
            self._next_stop_poll = now + STOP_POLL_S
            self.stop_requested = bool(transport.stop_requested(self.batch_id))

    def close_files(self) -> None:
        """What is said from now on is not recorded. Any thread may call it."""
        for lane in self.spool.lanes.values():
            with lane.lock:
                lane.closed = True
                lane.close()

    def close_lanes(self) -> None:
        """As `close_files`, and the outbox knows that no more will come."""
        self.close_files()
        self.outbox.no_more()

    def let_go(self) -> None:
        """No file is open here. The folder is gone where everything is stored, and else somebody else may adopt it."""
        empty = self.outbox.is_empty()
        self.outbox.close()
        if empty:
            self.outbox.forget_segments()
            self.spool.give_back()
        else:
            self.spool.close()
        self.gone.set()

    def abandon(self) -> None:
        """In a forked child: nothing of the parent's is held open."""
        self.spool.forget_after_fork()
        self.outbox.close()
