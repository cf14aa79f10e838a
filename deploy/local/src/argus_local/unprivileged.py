"""Who runs PostgreSQL, and how that user reaches its files (PostgreSQL refuses uid 0).

Not root: the same user, and nothing here does anything. Root: see docs/decisions/0010-postgres-as-root.md.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from argus_local.errors import NoTraversableFolder, NoUnprivilegedUser

OWN_USER = "argus-postgres"
_INSTALL_FOLDERS = ("/var/cache/argus", "/var/lib/argus", "/opt/argus", "/run/argus", "/dev/shm/argus")  # noqa: S108  checked for ownership before use


@dataclass(frozen=True)
class UnprivilegedUser:
    """A system user that is not root; it owns the cluster's files."""

    name: str
    uid: int
    gid: int

    def become(self) -> None:
        """The calling process is this user, without any of root's groups or capabilities."""
        os.setgroups([])
        os.setgid(self.gid)
        os.setuid(self.uid)

    def can(self, action: Callable[[], bool]) -> bool:
        """What `action` answers when this user calls it (in a forked child)."""
        child = os.fork()
        if child == 0:
            try:
                self.become()
                ok = action()
            except BaseException:
                ok = False
            os._exit(0 if ok else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def user_for_postgres() -> UnprivilegedUser | None:
    """None when we are not root; else `ARGUS_POSTGRES_USER`, our own system user (made when missing), or `nobody`."""
    if os.geteuid() != 0:
        return None
    asked = os.environ.get("ARGUS_POSTGRES_USER", "")
    for name in filter(None, (asked, OWN_USER)):
        if found := _lookup(name):
            return found
    _make_system_user(OWN_USER)
    for name in (OWN_USER, "nobody"):
        if found := _lookup(name):
            return found
    raise NoUnprivilegedUser


def _lookup(name: str) -> UnprivilegedUser | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return UnprivilegedUser(name, entry.pw_uid, entry.pw_gid) if entry.pw_uid else None


def _make_system_user(name: str) -> None:
    """Try shadow-utils, then busybox; a machine that allows neither falls back to `nobody`."""
    shell = "/usr/sbin/nologin"
    for command in (
        ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", shell, name],
        ["adduser", "-S", "-D", "-H", "-h", "/nonexistent", "-s", "/bin/false", name],
    ):
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
        program = shutil.which(command[0], path=path)
        if program and subprocess.run([program, *command[1:]], capture_output=True, check=False).returncode == 0:
            return


def install_for(user: UnprivilegedUser | None, install: Path) -> Path:
    """A copy of the PostgreSQL install that `user` can execute: the original where that is possible, else one shared copy.

    install: the folder with bin/, lib/, share/. The copy is root's and read-only for everyone else.
    """
    if user is None or user.can(lambda: _can_execute(install)):
        return install
    tried: list[str] = []
    candidates = [
        os.environ.get("ARGUS_POSTGRES_INSTALL", ""),
        *_INSTALL_FOLDERS,
        str(Path(tempfile.gettempdir()) / "argus-root"),
    ]
    for folder in filter(None, candidates):
        tried.append(folder)
        try:
            copy = _copied(install, Path(folder))
        except OSError:
            continue
        if user.can(lambda copy=copy: _can_execute(copy)):
            return copy
    raise NoTraversableFolder(user.name, tried)


def _can_execute(install: Path) -> bool:
    """The programs run (their libraries included) and their data can be read."""
    for program in ("postgres", "initdb"):
        if (
            subprocess.run(
                [install / "bin" / program, "--version"], capture_output=True, check=False, cwd="/"
            ).returncode
            != 0
        ):
            return False
    return os.access(install / "share", os.R_OK | os.X_OK)


def _copied(install: Path, folder: Path) -> Path:
    """`install` copied whole into `folder`, once per version; OSError when that is not possible or not safe.

    The wheel keeps the shared libraries in `<package>.libs` beside the package, and the programs find them by that relative path.
    """
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    names = ",".join(sorted(path.name for path in libraries.glob("*")))
    identity = hashlib.sha256((install / "bin" / "postgres").read_bytes() + names.encode())
    target = folder / f"{install.name}-{identity.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    _refuse_unless_ours(folder)
    if not target.exists():
        scratch = Path(tempfile.mkdtemp(prefix=".copy-", dir=folder))
        try:
            whole = scratch / "whole"
            shutil.copytree(install, whole / package.name / install.name, symlinks=True)
            if libraries.exists():
                shutil.copytree(libraries, whole / libraries.name, symlinks=True)
            subprocess.run(["chmod", "-R", "a+rX,go-w", whole], check=True)
            try:
                whole.rename(target)  # atomic: a second process that was faster wins
            except OSError:
                if not target.exists():
                    raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    _refuse_unless_ours(target)
    return target / package.name / install.name


def _refuse_unless_ours(folder: Path) -> None:
    """PermissionError when anybody but root could have put programs there."""
    status = folder.lstat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError(f"{folder} is not root's alone")


def reachable_path(user: UnprivilegedUser | None, folder: Path) -> tuple[str, tuple[int, ...]]:
    """A path by which `user` reaches `folder`, and the file descriptors that its process must inherit for that.

    A folder below somebody's private home (0700) is reached through an open descriptor: `/proc/self/fd/N` leads straight
    to it, no parent is crossed, and nobody's home changes its mode. Linux only; elsewhere the plain path.
    """
    if user is None or sys.platform != "linux" or user.can(lambda: os.access(folder, os.R_OK | os.W_OK | os.X_OK)):
        return str(folder), ()
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)
    return f"/proc/self/fd/{descriptor}", (descriptor,)
