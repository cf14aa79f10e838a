"""The programs of a stack: what each one runs, what it is told, and when it is ready."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from argus_local.database import url_for
from argus_local.launch import environment_with
from argus_local.nats import NatsSettings
from argus_local.ports import accepts_connections
from argus_local.postgres import PostgresCluster
from argus_local.s3 import OUTPUTS_BUCKET, S3Settings
from argus_local.servers import answers_ok
from argus_local.settings import StackSettings
from argus_local.state import StackState, write_private

DATABASE = "argus"


@dataclass(frozen=True)
class Program:
    """One process under the supervisor."""

    name: str
    argv: list[str]  # empty: PostgreSQL, which starts as another user
    is_ready: Callable[[], bool]
    env: dict[str, str] = field(default_factory=dict)
    is_server: bool = False  # must answer before our services start
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: int = 20


class Stack:
    """Settings and state together: everything that is known about one stack."""

    def __init__(self, settings: StackSettings, state: StackState) -> None:
        self.settings, self.state = settings, state

    @property
    def postgres(self) -> PostgresCluster:
        return PostgresCluster(
            self.settings.home / "postgres", self.state.ports["postgres"], self.state.postgres_password
        )

    @property
    def nats(self) -> NatsSettings:
        ports = self.state.ports
        return NatsSettings(
            folder=self.settings.home / "nats",
            port=ports["nats"],
            monitor_port=ports["nats_monitor"],
            websocket_port=ports["nats_websocket"],
            issuer_seed=self.state.nats_issuer_seed,
            passwords=self.state.nats_passwords,
            max_file_store_bytes=self.settings.nats_max_file_bytes,
        )

    @property
    def s3(self) -> S3Settings:
        folder, port = self.settings.home / "s3", self.state.ports["s3"]
        return S3Settings(folder, port, self.state.s3_access_key, self.state.s3_secret_key)

    @property
    def admin_url(self) -> str:
        """Connects to PostgreSQL as an admin."""
        return self.settings.database_url or self.postgres.admin_url

    @property
    def database(self) -> str:
        """The name of our database: the one that ARGUS_DATABASE_URL names, else `argus`."""
        named = urlsplit(self.settings.database_url).path.strip("/")
        return named if named and named != "postgres" else DATABASE

    def role_url(self, role: str) -> str:
        return url_for(self.admin_url, role, self.state.role_passwords[role], self.database)

    def nats_env(self, user: str) -> dict[str, str]:
        return {
            **self.nats.env_for(user),
            **({"ARGUS_NATS_URL": self.settings.nats_url} if self.settings.nats_url else {}),
        }

    def programs(self) -> list[Program]:
        """In the order of starting; stopping goes backwards."""
        return [*self._servers(), *self._services()]

    def _servers(self) -> list[Program]:
        servers = []
        if not self.settings.database_url:
            ready = self._postgres_answers
            servers.append(Program("postgres", [], ready, is_server=True, stop_signal=signal.SIGINT, stop_seconds=60))
        if not self.settings.nats_url:
            monitor = f"http://127.0.0.1:{self.state.ports['nats_monitor']}/healthz"
            servers.append(Program("nats", self.nats.argv(), lambda: answers_ok(monitor), is_server=True))
        if not self.settings.s3_endpoint_url:
            port = self.state.ports["s3"]
            servers.append(
                Program(
                    "s3",
                    self.s3.argv(),
                    lambda: accepts_connections(port),
                    self.s3.process_env(),
                    is_server=True,
                    stop_seconds=5,
                )
            )
        return servers

    def _services(self) -> list[Program]:
        return [
            self._service("ingest", [], "argus_ingest", {"ARGUS_HEALTH_PORT": str(self.state.ports["ingest"])}),
            self._service("query", ["run"], "argus_query", {"ARGUS_HEALTH_PORT": str(self.state.ports["query"])}),
            self._service("deleter", [], "argus_deleter", self._deleter_env()),
            self._service("gateway", ["run"], "argus_gateway", self._gateway_env()),
        ]

    def _deleter_env(self) -> dict[str, str]:
        """With S3 of somebody's own, address, keys and roots are what the operator has set. Here each user of a workspace has a
        folder: whoever names somebody else's can neither delete it nor keep its owner from doing so."""
        health = {"ARGUS_HEALTH_PORT": str(self.state.ports["deleter"])}
        if self.settings.s3_endpoint_url:
            return health
        roots = (
            {}
            if "ARGUS_OUTPUT_ROOTS" in os.environ
            else {"ARGUS_OUTPUT_ROOTS": f"s3://{OUTPUTS_BUCKET}/{{workspace}}/{{user}}/"}
        )
        return {**health, **self.s3.env(), **roots}

    def _gateway_env(self) -> dict[str, str]:
        settings = self.settings
        return {
            "ARGUS_HOST": settings.host,
            "ARGUS_PORT": str(settings.port),
            "ARGUS_PUBLIC_URL": settings.url,
            "ARGUS_UI_DIR": str(settings.ui_dir),
            "ARGUS_NATS_ISSUER_SEED": self.state.nats_issuer_seed,
            "ARGUS_NATS_PUBLIC_URL": settings.nats_public_url or settings.nats_url or self.nats.url,
        }

    def _service(self, name: str, arguments: list[str], role: str, more: dict[str, str]) -> Program:
        health = more.get("ARGUS_HEALTH_PORT") or str(self.settings.port)
        host = "127.0.0.1" if "ARGUS_HEALTH_PORT" in more else urlsplit(self.settings.local_url).hostname
        env = {**self.nats_env(name), "ARGUS_DATABASE_URL": self.role_url(role), "PYTHONUNBUFFERED": "1", **more}
        argv = [str(Path(sys.executable).parent / f"argus-{name}"), *arguments]
        return Program(name, argv, lambda: answers_ok(f"http://{host}:{health}/readyz", timeout=3), env)

    def _postgres_answers(self) -> bool:
        if not accepts_connections(self.state.ports["postgres"]):
            return False
        try:
            psycopg.connect(self.admin_url, connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def environment_of(self, program: Program) -> dict[str, str]:
        """What the process of `program` sees."""
        return environment_with(program.env)

    def write_plan(self) -> None:
        """`run/programs.json` (0600) tells the launcher what to run, without asking it to load all this."""
        plan = {program.name: {"argv": program.argv, "env": program.env} for program in self.programs()}
        write_private(self.settings.run / "programs.json", plan)
