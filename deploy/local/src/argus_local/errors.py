"""Everything that can stop the stack, each as one line that a person can act on."""

from __future__ import annotations


class LocalStackError(Exception):
    """The stack cannot go on; `str()` is the one line to print."""


class ProgramMissing(LocalStackError):
    """A server program has no wheel for this platform (or was not installed)."""

    def __init__(self, program: str, package: str, instead: str) -> None:
        super().__init__(
            f"{program} is missing: the package {package} has no build for this platform; {instead} to use a server of your own"
        )
        self.program = program


class NoUnprivilegedUser(LocalStackError):
    """We are root, and no other system user exists or can be made."""

    def __init__(self) -> None:
        super().__init__(
            "PostgreSQL refuses to run as root, and there is no other system user to run it: create one (useradd --system argus-postgres)"
        )


class NoTraversableFolder(LocalStackError):
    """No folder was found where the unprivileged user could execute PostgreSQL."""

    def __init__(self, user: str, tried: list[str]) -> None:
        super().__init__(
            f"user {user} can execute PostgreSQL in none of these folders: {', '.join(tried)}; set ARGUS_POSTGRES_INSTALL to one that it can"
        )


class ServerDidNotStart(LocalStackError):
    """A server ended, or was silent past its deadline; the last lines of its log are in the message."""

    def __init__(self, name: str, why: str, log_tail: str = "") -> None:
        tail = f"; its last words:\n{log_tail}" if log_tail else ""
        super().__init__(f"{name} did not start: {why}{tail}")
        self.name = name


class PortTaken(LocalStackError):
    """Somebody else listens on the one port that people see."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} is taken: choose another one with ARGUS_PORT={port + 1}")
        self.port = port


class AlreadyRunning(LocalStackError):
    """A stack with this ARGUS_HOME is up."""

    def __init__(self, home: str, pid: int, url: str | None) -> None:
        where = f" at {url}" if url else ""
        super().__init__(
            f"a stack with ARGUS_HOME={home} is already running{where} (pid {pid}); stop it with `make down`"
        )
        self.pid = pid


class DiskFull(LocalStackError):
    """There is no room for the data."""

    def __init__(self, folder: str, free_bytes: int | None, needed_bytes: int) -> None:
        left = "no" if free_bytes is None else f"only {free_bytes // 2**20} MiB of"
        super().__init__(
            f"{left} free disk space in {folder}: Argus needs at least {needed_bytes // 2**20} MiB; free some, or set ARGUS_HOME to another disk"
        )


class BadSetting(LocalStackError):
    """An environment variable has a value that nobody can use."""
