"""The PostgreSQL and the NATS server that all workers of one test run share.

The first test that needs them starts a *keeper* process (see keeper.py) for this run; each pytest process that uses them leaves
a file with its pid. The keeper stops everything when the last of these processes has left or died, so that a killed run leaves
nothing behind; folders whose keeper was killed itself are removed by the next run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

PREFIX = "argus-test-"
START_SECONDS = 120.0
_SAME_S = 30.0
"""The kernel tells when a process began relative to the clock, which may be set meanwhile."""


class SharedServers:
    """What a pytest process knows of the run's shared servers."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.admin_url: str = facts["admin_url"]
        self.passwords: dict[str, str] = facts["passwords"]  # of the database roles
        self.nats: dict[str, Any] = facts["nats"]  # url, monitor_url, passwords, issuer_seed


def run_folder() -> Path:
    """The folder of this test run: the same for all its xdist workers."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"pid{os.getpid()}"
    return Path(tempfile.gettempdir()) / f"{PREFIX}{run[:16]}"


def join() -> SharedServers:
    """This process is noted as a user of the run's servers, and they run."""
    folder = run_folder()
    with locked(folder):
        mark = _mark(folder)
        mark.parent.mkdir(exist_ok=True)
        whole = folder / f"user-{mark.name}.new"
        whole.write_text(_identity(os.getpid()))
        whole.rename(mark)  # the keeper looks without the lock: half a mark would be a dead process's to it
        facts = folder / "servers.json"
        if not (facts.exists() and _alive(folder / "keeper.pid")):
            _remove_leftovers(folder)
            facts.unlink(missing_ok=True)
            _start_keeper(folder, facts)
        return SharedServers(folder, json.loads(facts.read_text()))


def leave() -> None:
    """This process needs the servers no more; when it was the last, they are gone on return (or 15 s later at most)."""
    folder = run_folder()
    if not folder.exists():
        return
    _mark(folder).unlink(missing_ok=True)
    deadline = time.monotonic() + 15
    while folder.exists() and not living_users(folder) and time.monotonic() < deadline:
        time.sleep(0.05)


def living_users(folder: Path) -> list[Path]:
    """The marks of the processes that still use the servers; those of dead processes are removed."""
    living = []
    for mark in (folder / "users").glob("*"):
        if _alive(mark):
            living.append(mark)
        else:
            mark.unlink(missing_ok=True)
    return living


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else joins or ends this run's servers meanwhile; the folder exists."""
    while True:
        folder.mkdir(mode=0o755, exist_ok=True)
        try:
            descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except FileNotFoundError:  # the keeper removed the folder between the two lines
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # zero: we waited for a lock whose folder is gone
            break
        os.close(descriptor)
    try:
        yield
    finally:
        os.close(descriptor)


def _start_keeper(folder: Path, facts: Path) -> None:
    with (folder / "keeper.log").open("ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "argus_testkit.keeper", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / "keeper.pid").write_text(_identity(keeper.pid))
    deadline = time.monotonic() + START_SECONDS
    while not facts.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            words = (folder / "keeper.log").read_text(errors="replace")[-4_000:]
            raise RuntimeError(f"the shared test servers did not start:\n{words}")
        time.sleep(0.02)
    keeper.returncode = 0  # it outlives us on purpose: no ResourceWarning for a child that is not ours to wait for


def _mark(folder: Path) -> Path:
    return folder / "users" / str(os.getpid())


def _identity(pid: int) -> str:
    return f"{pid} {psutil.Process(pid).create_time()}"


def _alive(mark: Path) -> bool:
    """True when the process that `mark` names runs (a pid that was given to another process does not count)."""
    try:
        pid, created = mark.read_text().split()
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(created)) < _SAME_S and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, psutil.Error):
        return False


def _remove_leftovers(ours: Path) -> None:
    """Folders of earlier runs whose keeper was killed, and that nobody uses, are gone."""
    for folder in ours.parent.glob(f"{PREFIX}*"):
        if folder != ours and folder.is_dir():
            with contextlib.suppress(OSError), (folder / "lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused: somebody is making just this one
                if not _alive(folder / "keeper.pid") and not living_users(folder):
                    shutil.rmtree(folder, ignore_errors=True)
