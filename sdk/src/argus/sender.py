"""The background thread that sends what runs say to one destination, re-sends, trims, adopts what dead processes left."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterator

from argus import files, folders
from argus.courier import Courier, Orphan, orphans
from argus.outbox import Outbox
from argus.producer import Producer
from argus.settings import Settings
from argus.spool import SpoolClass
from argus.transport import Transport, open_transport
from argus.trouble import warn

TURN_S = 0.05
"""How long what was said may wait before it is handed over."""
SHORT_TURN_S = 0.003
"""After a turn that moved something: without it, messages would be as small as what is said while one is sent, and the sender
would hardly let the training run."""
ADOPT_FIRST_S = 5.0
ADOPT_EVERY_S = 60.0
UNREACHABLE_FINISH_S = 1.0
HELP_S = 1.0
STUCK_S = 0.5
"""How long the end of a process goes on with what dead processes left, and how long while nothing of it moves."""
IDLE_S = 10.0
"""A thread that has had nothing to do for so long ends; the next run starts another."""
MAX_ENDED = 200
"""Ended runs that wait here for being stored; further ones wait as folders, until there is room to adopt them. Fewer where the
process may not open many files: each keeps one open, and the training needs them, too."""
MAX_REMEMBERED = 10_000


def most_ended() -> int:
    """How many ended runs may keep their files open here."""
    return min(MAX_ENDED, files.most_open() // 8)


class Sender(threading.Thread):
    """It never raises and never touches the calling threads except through the spool."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="argus-sender", daemon=True)
        self._gate = threading.RLock()
        """Of what other threads change, too. Reentrant: a signal may end the process in the middle of what it guards."""
        self._arriving: deque[Producer] = deque()
        """Producers that this thread has not seen yet."""
        self._ending = False
        """True: it takes no more producers, and answers no more questions."""
        self._settings = settings
        self._transport: Transport | None = None
        self._producers: dict[str, Producer] = {}
        self._orphans: list[Orphan] = []
        self._parked: dict[str, int] = {}
        """Ended producers whose folders wait outside, with how many of their events Argus does not have."""
        self._flushes: deque[_Flush] = deque()
        self._batch_ids: dict[str, None] = {}
        """The newest runs of this process: what their forked children left in the spool is ours to wait for."""
        self._deadline: float | None = None
        self._finished_at = self._help_until = self._stuck_at = 0.0
        self._helped = (0, 0)
        self._next_adoption = time.monotonic() + ADOPT_FIRST_S
        self._busy_at = time.monotonic()

    def take(self, producer: Producer) -> bool:
        """What `producer` writes is sent from now on; or (False) this thread is about to end."""
        with self._gate:
            if not self._ending:
                self._arriving.append(producer)
            return not self._ending

    def make_room(self, producer: Producer) -> None:
        """An ended producer waits as a folder where too many wait already: however long a turn takes, few files stay open."""
        with self._gate:
            if len(self._arriving) <= most_ended() or producer.spool.holds_memory():
                return
            try:
                self._arriving.remove(producer)
            except ValueError:
                return  # it is being sent already
        self._park(producer)

    def finish(self, deadline: float) -> None:
        """The thread ends when everything is stored, and at `deadline` in any case. Does not wait for that."""
        now = time.monotonic()
        self._finished_at, self._next_adoption = now, 0.0
        self._deadline = now + (deadline - now) * 0.9

    def ask_for_flush(self) -> threading.Event:
        """Set once everything that was said before is stored."""
        asked = _Flush()
        with self._gate:
            if self._ending:  # only with everything stored
                asked.done.set()
            else:
                self._flushes.append(asked)
        return asked.done

    def name_what_is_left(self) -> None:
        """Call it when the thread has ended, or should have."""
        on_disk, in_memory = sum(self._parked.values()), 0
        try:
            for outbox in self._ours():
                left = outbox.left()
                on_disk, in_memory = on_disk + left[0], in_memory + left[1]
        except (OSError, RuntimeError, IndexError) as error:  # the thread did not end in time: it still works on them
            warn("left", f"how many events are not sent yet cannot be seen ({error!r:.100}); `argus sync` sends them")
            return
        if in_memory:
            warn("lost", f"{in_memory} events are lost: no disk has them, and this process ends")
        if on_disk:
            kept = f"{on_disk} events are not sent yet and stay in {self._settings.spool_dir}"
            warn("left", f"{kept}; the next run sends them, or `argus sync`")

    def abandon(self) -> None:
        """In a forked child: nothing of the parent's is held open."""
        for producer in [*self._producers.values(), *self._arriving]:
            with contextlib.suppress(Exception):
                producer.abandon()
        if self._transport is not None:
            self._transport.abandon()
        for orphan in self._orphans:
            with contextlib.suppress(OSError):
                os.close(orphan.lock_fd)

    # -- the thread ----------------------------------------------------------------------------------------------

    def run(self) -> None:
        courier: Courier | None = None
        try:
            if self._settings.url is not None:
                self._transport = open_transport(self._settings)
                courier = Courier(self._transport, self._settings.max_bytes)
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
        """One turn. True: there is nothing more to do, or no more time, and the thread may end."""
        now = time.monotonic()
        self._welcome(courier)
        if self._deadline is None:
            self._chores(now, courier)
        for producer in self._producers.values():
            if producer.ended and not producer.outbox.ended:
                producer.close_lanes()  # before its last messages are formed: they need not be remembered
        moved = False
        if courier is not None:
            moved = courier.turn()
        else:
            for producer in self._producers.values():
                producer.outbox.form(0)
                producer.outbox.tidy(self._settings.max_bytes)
        self._see_off(courier)
        self._answer_flushes()
        if self._may_end(courier):
            return True
        if courier is None or not courier.full:
            pause_s = TURN_S if self._deadline is None and not moved else SHORT_TURN_S
            if self._transport is not None:
                self._transport.idle(pause_s)
            else:
                time.sleep(pause_s)
        return False

    def _welcome(self, courier: Courier | None) -> None:
        """A run may have ended within its first moment; then its messages need not be remembered one by one."""
        while True:
            with self._gate:
                if not self._arriving or not (self._is_due(self._arriving[0]) or self._deadline is not None):
                    return
                producer = self._arriving.popleft()
            self._producers[producer.id] = producer
            self._remember(producer.batch_id)
            if courier is not None:
                courier.outboxes[producer.id] = producer.outbox

    def _park(self, producer: Producer) -> None:
        """The folder of an ended producer that nobody else works on waits for room."""
        producer.close_lanes()
        producer.outbox.form(0)
        left = sum(producer.outbox.left())
        self._remember(producer.batch_id)
        producer.let_go()
        if left:
            self._parked[producer.id] = left

    def _remember(self, batch_id: str) -> None:
        with self._gate:
            self._batch_ids[batch_id] = None
            if len(self._batch_ids) > MAX_REMEMBERED:
                del self._batch_ids[next(iter(self._batch_ids))]

    def _is_due(self, producer: Producer) -> bool:
        return producer.ended or time.monotonic() - producer.born_at >= TURN_S

    def _see_off(self, courier: Courier | None) -> None:
        """Ended producers are let go: with everything stored, or (too many of them, or nobody to send to) with the rest."""
        kept, most = 0, most_ended()
        for producer in [producer for producer in self._producers.values() if producer.ended]:
            outbox = producer.outbox
            if not outbox.ended:
                continue  # it ended within this turn
            if not outbox.is_empty():
                if outbox.holds_memory():
                    continue  # no disk has it yet
                kept += 1
                if courier is not None and kept <= most:
                    continue  # the oldest ones: they are nearly there
                outbox.tidy(self._settings.max_bytes)
                self._parked[producer.id] = sum(outbox.left())
            del self._producers[producer.id]
            if courier is not None:
                courier.outboxes.pop(producer.id, None)
            producer.let_go()
        for orphan in list(self._orphans):
            if courier is not None and orphan.outbox.is_empty():
                courier.outboxes.pop(orphan.outbox.producer_id, None)
                self._orphans.remove(orphan)
                orphan.release()

    def _may_end(self, courier: Courier | None) -> bool:
        now = time.monotonic()
        if self._deadline is None:
            return self._may_rest(now)
        if courier is None or self._transport is None or now >= self._deadline:
            return True
        connected = self._transport.connected()
        if connected and (self._next_adoption == 0.0 or self._has_room()):
            self._next_adoption = now + ADOPT_EVERY_S
            self._adopt(courier)  # children of our runs that ended before could send everything
        for outbox in (ours := list(self._ours())):
            outbox.form(8)
        if not self._arriving and not self._parked and all(outbox.is_empty() for outbox in ours):
            return not (connected and self._helps(now))
        return not connected and now - self._finished_at >= UNREACHABLE_FINISH_S

    def _helps(self, now: float) -> bool:
        """Whether it is worth a moment more to send what dead processes left: scripts that are all short would never get to it."""
        left = (len(self._orphans), sum(orphan.outbox.n_stored for orphan in self._orphans))
        if self._help_until == 0.0:
            self._help_until = now + HELP_S
        if left != self._helped:
            self._helped, self._stuck_at = left, now + STUCK_S
        return bool(self._orphans) and now < min(self._help_until, self._stuck_at)

    def _may_rest(self, now: float) -> bool:
        if self._producers or self._orphans or self._flushes or self._parked:
            self._busy_at = now
        if now - self._busy_at < IDLE_S:
            return False
        with self._gate:
            if self._arriving or self._flushes or self._deadline is not None:
                return False
            self._ending = True
        return True

    def _ours(self) -> Iterator[Outbox]:
        """What our runs said that Argus does not have yet: here, in processes that they forked, and in parked folders."""
        for producer in [*self._producers.values(), *self._arriving]:
            yield producer.outbox
        for orphan in list(self._orphans):
            if orphan.outbox.batch_id in self._batch_ids:
                yield orphan.outbox

    def _answer_flushes(self) -> None:
        if not self._flushes:
            return
        ours = {outbox.producer_id: outbox for outbox in self._ours()}
        for asked in list(self._flushes):
            if asked.wanted is None:
                try:
                    asked.wanted = {name: outbox.written() for name, outbox in ours.items()}
                except OSError:
                    continue
                asked.wanted |= dict.fromkeys(self._parked)
            # By id: while we wait, a producer may be parked, and its folder adopted with another outbox.
            asked.wanted = {
                name: until for name, until in asked.wanted.items() if self._lacks(ours.get(name), name, until)
            }
            if not asked.wanted:
                self._flushes.remove(asked)
                asked.done.set()

    def _lacks(self, outbox: Outbox | None, producer_id: str, until: dict[SpoolClass, int] | None) -> bool:
        """Whether something of that producer is not stored. until: as in `_Flush.wanted`. outbox: None where it was let go."""
        if outbox is None:
            return producer_id in self._parked
        return not (outbox.is_empty() if until is None else outbox.has_stored(until))

    def _chores(self, now: float, courier: Courier | None) -> None:
        connected = courier is not None and self._transport is not None and self._transport.connected()
        for producer in list(self._producers.values()):
            if not producer.ended:
                producer.chores(now, self._transport if connected else None)
        if courier is not None and connected and (now >= self._next_adoption or self._has_room()):
            self._next_adoption = now + ADOPT_EVERY_S
            self._adopt(courier)

    def _has_room(self) -> bool:
        """Whether folders wait outside that could be carried now."""
        return bool(self._parked) and len(self._producers) + len(self._orphans) < most_ended() / 2

    def _adopt(self, courier: Courier) -> None:
        parked = list(self._parked)
        found = orphans(self._settings.spool_dir, self._settings, self._transport, at_most=most_ended())
        for orphan in found:
            self._parked.pop(orphan.outbox.producer_id, None)
            self._orphans.append(orphan)
            courier.outboxes[orphan.outbox.producer_id] = orphan.outbox
        if not found:
            for producer_id in parked:
                self._parked.pop(producer_id, None)  # somebody else carries them

    def _end(self) -> None:
        for orphan in self._orphans:
            with contextlib.suppress(Exception):
                orphan.release()
        for producer in [*self._producers.values(), *self._arriving]:
            with contextlib.suppress(Exception):
                producer.close_lanes()
                producer.outbox.form(0)
                producer.outbox.tidy(self._settings.max_bytes)
            with contextlib.suppress(Exception):
                producer.let_go()
        folders.remove_spares()
        if self._transport is not None:
            self._transport.close()


class _Flush:
    """A question whether everything is stored.

    wanted: by producer, up to which seqs something is missing (None: all that its folder holds); None: not looked yet.
    """

    def __init__(self) -> None:
        self.done = threading.Event()
        self.wanted: dict[str, dict[SpoolClass, int] | None] | None = None
