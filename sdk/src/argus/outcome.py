"""How a run or a job ended, and why: read off an exception, an exit code or nothing."""

from __future__ import annotations

import traceback as tracebacks
from typing import Literal

from argus import values

OutcomeStatus = Literal["done", "failed", "aborted"]
STATUSES: tuple[OutcomeStatus, ...] = ("done", "failed", "aborted")
_CANCELLED = ("CancelledError", "Cancelled", "GreenletExit")
"""What asyncio, trio and gevent throw into those who are to stop."""


class Outcome:
    """What an exception (or none) says about how something ended."""

    __slots__ = ("exit_code", "reason", "status", "traceback")

    def __init__(
        self,
        status: OutcomeStatus,
        reason: str | None = None,
        traceback: str | None = None,
        exit_code: int | None = None,
    ) -> None:
        self.status: OutcomeStatus = status
        self.reason, self.traceback, self.exit_code = reason, traceback, exit_code


def outcome_of(error: BaseException | None) -> Outcome:
    """Clean exit and `sys.exit(0)`: done. Ctrl-C, a cancelled task, a generator closed early: aborted. `sys.exit(n)` and every other
    exception: failed."""
    if error is None:
        return Outcome("done")
    if isinstance(error, SystemExit):
        return outcome_of_exit(error.code)
    if isinstance(error, KeyboardInterrupt):
        return Outcome("aborted", "Ctrl-C", exit_code=130)
    name = type(error).__name__
    if isinstance(error, GeneratorExit) or (name in _CANCELLED and not isinstance(error, Exception)):
        return Outcome("aborted", "closed early" if isinstance(error, GeneratorExit) else "cancelled")
    try:
        text = f"{name}: {error}" if str(error) else name
    except Exception:
        text = name
    try:
        trace = "".join(tracebacks.format_exception(error))
    except Exception:
        trace = None
    return Outcome("failed", text, trace, 1)


def outcome_of_exit(code: object) -> Outcome:
    """How `sys.exit(code)` ends: None and 0 are done; a text is printed by Python and means 1."""
    if code is None or code == 0:
        return Outcome("done", exit_code=0)
    if isinstance(code, int):
        return Outcome("failed", f"sys.exit({code})", exit_code=int(code))
    return Outcome("failed", values.text(code), exit_code=1)
