"""The background thread of a live run: sends, re-sends, trims, beats, asks whether to stop, adopts orphans."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

from argus.courier import Courier, Orphan, orphans
from argus.outbox import Outbox
from argus.settings import Settings
from argus.spool import Spool
from argus.transport import Transport, open_transport
from argus.trouble import warn

TURN_S = 0.05
"""How long what was said may wait before it is handed over."""
HEARTBEAT_S = 30.0
TELL_DROPS_S = 5.0
STOP_POLL_S = 10.0
ADOPT_FIRST_S = 5.0
ADOPT_EVERY_S = 60.0
UNREACHABLE_FINISH_S = 1.0


class Sender(threading.Thread):
    """One per live producer. It never raises and never touches the calling threads except through the spool.

    beat: writes a heartbeat into the spool, with what `dropped` answers: how many events were dropped so far, by class.
    beats: False where this producer is not the one that beats (a forked child); it only tells of what it drops.
    """

    def __init__(
        self,
        spool: Spool,
        batch_id: str,
        settings: Settings,
        beat: Callable[[dict[str, int]], None],
        dropped: Callable[[], dict[str, int]],
        *,
        beats: bool,
    ) -> None:
        super().__init__(name="argus-sender", daemon=True)
        self.outbox = Outbox(spool.folder, spool.producer_id, batch_id, spool)
        self.stop_requested = False
        self.transport: Transport | None = None
        self._spool, self._batch_id, self._settings = spool, batch_id, settings
        self._beat, self._dropped, self._beats = beat, dropped, beats
        self._told: dict[str, int] = {}
        self._deadline: float | None = None
        self._finished_at = 0.0
        self._orphans: list[Orphan] = []
        now = time.monotonic()
        self._next_beat, self._next_drops, self._next_stop_poll = now + HEARTBEAT_S, now + TELL_DROPS_S, now + 1.0
        self._next_adoption = now + ADOPT_FIRST_S

    def finish(self, timeout_s: float) -> None:
        """Everything is stored, or `timeout_s` have passed; the rest stays in the spool, and is named. The thread ends."""
        now = time.monotonic()
        self._finished_at, self._deadline = now, now + timeout_s * 0.9
        self._next_adoption = 0.0
        if self.is_alive():
            self.join(timeout_s)
        self._name_what_is_left()

    def tell_drops(self, *, final: bool = False) -> None:
        """What was dropped is in the spool, if any was since the last time: nobody may be there to say it at the end."""
        if (dropped := self.final_drops() if final else self._dropped()) != self._told:
            self._told = dropped
            self._beat(dropped)

    def final_drops(self) -> dict[str, int]:
        """What was dropped in all, by class. From now on nothing is: nobody could tell of it any more."""
        self.outbox.dropping.stop()
        return self._dropped()

    def _name_what_is_left(self) -> None:
        try:
            on_disk, in_memory = self.outbox.left()
        except (OSError, RuntimeError, IndexError) as error:  # the thread did not end in time: it still works on them
            warn("left", f"how many events are not sent yet cannot be seen ({error!r:.100}); `argus sync` sends them")
            return
        if in_memory:
            warn("lost", f"{in_memory} events are lost: the disk did not take them, and this run ends")
        if on_disk:
            kept = f"{on_disk} events are not sent yet and stay in {self._settings.spool_dir}"
            warn("left", f"{kept}; the next run sends them, or `argus sync`")

    def abandon(self) -> None:
        """In a forked child: nothing of the parent's is held open."""
        with contextlib.suppress(Exception):
            self.outbox.close()
        if self.transport is not None:
            self.transport.abandon()
        for orphan in self._orphans:
            with contextlib.suppress(OSError):
                os.close(orphan.lock_fd)

    def run(self) -> None:
        courier: Courier | None = None
        try:
            if self._settings.url is not None:
                self.transport = open_transport(self._settings)
                courier = Courier(self.transport, self._settings.max_bytes)
                courier.outboxes[self._spool.producer_id] = self.outbox
        except Exception as error:
            warn("sender", f"cannot send: {error!r:.200}; everything stays in {self._settings.spool_dir}")
        while True:
            try:
                if self._work(courier):
                    break
            except Exception as error:
                warn("sender", f"trouble while sending: {error!r:.200}; everything stays in {self._settings.spool_dir}")
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    break
                time.sleep(1)
        self._end()

    def _work(self, courier: Courier | None) -> bool:
        """One turn. True: the run has ended and so may the thread."""
        now = time.monotonic()
        moved = False
        if self._deadline is None:
            self._chores(now, courier)
        if courier is not None:
            moved = courier.turn()
        else:
            self.outbox.form(0)
            self.outbox.tidy(self._settings.max_bytes)
        if self._deadline is not None and self._may_end(courier):
            return True
        if not moved:
            if self.transport is not None:
                self.transport.idle(TURN_S if self._deadline is None else TURN_S / 5)
            else:
                time.sleep(TURN_S)
        return False

    def _may_end(self, courier: Courier | None) -> bool:
        now = time.monotonic()
        if courier is None or self.transport is None or now >= (self._deadline or 0):
            return True
        if self._next_adoption == 0.0 and self.transport.connected():
            self._next_adoption = now + ADOPT_EVERY_S
            self._adopt(courier)  # children of this run that ended before could send everything
        self.outbox.form(8)
        family = [self.outbox, *(o.outbox for o in self._orphans if o.outbox.batch_id == self._batch_id)]
        if all(outbox.is_empty() for outbox in family):
            return True
        return not self.transport.connected() and now - self._finished_at >= UNREACHABLE_FINISH_S

    def _chores(self, now: float, courier: Courier | None) -> None:
        if self._beats and now >= self._next_beat:
            self._next_beat = now + HEARTBEAT_S
            self._told = self._dropped()
            self._beat(self._told)
        if now >= self._next_drops:
            self._next_drops = now + TELL_DROPS_S
            self.tell_drops()
        if courier is None or self.transport is None or not self.transport.connected():
            return
        if self.transport.user is not None:
            self._spool.note(workspace=self.transport.workspace, user=self.transport.user)
        if not self.stop_requested and now >= self._next_stop_poll:
            self._next_stop_poll = now + STOP_POLL_S
            self.stop_requested = bool(self.transport.stop_requested(self._batch_id))
        if now >= self._next_adoption:
            self._next_adoption = now + ADOPT_EVERY_S
            self._adopt(courier)

    def _adopt(self, courier: Courier) -> None:
        for orphan in list(self._orphans):
            orphan.outbox.form(1)
            orphan.outbox.finish_reading()
            if orphan.outbox.is_empty():
                self._give_back(courier, orphan)
        for orphan in orphans(self._settings.spool_dir, self._settings, self.transport):
            if orphan.outbox.producer_id in courier.outboxes:
                os.close(orphan.lock_fd)
                continue
            self._orphans.append(orphan)
            courier.outboxes[orphan.outbox.producer_id] = orphan.outbox

    def _give_back(self, courier: Courier, orphan: Orphan) -> None:
        courier.outboxes.pop(orphan.outbox.producer_id, None)
        self._orphans.remove(orphan)
        orphan.release()

    def _end(self) -> None:
        for orphan in self._orphans:
            with contextlib.suppress(Exception):
                orphan.release()
        self._orphans = []
        with contextlib.suppress(Exception):
            self.outbox.form(0)
            for lane in self._spool.lanes.values():
                with lane.lock:
                    lane.closed = True
                    lane.close()
            self.outbox.form(0)
            self.outbox.tidy(self._settings.max_bytes)
            if self.outbox.is_empty():
                self.outbox.remove_folder()
        with contextlib.suppress(Exception):
            self.outbox.close()
        self._spool.close()
        if self.transport is not None:
            self.transport.close()
