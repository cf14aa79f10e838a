"""The Argus that a benchmark measures: a whole one, in a folder of its own, gone afterwards whatever happens."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from argus_testkit.stack import LocalStack


@contextmanager
def running_stack(env: Mapping[str, str] | None = None) -> Iterator[LocalStack]:
    """A new, empty stack that is up; `env`: settings on top of the defaults. Stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as folder:
        stack = LocalStack(Path(folder) / "home", env)
        try:
            stack.start()
            yield stack
        finally:
            stop(stack)


def stop(stack: LocalStack) -> None:
    """It has ended, also where it had not come up yet."""
    if stack.process is not None:
        stack.stop()


def sender_environment(stack: LocalStack) -> dict[str, str]:
    """What a process that uses the SDK must be told: whom to send to, and a spool of its own beside the stack."""
    return {
        **os.environ,
        "ARGUS_URL": stack.facts.nats.url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(stack.home.parent / "spool"),
    }
