"""Where and how a run was started: command, code, machine, packages. Secrets never leave the machine."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import platform
import subprocess
import sys
from typing import Any

from argus import redact, values
from argus.host import host

GIT_TIMEOUT_S = 3.0


def command_line() -> list[str]:
    """argv with secrets hidden; `python` and its options included where the system tells them."""
    argv = list(getattr(sys, "orig_argv", None) or sys.argv)
    return [values.text(part, 4_000) for part in redact.command(argv)][:1_000]


def git() -> dict[str, Any] | None:
    """`remote` (without credentials), `branch`, `commit`, `dirty` of the working folder; None outside of a repository."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return None
    remote = _git("config", "--get", "remote.origin.url")
    dirty = _git("status", "--porcelain", "--untracked-files=no")
    said = {
        "remote": values.text(redact.text(remote), values.MAX_SHORT) if remote else None,
        "branch": _git("rev-parse", "--abbrev-ref", "HEAD"),
        "commit": commit,
        "dirty": None if dirty is None else bool(dirty),
    }
    return {key: value for key, value in said.items() if value is not None}


def packages_digest() -> str:
    """`sha256:<hex>` over the sorted `name==version` of every installed package."""
    import importlib.metadata

    found: set[str] = set()
    for distribution in importlib.metadata.distributions():
        with contextlib.suppress(Exception):
            found.add(f"{distribution.metadata['Name']}=={distribution.version}".lower())
    return "sha256:" + hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def environment(gpus: list[dict[str, Any]], *, at_once: bool = False) -> dict[str, Any]:
    """The data of an `env_snapshot`. What cannot be found out is left out.

    at_once: also left out is what takes more than a moment (git, packages).
    """
    said: dict[str, Any] = {
        "command": command_line(),
        "cwd": _quietly(os.getcwd),
        "host": host(),
        "user": _quietly(getpass.getuser),
        "git": None if at_once else _quietly(git),
        "python": platform.python_version(),
        "packages_digest": None if at_once else _quietly(packages_digest),
        "gpus": gpus,
        "env_names": sorted(values.text(name, values.MAX_SHORT) for name in os.environ)[:2_000],
    }
    return {key: value for key, value in said.items() if value is not None}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _quietly(question: Any) -> Any:
    try:
        return question()
    except Exception:
        return None
