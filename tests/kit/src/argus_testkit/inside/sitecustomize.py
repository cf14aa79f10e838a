"""Python runs this file at its start where this folder is on PYTHONPATH: what a test does inside of a real process.

No line of the product knows of it. `argus_testkit.failpoints` sets the variables.

ARGUS_TEST_FAILPOINTS: a folder. Its file `points` names functions (`module:qualname`, one a line). While its file `armed`
says `module:qualname:before|after:n`, the n-th call of that function from now on, in one process, is that process' end by
SIGKILL; `armed` is called `fired` then. A function that does not exist ends the process with status 97, and with a line in
the file `missing`.

ARGUS_TEST_CLOCK: a file with a number of seconds (read again every 50 ms): by so much this process' clock is wrong.
"""

from __future__ import annotations

import ctypes
import datetime
import functools
import gc
import importlib.abc
import importlib.machinery
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any


class Failpoints(importlib.abc.MetaPathFinder):
    """Wraps the named functions as their modules are imported."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.armed = folder, str(folder / "armed")
        self.counted: dict[str, int] = {}
        self.wanted: dict[str, list[str]] = {}
        for line in (folder / "points").read_text().split():
            module, _, qualname = line.partition(":")
            self.wanted.setdefault(module, []).append(qualname)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self.wanted:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_and_wrap(module: ModuleType) -> None:
            execute(module)
            for qualname in self.wanted[fullname]:
                self.wrap(module, qualname)

        spec.loader.exec_module = execute_and_wrap
        return spec

    def wrap(self, module: ModuleType, qualname: str) -> None:
        point, (*path, name) = f"{module.__name__}:{qualname}", qualname.split(".")
        owner: Any = module
        try:
            for part in path:
                owner = getattr(owner, part)
            found = owner.__dict__[name]
        except (AttributeError, KeyError):
            found = None
        if not inspect.isfunction(found) or inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
            with (self.folder / "missing").open("a") as missing:
                missing.write(f"{point}\n")
            sys.stderr.write(f"failpoint {point}: there is no such function; was it renamed?\n")
            sys.stderr.flush()
            os._exit(97)
        setattr(owner, name, self.wrapped(point, found))

    def wrapped(self, point: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                self.passed(point, "before")
                answer = await function(*args, **kwargs)
                self.passed(point, "after")
                return answer

            return later

        @functools.wraps(function)
        def at_once(*args: Any, **kwargs: Any) -> Any:
            self.passed(point, "before")
            answer = function(*args, **kwargs)
            self.passed(point, "after")
            return answer

        return at_once

    def passed(self, point: str, when: str) -> None:
        try:
            descriptor = os.open(self.armed, os.O_RDONLY)
        except OSError:
            return
        armed = os.read(descriptor, 1000).decode()
        os.close(descriptor)
        place, _, number = armed.rpartition(":")
        if place != f"{point}:{when}":
            return
        self.counted[armed] = self.counted.get(armed, 0) + 1
        if self.counted[armed] != int(number):
            return
        try:
            Path(self.armed).rename(self.folder / "fired")
        except FileNotFoundError:
            return  # another process has come first
        os.kill(os.getpid(), signal.SIGKILL)


class WrongClock:
    """The wall clock of this process, wrong by what a file says. The monotonic clock goes on as it is."""

    def __init__(self, file: Path) -> None:
        self.file, self.offset, self.read_at = file, 0.0, -1.0
        self.true_time, self.true_time_ns = time.time, time.time_ns

    def install(self) -> None:
        time.time = lambda: self.true_time() + self.now_wrong_by()
        time.time_ns = lambda: self.true_time_ns() + int(self.now_wrong_by() * 1e9)
        fields: dict[str, Any] = next(f for f in gc.get_referents(datetime.datetime.__dict__) if isinstance(f, dict))
        true_now = datetime.datetime.now

        def now(cls: type, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return true_now(tz) + datetime.timedelta(seconds=self.now_wrong_by())

        fields["now"] = classmethod(now)
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))

    def now_wrong_by(self) -> float:
        if (now := time.monotonic()) - self.read_at > 0.05:
            self.read_at = now
            self.offset = float(self.file.read_text() or 0)
        return self.offset


if folder := os.environ.get("ARGUS_TEST_FAILPOINTS"):
    sys.meta_path.insert(0, Failpoints(Path(folder)))
if clock := os.environ.get("ARGUS_TEST_CLOCK"):
    WrongClock(Path(clock)).install()
