"""How a process ends, noticed: exceptions that nobody caught, `sys.exit`, SIGTERM, the plain end of the script.

Installed once per process with the first run; every hook calls the one that stood there before.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
import weakref
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from argus import forks, interrupts, sampler, senders
from argus.outcome import Outcome, outcome_of, outcome_of_exit

if TYPE_CHECKING:
    from argus.run import Run

_live: weakref.WeakSet[Run] = weakref.WeakSet()
_installed = False
_uncaught: Outcome | None = None
_exit_called: tuple[Outcome, int] | None = None
"""The last `sys.exit` and how much had been said by then: whoever speaks on afterwards has caught it."""
_watched_child = 0
"""The process whose end `watch_child` watches."""
_previous_excepthook: Any = None
_previous_exit: Any = None
_previous_sigterm: Any = None


def watch(run: Run) -> None:
    """`run` is ended in the right way, however this process ends (but for kill -9)."""
    _live.add(run)
    _install()
    if (process := sys.modules.get("multiprocessing.process")) is not None and process.parent_process() is not None:
        watch_child()


def watch_child() -> None:
    """A child of multiprocessing that was forked leaves without `atexit`: its end is noticed all the same."""
    global _watched_child  # noqa: PLW0603
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None and _watched_child != os.getpid():
        _watched_child = os.getpid()
        util.Finalize(None, _at_child_end, exitpriority=10)


def forget(run: Run) -> None:
    _live.discard(run)


def _install() -> None:
    global _installed, _previous_excepthook, _previous_exit, _previous_sigterm  # noqa: PLW0603
    if _installed:
        return
    _installed = True
    atexit.register(_at_exit)
    _previous_excepthook, sys.excepthook = sys.excepthook, _on_uncaught
    _previous_exit, sys.exit = sys.exit, _on_sys_exit  # type: ignore[assignment]
    forks.install(_in_child)
    with contextlib.suppress(ValueError):  # not the main thread: signals are not ours to handle
        before = signal.getsignal(signal.SIGTERM)
        if before is not signal.SIG_IGN and before is not None:
            signal.signal(signal.SIGTERM, _on_sigterm)
            _previous_sigterm = before


def _on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    global _uncaught  # noqa: PLW0603
    with contextlib.suppress(Exception):
        if error.__traceback__ is None:
            error = error.with_traceback(trace)
        _uncaught = outcome_of(error)  # first of all: a second Ctrl-C may end what follows
    _previous_excepthook(kind, error, trace)
    if _uncaught is not None:
        with contextlib.suppress(Exception):
            end_process(_uncaught)
    if isinstance(error, KeyboardInterrupt):
        # Python forgets that it has to die of SIGINT when code was compiled meanwhile (imports do): remind it.
        with contextlib.suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102


def _on_sys_exit(code: Any = None, /) -> None:
    global _exit_called  # noqa: PLW0603
    if threading.current_thread() is threading.main_thread():
        _exit_called = (outcome_of_exit(code), _said())
    _previous_exit(code)


def _at_exit() -> None:
    outcome = _uncaught
    if outcome is None and _exit_called is not None and _exit_called[1] == _said():
        outcome = _exit_called[0]
    end_process(outcome or Outcome("done"))


def _at_child_end() -> None:
    end_process(outcome_of(sys.exc_info()[1]))  # what the child's function has raised is on its way through here


def end_process(outcome: Outcome) -> None:
    """Every run has ended so, and is stored as far as 3 s allow."""
    deadline = time.monotonic() + senders.FINISH_S
    _end_all(outcome, deadline)
    senders.finish_all(deadline)


def _said() -> int:
    return sum(run.said for run in _live)


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    if interrupts.are_held() or any(run.is_writing() for run in _live):
        # In the middle of our own write: come back in a moment instead of waiting for a lock that this thread holds.
        timer = threading.Timer(0.005, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
        return
    for run in list(_live):
        run.note_signal("SIGTERM")
    if callable(_previous_sigterm):
        _previous_sigterm(number, frame)  # it decides: it raises, exits, or lets the training end in its own time
        return
    end_process(Outcome("aborted", "SIGTERM", exit_code=143))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_all(outcome: Outcome, deadline: float | None = None) -> None:
    for run in list(_live):
        with contextlib.suppress(Exception):
            run.end(outcome, deadline)


def _in_child() -> None:
    global _uncaught, _exit_called  # noqa: PLW0603
    _uncaught = _exit_called = None
    interrupts.forget_after_fork()
    senders.forget_after_fork()
    sampler.forget_after_fork()
    for run in list(_live):
        with contextlib.suppress(Exception):
            run.become_child()
