"""Running servers, each a child process that ends with us: for tests, and for whoever needs one without the whole stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg

from argus_local.errors import ServerDidNotStart
from argus_local.nats import NatsSettings
from argus_local.ports import accepts_connections
from argus_local.postgres import PostgresCluster
from argus_local.s3 import S3Settings


class RunningServer:
    """One child process with its log file. `is_ready` says when it serves."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        log_path: Path,
        is_ready: Callable[[], bool],
        *,
        env: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name, self.argv, self.log_path, self.is_ready = name, argv, log_path, is_ready
        self.env = dict(env or {})
        self.stop_signal = stop_signal
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs now; ProcessLookupError when none does."""
        if self.process is None or self.process.poll() is not None:
            raise ProcessLookupError(self.name)
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, within: float = 60.0) -> None:
        """The server answers; ServerDidNotStart (with the end of its log) otherwise. Starting a running one does nothing."""
        if not self.is_running:
            self.launch()
        self.wait_ready(within)

    def launch(self) -> None:
        """The process exists; whether it serves, `wait_ready` knows."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,  # Ctrl-C in the terminal is ours to handle
            )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.env}

    def wait_ready(self, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not (self.is_running and self.is_ready()):
            if not self.is_running:
                code = self.process.returncode if self.process else None
                raise ServerDidNotStart(self.name, f"it ended with code {code}", self.log_tail())
            if time.monotonic() > deadline:
                raise ServerDidNotStart(self.name, f"no answer within {within:.0f} s", self.log_tail())
            time.sleep(0.02)

    def log_tail(self, lines: int = 15) -> str:
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, within: float = 15.0) -> int | None:
        """It has ended, by its stop signal or else by force; answers its exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def kill(self) -> None:
        """It has ended without a chance to say anything (SIGKILL)."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class PostgresServer(RunningServer):
    """A cluster of its own; `cluster.admin_url` connects as superuser."""

    def __init__(self, cluster: PostgresCluster, log_path: Path | None = None) -> None:
        self.cluster = cluster
        super().__init__(
            "postgres",
            [sys.executable, "-m", "argus_local.launch", "postgres", str(cluster.folder)],
            log_path or cluster.folder.with_suffix(".log"),
            self._answers,
            stop_signal=signal.SIGINT,
        )

    @property
    def admin_url(self) -> str:
        return self.cluster.admin_url

    def launch(self) -> None:
        self.cluster.initialise()
        super().launch()

    def kill(self) -> None:
        """As a power cut for the processes: the children are gone too, so that the port and the memory are free again."""
        if self.process is not None and self.process.poll() is None:
            import psutil

            postmaster = psutil.Process(self.process.pid)
            postmaster.suspend()
            while postmaster.status() not in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}:
                time.sleep(0.001)  # a session that it still forks would outlive it unseen, and keep the next start out
            children = postmaster.children(recursive=True)
            super().kill()
            _gone, alive = psutil.wait_procs(children, timeout=10)  # they notice the postmaster's death by themselves
            for child in alive:
                child.kill()
            psutil.wait_procs(alive)

    def _answers(self) -> bool:
        if not accepts_connections(self.cluster.port):
            return False
        try:
            psycopg.connect(self.admin_url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True


class NatsServer(RunningServer):
    """A nats-server of its own; `settings` has its URL, users and issuer seed."""

    def __init__(self, settings: NatsSettings, log_path: Path | None = None) -> None:
        self.settings = settings
        super().__init__(
            "nats",
            [sys.executable, "-m", "argus_local.launch", "run", *settings.argv()],
            log_path or settings.folder / "nats.log",
            self._answers,
        )

    def launch(self) -> None:
        self.settings.write()
        super().launch()

    def _answers(self) -> bool:
        return answers_ok(f"http://127.0.0.1:{self.settings.monitor_port}/healthz")


class S3Server(RunningServer):
    """An S3 server of its own."""

    def __init__(self, settings: S3Settings, log_path: Path | None = None) -> None:
        self.settings = settings
        super().__init__(
            "s3",
            [sys.executable, "-m", "argus_local.launch", "run", *settings.argv()],
            log_path or settings.folder.with_suffix(".log"),
            lambda: accepts_connections(settings.port),
            env=settings.process_env(),
        )

    def launch(self) -> None:
        self.settings.prepare()
        super().launch()


def answers_ok(url: str, timeout: float = 1.0) -> bool:
    """True when a GET of `url` (http, of this machine) answers 200."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        with connection.getresponse() as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
