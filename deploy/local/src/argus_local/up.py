"""`argus-local up`: from nothing to a page that one can sign in to, and back to nothing on Ctrl-C."""

from __future__ import annotations

import errno
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from argus_local.credentials import Credentials, ensure_admin
from argus_local.database import create_database
from argus_local.demo import Demo
from argus_local.disk import FULL, DiskWatch, make_home, require_space
from argus_local.errors import AlreadyRunning, DiskFull, LocalStackError, PortTaken, ServerDidNotStart
from argus_local.lock import HomeLock
from argus_local.mend import BrokerWatch
from argus_local.ports import port_is_free
from argus_local.programs import Program, Stack
from argus_local.settings import DEFAULT_HOME, StackSettings
from argus_local.state import StackState, load_state, save_state
from argus_local.supervision import Supervisor, tail

Say = Callable[[str], None]


class StopRequested(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal: not an error."""


class Up:
    """One life of a stack."""

    def __init__(self, settings: StackSettings, say: Say) -> None:
        self.settings, self.say = settings, say
        self.lock = HomeLock(settings.home)
        self.demo = Demo(settings)
        self.supervisor: Supervisor | None = None
        self.began = time.monotonic()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """The stack is up until someone asks to stop; then everything has ended. LocalStackError says what prevented it."""
        try:
            self._prepare_home()
            self._handle_signals()
            try:
                stack = self._bring_up()
                credentials = ensure_admin(stack)
                self._greet(credentials)
                on_ready()
                self._watch(stack)
            except StopRequested:
                self.say("stopping …")
            finally:
                self._tear_down()
        except OSError as problem:
            if problem.errno in FULL:
                raise DiskFull(str(self.settings.home), None, self.settings.min_free_bytes) from problem
            if problem.errno in {errno.EACCES, errno.EROFS, errno.ENOTDIR}:
                raise LocalStackError(f"ARGUS_HOME={self.settings.home} cannot be used: {problem}") from problem
            raise

    def _prepare_home(self) -> None:
        settings = self.settings
        make_home(settings.home)
        if not self.lock.acquire():
            raise AlreadyRunning(str(settings.home), self.lock.holder() or 0, None)
        settings.logs.mkdir(exist_ok=True, mode=0o700)
        settings.run.mkdir(exist_ok=True, mode=0o700)
        require_space(settings.home, settings.min_free_bytes)

    def _handle_signals(self) -> None:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            for later in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(later, signal.SIG_IGN)  # one is enough: stopping must not be interrupted half way
            raise StopRequested

        for asked in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(asked, stop)

    def _bring_up(self) -> Stack:
        settings = self.settings
        state = load_state(settings.home) or StackState()
        if state.ports and Supervisor(settings, state).running_pid():
            self.say("found the supervisor of an earlier start whose foreground was killed: it is stopped first")
            Supervisor(settings, state).stop()
        if not port_is_free(settings.port, settings.host):
            raise PortTaken(settings.port)
        changed = state.choose_ports(avoid={settings.port})
        save_state(settings.home, state)
        if changed:
            self.say(f"internal ports were taken and have changed: {', '.join(changed)}")
        stack = Stack(settings, state)
        if not settings.database_url:
            stack.postgres.initialise()
        if not settings.nats_url:
            stack.nats.write()
        if not settings.s3_endpoint_url:
            stack.s3.prepare()
        self.supervisor = Supervisor(settings, state)
        self._start_everything(stack)
        return stack

    def _start_everything(self, stack: Stack) -> None:
        assert self.supervisor is not None
        stack.write_plan()
        programs = stack.programs()
        servers = [program for program in programs if program.is_server]
        services = [program for program in programs if not program.is_server]
        self.supervisor.start(programs)
        deadline = time.monotonic() + self.settings.start_timeout_s
        for program in servers:
            self.supervisor.launch(program.name)
        self._await(servers, deadline)
        create_database(stack.admin_url, stack.database, stack.state.role_passwords)
        for program in services:
            self.supervisor.launch(program.name)
        self._await(services, deadline)

    def _await(self, programs: Sequence[Program], deadline: float) -> None:
        """All are ready; ServerDidNotStart names the first that is not at the deadline."""
        waiting = list(programs)
        while True:
            waiting = [program for program in waiting if not program.is_ready()]
            if not waiting:
                return
            if time.monotonic() > deadline:
                late = waiting[0]
                require_space(self.settings.home, self.settings.min_free_bytes // 8)
                raise ServerDidNotStart(
                    late.name,
                    f"not ready after {self.settings.start_timeout_s:.0f} s",
                    tail(self.settings.logs / f"{late.name}.log"),
                )
            time.sleep(0.1)

    def _greet(self, credentials: Credentials | None) -> None:
        seconds, home = time.monotonic() - self.began, self.settings.home
        sign_in = "  sign in:      credentials.json is gone; `argus-local reset-admin` makes a new password"
        if credentials:
            sign_in = f"  sign in as:   {credentials.username}\n  password:     {credentials.password}"
        self.say(
            f"""
  Argus is up ({seconds:.0f} s):  {self.settings.url}
{sign_in}

  for scripts:  {self.settings.credentials_path} (url, username, password, token)
  data, logs:   {home}
  stop:         Ctrl-C here, or `make down`{f" ARGUS_HOME={home}" if home != DEFAULT_HOME else ""}
"""
        )
        if credentials and self.demo.is_wanted():
            trouble = self.demo.start(credentials)
            self.say(
                f"demo: {trouble}"
                if trouble
                else "demo: training on handwritten digits now, watch it live at the address above"
            )

    def _watch(self, stack: Stack) -> None:
        """Returns never; a killed supervisor is started again with all that it had."""
        assert self.supervisor is not None
        broker = None if self.settings.nats_url else BrokerWatch(stack.nats)
        disks = DiskWatch(self.settings.data_folders)
        while True:
            time.sleep(0.5)
            for news in disks.news():
                self.say(news)
            if news := self.demo.news():
                self.say(news)
            process = self.supervisor.process
            if process is not None and process.poll() is not None:
                self.say(f"the supervisor has ended with code {process.returncode}: starting it again")
                self._restart(stack)
            elif broker is not None and broker.needs_restart():
                self.say("the broker refuses events since its disk was full, and there is space: it is started again")
                self.supervisor.relaunch("nats")

    def _restart(self, stack: Stack) -> None:
        try:
            self._start_everything(stack)
        except (ServerDidNotStart, OSError) as problem:
            self.say(f"{problem}; trying again")  # the next round of _watch does, as long as it takes
            if self.supervisor is not None:
                self.supervisor.stop()

    def _tear_down(self) -> None:
        self.demo.stop()
        if self.supervisor is not None:
            self.supervisor.stop()
        self.lock.release()


def stop_stack(settings: StackSettings, within: float = 150.0) -> bool:
    """No process of this ARGUS_HOME runs any more; False when none ran."""
    import os

    import psutil

    state = load_state(settings.home)
    holder = HomeLock(settings.home).holder()
    if holder is not None:
        os.kill(holder, signal.SIGTERM)
        deadline = time.monotonic() + within
        while HomeLock(settings.home).holder() == holder and psutil.pid_exists(holder):
            if time.monotonic() > deadline:
                raise LocalStackError(f"the stack (pid {holder}) did not stop within {within:.0f} s")
            time.sleep(0.1)
    supervisor = Supervisor(settings, state) if state else None
    if supervisor is not None and supervisor.running_pid():  # its `up` was killed
        supervisor.stop()
        return True
    return holder is not None


def describe(settings: StackSettings) -> list[dict[str, Any]]:
    """Each program with name, state, pid, seconds up and whether it is ready; empty when the stack is down."""
    state = load_state(settings.home)
    if state is None:
        return []
    supervisor = Supervisor(settings, state)
    if supervisor.running_pid() is None:
        return []
    programs = {program.name: program for program in Stack(settings, state).programs()}
    return [
        {
            "name": known["name"],
            "state": known["statename"],
            "pid": known["pid"],
            "up_seconds": max(0, known["now"] - known["start"]) if known["pid"] else 0,
            "ready": known["name"] in programs and programs[known["name"]].is_ready(),
        }
        for known in sorted(supervisor.states(), key=lambda entry: list(programs).index(entry["name"]))
    ]


def follow_logs(settings: StackSettings, names: Sequence[str], lines: int, follow: bool) -> int:
    """The last lines of the logs, each after its file's name, and (follow) whatever comes; the exit code of `tail`."""
    wanted = [settings.logs / f"{name}.log" for name in names] or sorted(settings.logs.glob("*.log"))
    missing = [path for path in wanted if not path.exists()]
    if missing or not wanted:
        raise LocalStackError(f"no log at {missing[0] if missing else settings.logs}")
    return subprocess.call(["tail", "-n", str(lines), *(["-F"] if follow else []), *map(str, wanted)])
