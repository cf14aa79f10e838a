"""The same servers as containers, by `testcontainers` (dependency group `containers`).

Written against the documented interface of testcontainers 4; it needs a Docker daemon that can pull postgres:18 and nats:2.
Each class answers like its embedded sibling, so that no test knows the difference.
"""

from __future__ import annotations

import signal
import time
from typing import Any

from argus_local.errors import ServerDidNotStart
from argus_local.nats import NatsSettings
from argus_local.postgres import PostgresCluster
from argus_local.servers import NatsServer, PostgresServer

POSTGRES_IMAGE = "postgres:18"
NATS_IMAGE = "nats:2"


class _Container:
    """The part of RunningServer that differs when the process is a container. Ports are published as they are configured."""

    name: str
    container: Any = None

    def _new_container(self) -> Any:
        raise NotImplementedError

    @property
    def pid(self) -> int:
        raise NotImplementedError("a container's process id is not ours to know: use kill(), stop() and restart()")

    @property
    def is_running(self) -> bool:
        if self.container is None:
            return False
        wrapped = self.container.get_wrapped_container()
        wrapped.reload()
        return wrapped.status == "running"

    def launch(self) -> None:
        if self.container is None:
            self.container = self._new_container()
            self.container.start()
        else:
            self.container.get_wrapped_container().start()  # the same file system: data survives a restart

    def log_tail(self, lines: int = 15) -> str:
        return (
            self.container.get_wrapped_container().logs(tail=lines).decode(errors="replace") if self.container else ""
        )

    def stop(self, within: float = 15.0) -> int | None:
        if self.container is None:
            return None
        wrapped = self.container.get_wrapped_container()
        wrapped.stop(timeout=int(within))
        return wrapped.wait()["StatusCode"]

    def kill(self) -> None:
        if self.is_running:
            self.container.get_wrapped_container().kill(signal=signal.SIGKILL.name)

    def wait_ready(self, within: float = 60.0) -> None:
        deadline = time.monotonic() + within
        while not self.is_ready():  # type: ignore[attr-defined]
            if time.monotonic() > deadline:
                raise ServerDidNotStart(self.name, f"no answer within {within:.0f} s", self.log_tail())
            time.sleep(0.1)

    def __del__(self) -> None:
        if self.container is not None:
            self.container.stop()  # removes it; testcontainers' own reaper does so after a killed run


class PostgresContainerServer(_Container, PostgresServer):
    """PostgreSQL in a container, on the port and with the password of `cluster`."""

    def __init__(self, cluster: PostgresCluster) -> None:
        PostgresServer.__init__(self, cluster)

    def _new_container(self) -> Any:
        from testcontainers.core.container import DockerContainer

        fast = ["-c", "fsync=off", "-c", "full_page_writes=off"] if self.cluster.fast else []
        container = DockerContainer(POSTGRES_IMAGE).with_env("POSTGRES_PASSWORD", self.cluster.password)
        container.with_bind_ports(5432, self.cluster.port)
        return container.with_command(["postgres", "-c", f"max_connections={self.cluster.max_connections}", *fast])


class NatsContainerServer(_Container, NatsServer):
    """nats-server in a container, with the configuration of `settings`."""

    def __init__(self, settings: NatsSettings) -> None:
        settings.host, settings.store_dir = "0.0.0.0", "/data"
        NatsServer.__init__(self, settings)

    def _new_container(self) -> Any:
        from testcontainers.core.container import DockerContainer

        self.settings.write()
        container = DockerContainer(NATS_IMAGE).with_command("--config /etc/nats/nats.conf")
        container.with_volume_mapping(str(self.settings.config_path), "/etc/nats/nats.conf", "ro")
        for port in filter(None, (self.settings.port, self.settings.monitor_port, self.settings.websocket_port)):
            container.with_bind_ports(port, port)
        return container
