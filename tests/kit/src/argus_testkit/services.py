"""Our own services as real processes."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from argus_local.ports import free_port
from argus_local.servers import RunningServer, answers_ok

_DEFAULT_ARGUMENTS = {"argus-query": ["run"], "argus-gateway": ["run"]}
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "VIRTUAL_ENV", "COVERAGE_PROCESS_START")


class ServiceProcess(RunningServer):
    """One service. `env` is all that it knows: nothing of the tester's own ARGUS_ variables reaches it."""

    def __init__(self, command: str, env: Mapping[str, str], folder: Path, args: Sequence[str] | None = None) -> None:
        self.port = int(env.get("ARGUS_PORT") or env.get("ARGUS_HEALTH_PORT") or free_port())
        port_name = "ARGUS_PORT" if command == "argus-gateway" else "ARGUS_HEALTH_PORT"
        whole = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        whole |= {"HOME": str(folder), port_name: str(self.port), "PYTHONUNBUFFERED": "1", **env}
        arguments = list(_DEFAULT_ARGUMENTS.get(command, []) if args is None else args)
        program = str(program_of_this_environment(command))
        super().__init__(
            command,
            [sys.executable, "-m", "argus_local.launch", "run", program, *arguments],
            folder / f"{command}-{self.port}.log",
            lambda: answers_ok(f"{self.url}/readyz", timeout=10),
        )
        self.whole_env = whole

    @property
    def url(self) -> str:
        """Where its HTTP answers: /healthz, /readyz and /metrics, and for the gateway everything."""
        return f"http://127.0.0.1:{self.port}"

    def _environment(self) -> dict[str, str]:
        return self.whole_env

    def logs(self) -> str:
        """Everything that it has written so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def pause(self) -> None:
        """It is frozen (SIGSTOP): alive for the kernel, silent for everyone else."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def program_of_this_environment(command: str) -> Path:
    """The installed script `command`; FileNotFoundError says what to run when it is missing."""
    beside = Path(sys.executable).parent / command
    found = beside if beside.exists() else shutil.which(command)
    if not found:
        raise FileNotFoundError(f"{command} is not installed in this environment: run `uv sync`")
    return Path(found)
