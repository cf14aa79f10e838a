"""What a stack keeps between starts: its internal ports and its secrets, in `$ARGUS_HOME/stack.json` (mode 0600)."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, Field, model_validator

from argus_local import nats
from argus_local.database import ROLES
from argus_local.ports import free_port, port_is_free
from argus_local.s3 import S3Settings

INTERNAL_PORTS = (
    "postgres",
    "nats",
    "nats_monitor",
    "nats_websocket",
    "s3",
    "supervisor",
    "ingest",
    "query",
    "deleter",
)


class StackState(BaseModel):
    """Generated at the first start and kept: other processes may have written these values down."""

    ports: dict[str, int] = Field(default_factory=dict)
    postgres_password: str = Field(default_factory=lambda: secrets.token_urlsafe(24))
    role_passwords: dict[str, str] = Field(default_factory=lambda: {role: secrets.token_urlsafe(24) for role in ROLES})
    nats_passwords: dict[str, str] = Field(default_factory=nats.new_passwords)
    nats_issuer_seed: str = Field(default_factory=nats.new_issuer_seed)
    s3_access_key: str = Field(default_factory=lambda: S3Settings(Path(), 0).access_key)
    s3_secret_key: str = Field(default_factory=lambda: S3Settings(Path(), 0).secret_key)
    supervisor_password: str = Field(default_factory=lambda: secrets.token_urlsafe(24))

    admin_created: bool = False

    @model_validator(mode="after")
    def _know_newer_services(self) -> StackState:
        """A stack that an earlier build has made gets what services need that it did not have."""
        for known, generated in (
            (self.role_passwords, dict.fromkeys(ROLES)),
            (self.nats_passwords, nats.new_passwords()),
        ):
            for name, password in generated.items():
                known.setdefault(name, password or secrets.token_urlsafe(24))
        return self

    def choose_ports(self, avoid: set[int]) -> list[str]:
        """Every internal port is free now; answers the names of those that had to change since somebody else took them."""
        changed = []
        taken = set(avoid)
        for name in INTERNAL_PORTS:
            port = self.ports.get(name)
            if port is None or port in taken or not port_is_free(port):
                if port is not None:
                    changed.append(name)
                self.ports[name] = port = free_port(taken)
            taken.add(port)
        return changed


def load_state(home: Path) -> StackState | None:
    """The kept state, or None before the first start."""
    path = home / "stack.json"
    return StackState.model_validate_json(path.read_bytes()) if path.exists() else None


def save_state(home: Path, state: StackState) -> None:
    write_private(home / "stack.json", state.model_dump(mode="json"))


def write_private(path: Path, data: object) -> None:
    """`path` holds `data` as JSON with mode 0600, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(data, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
