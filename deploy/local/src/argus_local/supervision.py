"""The supervisor (supervisord) of one stack: its configuration, its process, and questions to it.

It restarts whatever ends, for ever. It is a session of its own, so that Ctrl-C reaches only `argus-local up`, which stops it in
order. When it is killed itself, the kernel ends its children (see orphans.py) and `up` starts it again.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import signal
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from argus_local.errors import ServerDidNotStart
from argus_local.programs import Program
from argus_local.settings import StackSettings
from argus_local.state import StackState

_USER = "argus"
_FOREVER = 1_000_000_000
_LOG_BYTES = "10MB"


class Supervisor:
    """supervisord of one ARGUS_HOME."""

    def __init__(self, settings: StackSettings, state: StackState) -> None:
        self.settings, self.state = settings, state
        self.pid_file = settings.run / "supervisord.pid"
        self.config_path = settings.home / "supervisord.conf"
        self.process: subprocess.Popen[bytes] | None = None

    def ask(self, method: str, *arguments: object) -> Any:
        """The answer of supervisord's own interface; OSError or xmlrpc.client.Error when it is not there or refuses."""
        port, password = self.state.ports["supervisor"], self.state.supervisor_password
        with xmlrpc.client.ServerProxy(f"http://{_USER}:{password}@127.0.0.1:{port}/RPC2") as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def running_pid(self) -> int | None:
        """The pid of this home's supervisord; None when it is gone (a stale pid file does not count)."""
        try:
            pid = int(self.pid_file.read_text())
            process = psutil.Process(pid)
            alive = process.status() != psutil.STATUS_ZOMBIE and str(self.config_path) in process.cmdline()
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if alive else None

    def start(self, programs: Sequence[Program], within: float = 60.0) -> None:
        """supervisord runs and answers; none of its programs runs yet."""
        self._write_config(programs)
        self.pid_file.unlink(missing_ok=True)
        log = self.settings.logs / "supervisord.out"
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "supervisor.supervisord",
                    "--nodaemon",
                    "--configuration",
                    str(self.config_path),
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "ARGUS_HOME": str(self.settings.home), "PYTHONWARNINGS": "ignore"},
                start_new_session=True,
                cwd=self.settings.home,  # its configuration has relative paths: supervisord expands % in them, some twice
            )
        deadline = time.monotonic() + within
        while True:
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                if self.ask("getState")["statename"] == "RUNNING":
                    return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise ServerDidNotStart("the supervisor", "it does not answer", tail(log))
            time.sleep(0.05)

    def launch(self, name: str) -> None:
        """The program is started (its readiness is another question); starting a running one does nothing."""
        try:
            self.ask("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise

    def relaunch(self, name: str) -> None:
        """The program is told to end, and started again when it has. A supervisor that does not answer is left alone."""
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self.ask("stopProcess", name, True)
        with contextlib.suppress(OSError, xmlrpc.client.Error):
            self.launch(name)

    def states(self) -> list[dict[str, Any]]:
        """What supervisord knows of each program: name, statename, pid, start (epoch seconds)."""
        return self.ask("getAllProcessInfo")

    def stop(self, within: float = 120.0) -> None:
        """All programs have ended, the last started first, and then supervisord; by force after `within` seconds."""
        pid = self.running_pid()
        if pid is None:
            return
        process = psutil.Process(pid)
        family = process.children(recursive=True)
        process.send_signal(signal.SIGTERM)
        try:
            self._wait(process, within)
        except psutil.TimeoutExpired:
            process.kill()
        _gone, alive = psutil.wait_procs(family, timeout=10)
        for stubborn in alive:
            stubborn.kill()
        self.pid_file.unlink(missing_ok=True)

    def _wait(self, process: psutil.Process, within: float) -> None:
        if self.process is not None and self.process.pid == process.pid:
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                raise psutil.TimeoutExpired(within, process.pid) from None
        else:
            process.wait(within)

    def _write_config(self, programs: Sequence[Program]) -> None:
        python = sys.executable.replace("%", "%%")
        config = configparser.RawConfigParser()
        config["supervisord"] = {
            "logfile": "logs/supervisord.log",
            "silent": "true",
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": "2",
            "pidfile": "run/supervisord.pid",
            "childlogdir": "logs",
            "umask": "077",
            **({"user": "root"} if os.geteuid() == 0 else {}),  # we mean it: PostgreSQL leaves root by itself
        }
        config["inet_http_server"] = {
            "port": f"127.0.0.1:{self.state.ports['supervisor']}",
            "username": _USER,
            "password": self.state.supervisor_password,
        }
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface",
        }
        for rank, program in enumerate(programs):
            config[f"program:{program.name}"] = {
                "command": f'"{python}" -m argus_local.launch program {program.name}',
                "priority": str(100 + rank),
                "autostart": "false",  # `up` starts the servers first, and the services when these answer
                "autorestart": "true",
                "startsecs": "0",  # no growing back-off: launch.py paces a program that keeps ending
                "startretries": str(_FOREVER),
                "stopsignal": program.stop_signal.name.removeprefix("SIG"),
                "stopwaitsecs": str(program.stop_seconds),
                "killasgroup": "true",
                "redirect_stderr": "true",
                "stdout_logfile": f"logs/{program.name}.log",
                "stdout_logfile_maxbytes": _LOG_BYTES,
                "stdout_logfile_backups": "3",
            }
        fresh = self.config_path.with_suffix(".new")
        fresh.touch(mode=0o600)
        with fresh.open("w") as file:
            config.write(file)
        fresh.rename(self.config_path)


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file, or nothing when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 32_768))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
