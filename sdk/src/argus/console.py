"""What the script prints, as log lines: progress bars collapsed, long lines cut, torrents capped and counted."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

from argus import values

KEPT_CHARS = values.MAX_LINE_BYTES
LINES_PER_S = 1_000
BURST = 5_000
FRAME_EVERY_S = 1.0


class LineMaker:
    """Turns pieces of output into lines. Carriage-return frames: at most the last state of each second is kept.

    say(line, skipped): `skipped` lines before this one were left out by the rate cap. line None: and none came behind them.
    """

    def __init__(self, say: Callable[[str | None, int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._parts: list[str] = []
        self._length = 0
        self._cut = 0
        self._overwrite = False
        """A carriage return stood at the end: what follows replaces the line, unless it is the line break."""
        self._said = False
        """The frame that stands there was said already."""
        self._framed_at = -FRAME_EVERY_S
        self._budget, self._budget_at = float(BURST), clock()
        self._skipped = 0

    def feed(self, text: str) -> None:
        at, end = 0, len(text)
        while at < end:
            line_end = text.find("\n", at)
            stop = end if line_end < 0 else line_end
            self._feed_line(text, at, stop)
            if line_end < 0:
                return
            self._finish_line()
            at = line_end + 1

    def flush(self) -> None:
        """What stands there without a line break is a line, and what was left out last is said, too."""
        if self._length:
            self._finish_line()
        if self._skipped:
            skipped, self._skipped = self._skipped, 0
            self._say(None, skipped)

    def _feed_line(self, text: str, at: int, stop: int) -> None:
        last = text.rfind("\r", at, stop)
        if last < 0:
            return self._add(text, at, stop)
        before = text.rfind("\r", at, last)
        if before >= 0:  # of several frames in one piece only the last whole one can be the state of this second
            self._clear()
        self._add(text, max(before + 1, at), last)
        now = self._clock()
        if self._length and not self._said and now - self._framed_at >= FRAME_EVERY_S:
            self._framed_at, self._said = now, True
            self._emit()
        self._overwrite = True
        return self._add(text, last + 1, stop)

    def _add(self, text: str, at: int, stop: int) -> None:
        if at >= stop:
            return
        if self._overwrite:
            self._clear()
        room = max(KEPT_CHARS - self._length, 0)
        if stop - at > room:
            self._cut += stop - at - room
            stop = at + room
        if stop > at:
            self._parts.append(text[at:stop])
            self._length += stop - at

    def _finish_line(self) -> None:
        if not self._said:
            self._emit()
        self._clear()

    def _clear(self) -> None:
        self._parts, self._length, self._cut = [], 0, 0
        self._overwrite = self._said = False

    def _emit(self) -> None:
        now = self._clock()
        self._budget = min(self._budget + (now - self._budget_at) * LINES_PER_S, float(BURST))
        self._budget_at = now
        if self._budget < 1:
            self._skipped += 1
            return
        self._budget -= 1
        line = "".join(self._parts)
        if self._cut:
            line = f"{line[: KEPT_CHARS - 64]} …[{self._cut + 64} characters cut]"
        skipped, self._skipped = self._skipped, 0
        self._say(values.line(line), skipped)


class Tee:
    """Stands in for `sys.stdout` or `sys.stderr`: everything goes where it went before, and to the log as well."""

    def __init__(self, original: TextIO, maker: LineMaker) -> None:
        self.argus_original = original
        self._maker: LineMaker | None = maker
        self._inside = False
        """What is printed while a line is recorded is no line itself."""
        self._gate = threading.RLock()
        """Threads print, too. Reentrant: a signal's handler may print."""

    def write(self, text: str) -> int:
        written = self.argus_original.write(text)
        if self._maker is not None:
            with self._gate:
                self._record(text, self._maker)
        return written

    def _record(self, text: str, maker: LineMaker) -> None:
        if self._inside:
            return
        self._inside = True
        try:
            maker.feed(text)
        except Exception:  # noqa: S110  printing must not fail because of us
            pass
        finally:
            self._inside = False

    def stop(self) -> None:
        """What is printed from now on is no line of ours."""
        with self._gate:
            maker, self._maker = self._maker, None
            if maker is not None:
                maker.flush()

    def forget_after_fork(self) -> None:
        """In the child: a thread that is not there does not hold it up."""
        self._gate = threading.RLock()
        self._inside = False

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.argus_original, name)


class Capture:
    """stdout and stderr of this process go to `say(stream, line, skipped)` as well, until `stop`."""

    def __init__(self, say: Callable[[str, str | None, int], None]) -> None:
        self._tees: dict[str, Tee] = {}
        for name in ("stdout", "stderr"):
            original = getattr(sys, name)
            if original is not None:
                maker = LineMaker(lambda line, skipped, name=name: say(name, line, skipped))
                self._tees[name] = Tee(original, maker)
                setattr(sys, name, self._tees[name])

    def forget_after_fork(self) -> None:
        for tee in self._tees.values():
            tee.forget_after_fork()

    def stop(self) -> None:
        for name, tee in self._tees.items():
            tee.stop()
            if getattr(sys, name) is tee:
                setattr(sys, name, tee.argus_original)
