"""The whole embedded stack, started as a user starts it: `argus-local up`, in a folder and on ports of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Container, Mapping
from pathlib import Path

import httpx
import psutil
import psycopg

from argus_local.credentials import Credentials
from argus_local.database import url_for
from argus_local.ports import free_port
from argus_local.programs import Stack
from argus_local.settings import StackSettings
from argus_local.state import StackState, load_state
from argus_local.supervision import Supervisor
from argus_testkit.waiting import eventually

START_SECONDS = 120.0


class LocalStack:
    """A running Argus. Programs: postgres, nats, s3, ingest, query, deleter, gateway."""

    def __init__(self, home: Path, env: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.port = free_port()
        self.output = home.with_suffix(".out")
        foreign = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ARGUS_") or name == "ARGUS_BROWSER"
        }
        self.env = {**foreign, "ARGUS_HOME": str(home), "ARGUS_PORT": str(self.port), "DEMO": "0", **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, within: float = START_SECONDS) -> None:
        """It is up and `credentials` work; the end of its output is in the error otherwise."""
        ready = self.home.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "argus_local", "up", "--foreground", "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self.env,
                start_new_session=True,
            )
        process = self.process
        eventually(lambda: ready.exists() or process.poll() is not None, within, "the stack is up")
        if not ready.exists():
            raise RuntimeError(
                f"argus-local up ended with code {process.returncode}:\n{self.output.read_text()[-4_000:]}"
            )

    def __enter__(self) -> LocalStack:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process:
            self.stop()

    def stop(self, within: float = 60.0, with_signal: signal.Signals = signal.SIGINT) -> int:
        """Everything has ended, as after Ctrl-C; answers the exit code of `up`."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
            self.process.wait(within)
        return self.process.returncode

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Credentials:
        """Of the first admin."""
        return Credentials(**json.loads((self.home / "credentials.json").read_text()))

    @property
    def state(self) -> StackState:
        """The internal ports and secrets."""
        state = load_state(self.home)
        assert state is not None
        return state

    @property
    def settings(self) -> StackSettings:
        """What it was told; servers of somebody else's included."""
        foreign = {
            name: self.env.get(f"ARGUS_{name.upper()}", "") for name in ("nats_url", "database_url", "s3_endpoint_url")
        }
        return StackSettings(home=self.home, port=self.port, **foreign)

    @property
    def facts(self) -> Stack:
        """URLs of everything inside: `admin_url`, `role_url(role)`, `nats`, `s3`."""
        return Stack(self.settings, self.state)

    def client(self) -> httpx.Client:
        """An HTTP client that is signed in by the admin's token; close it."""
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.credentials.token}"},
            timeout=30,
            verify=False,  # plain HTTP: loading certificates would take longer than the request
        )

    def database(self) -> psycopg.Connection:
        """An autocommit connection to the stack's database, as its superuser; close it."""
        whole = self.facts
        return psycopg.connect(url_for(whole.admin_url, database=whole.database), autocommit=True)

    def environment_of(self, name: str) -> dict[str, str]:
        """What the program `name` is told: to run another command of the same service."""
        whole = self.facts
        return next(whole.environment_of(program) for program in whole.programs() if program.name == name)

    def status(self) -> dict[str, dict[str, object]]:
        """By program: state, pid, up_seconds, ready."""
        done = subprocess.run(
            [sys.executable, "-m", "argus_local", "status", "--json"],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        return {known["name"]: known for known in json.loads(done.stdout or "[]")}

    @property
    def supervisor(self) -> Supervisor:
        """For questions to the stack's supervisord."""
        return Supervisor(self.settings, self.state)

    def pid(self, program: str) -> int:
        """Of the program's process; ProcessLookupError while there is none (it is being started again)."""
        pid = {known["name"]: int(known["pid"]) for known in self.supervisor.states()}[program]
        if not pid:
            raise ProcessLookupError(program)
        return pid

    def send_signal(self, program: str, number: signal.Signals) -> None:
        """SIGSTOP freezes it, SIGCONT wakes it up."""
        os.kill(self.pid(program), number)

    def kill(self, program: str) -> None:
        """SIGKILL; the supervisor starts it again."""
        psutil.Process(eventually(lambda: self.pid(program), 60, f"{program} has a process")).kill()

    def put_down(self, program: str, with_signal: signal.Signals = signal.SIGKILL) -> None:
        """It has ended by this signal, and the supervisor leaves it so until `put_up`."""
        process = psutil.Process(self.pid(program))
        family = [process, *process.children(recursive=True)]
        process.suspend()  # the supervisor's own, kinder signal waits behind ours
        self.supervisor.ask("stopProcess", program, False)
        process.send_signal(with_signal)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
        _gone, alive = psutil.wait_procs(family, timeout=30)
        assert not alive, f"{program} does not end"

    def put_up(self, program: str) -> None:
        """It is started; `wait_ready` waits until it serves."""
        eventually(lambda: not self._is_stopping(program), 60, f"{program} is down")
        self.supervisor.launch(program)

    def _is_stopping(self, program: str) -> bool:
        states = {known["name"]: known["statename"] for known in self.supervisor.states()}
        return states[program] == "STOPPING"

    def wait_ready(self, within: float = 60.0, *, but_for: Container[str] = ()) -> None:
        """Every program is ready (again), but for those that the test has put out of action."""
        programs = [program for program in self.facts.programs() if program.name not in but_for]
        eventually(
            lambda: all(program.is_ready() for program in programs), within, "every program of the stack is ready"
        )

    def log(self, program: str) -> str:
        path = self.home / "logs" / f"{program}.log"
        return path.read_text(errors="replace") if path.exists() else ""
