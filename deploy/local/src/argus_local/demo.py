"""The training run that a fresh Argus shows: examples/train_digits.py, once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from argus_local.credentials import Credentials
from argus_local.orphans import end_with_parent
from argus_local.settings import REPOSITORY, StackSettings
from argus_local.supervision import tail


class Demo:
    """The demo training of one stack. Its output goes to logs/demo.log."""

    def __init__(self, settings: StackSettings) -> None:
        self.settings = settings
        self.done_stamp = settings.home / "demo.done"
        self.log = settings.logs / "demo.log"
        self.process: subprocess.Popen[bytes] | None = None

    def is_wanted(self) -> bool:
        """True unless it was switched off or one has finished in this ARGUS_HOME."""
        return self.settings.demo and not self.done_stamp.exists()

    def start(self, credentials: Credentials) -> str | None:
        """It trains in the background; answers why not when it cannot."""
        script = REPOSITORY / "examples" / "train_digits.py"
        if not script.exists():
            return f"{script} is missing"
        state = self.settings.home / "demo"
        state.mkdir(exist_ok=True)
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(credentials, state),
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(parent),  # noqa: PLW1509  one thread
            )
        return None

    def _environment(self, credentials: Credentials, state: Path) -> dict[str, str]:
        mine = {"ARGUS_URL": self.settings.local_url, "ARGUS_TOKEN": credentials.token, "HOME": str(state)}
        return {**os.environ, **mine, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

    def news(self) -> str | None:
        """One line when it has ended since the last question, else None."""
        if self.process is None or self.process.poll() is None:
            return None
        code, self.process = self.process.returncode, None
        if code == 0:
            self.done_stamp.touch()
            return "demo: the training run has finished"
        return f"demo: the training run ended with code {code}, see {self.log}\n{tail(self.log, 5)}"

    def stop(self) -> None:
        """It has ended; unfinished, it starts anew the next time."""
        if self.process is None:
            return
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(8)
        self.process.kill()
        self.process.wait()
        self.process = None
