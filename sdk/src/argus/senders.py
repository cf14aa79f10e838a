"""The senders of this process: one for each destination, shared by all of its runs.

A run costs no thread and no connection of its own, and nobody waits for the network when it ends. What is not stored by then is
carried on while the process lives; at its end `finish_all` waits for the rest, for 3 s at most.
"""

from __future__ import annotations

import threading
import time

from argus import folders
from argus.producer import Producer
from argus.sender import Sender
from argus.settings import Settings
from argus.trouble import warn

FINISH_S = 2.8
"""The promise is 3 s, for a whole process."""

_gate = threading.RLock()
"""Reentrant: a signal may end the process in the middle of what it guards."""
_senders: dict[Settings, Sender] = {}


def carry(producer: Producer, settings: Settings) -> None:
    """What `producer` writes is sent from now on, by the thread of its destination."""
    with _gate:
        sender = _senders.get(settings)
        if sender is not None and sender.take(producer):
            return
        sender = Sender(settings)
        sender.take(producer)
        try:
            sender.start()
        except RuntimeError as error:  # the interpreter is ending, or there are too many threads
            warn("sender", f"cannot send: {error}; everything stays in {settings.spool_dir}")
            return
        _senders[settings] = sender


def end(producer: Producer, settings: Settings) -> None:
    """The run of `producer` has said its last: nothing is recorded any more, and few files stay open for it."""
    producer.close_files()
    producer.ended = True
    with _gate:
        sender = _senders.get(settings)
    if sender is not None:
        sender.make_room(producer)


def flush(timeout_s: float) -> bool:
    """Whether everything that was said before this call is stored, after `timeout_s` at the latest."""
    deadline = time.monotonic() + timeout_s
    with _gate:
        asked = [sender.ask_for_flush() for sender in _senders.values()]
    return all(flushed.wait(max(deadline - time.monotonic(), 0)) for flushed in asked)


def finish_all(deadline: float) -> None:
    """The process ends: everything is stored, or it is `deadline` (monotonic); the rest stays in the spool, and is named."""
    with _gate:
        ending = list(_senders.values())
        _senders.clear()
    for sender in ending:
        sender.finish(deadline)
    for sender in ending:
        sender.join(max(deadline - time.monotonic(), 0) + 0.2)
        sender.name_what_is_left()
    folders.remove_spares()


def forget_after_fork() -> None:
    """In the child: the parent's connections and folders are not held open from here; the first run starts a new thread."""
    global _gate  # noqa: PLW0603
    _gate = threading.RLock()
    for sender in _senders.values():
        sender.abandon()
    _senders.clear()
    folders.forget_after_fork()
