"""Environment variables (prefix `ARGUS_`) as one checked object; a wrong value stops the start with one clear line."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import nkeys
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

AnySettings = TypeVar("AnySettings", bound=BaseSettings)
MIN_SECRET_LENGTH = 16
_KNOWN_TO_EVERYBODY = frozenset(
    {"", "admin", "argus", "changeme", "default", "nats", "password", "postgres", "root", "s3cr3t", "secret", "test"}
)


class SettingsWrong(Exception):
    """A setting is missing or wrong; the text is one line for a person."""


class DatabaseSettings(BaseSettings):
    """What `create-admin` needs."""

    model_config = SettingsConfigDict(env_prefix="ARGUS_", extra="ignore", env_ignore_empty=True)

    database_url: SecretStr
    """Of the role `argus_gateway`, which owns the schema `identity`."""

    @field_validator("database_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("must be a URL that begins with postgresql://")
        password = urlsplit(url.get_secret_value()).password  # None: by socket, certificate or .pgpass
        if password is not None and password.lower() in _KNOWN_TO_EVERYBODY:
            raise ValueError("holds a password that everybody guesses")
        return url


class Settings(DatabaseSettings):
    """What `run` needs."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    changes_per_minute: Annotated[int, Field(ge=1)] = 60
    """How many keys, users, workspaces and members one user may make or change in a minute."""
    public_url: str = ""
    """Where browsers reach us, e.g. `https://argus.lab.org`. Empty: http://localhost:<port>. https makes cookies Secure."""
    allowed_hosts: Annotated[list[str], NoDecode] = []
    """Names that a `Host` header may say, comma-separated; always with localhost and the host of `public_url`. `*`: any."""
    trusted_proxies: Annotated[list[str], NoDecode] = []
    """Addresses and networks, comma-separated, of the proxies in front of us: only their `X-Forwarded-For` is believed. Without
    it everybody behind a proxy has the proxy's address, and shares its limits of signing in."""
    ui_dir: Path = Path("ui/dist")
    nats_url: str
    nats_user: str
    nats_password: SecretStr
    nats_issuer_seed: SecretStr
    """Seed (`SA…`) of the account nkey that signs the answers of the auth callout."""
    nats_public_url: str = ""
    """Where SDKs reach NATS; empty: `nats_url`."""
    nats_grant_seconds: Annotated[int, Field(ge=10, le=86_400)] = 86_400
    """After which NATS makes a connection show its key again. A revoked key's connections are cut at once."""
    rights_check_seconds: Annotated[float, Field(ge=0.5, le=30)] = 15.0
    """How often open streams and NATS connections are checked against the rights in Postgres. What is changed through this
    gateway counts at once; this is for what another gateway, the command line or an expiry date has changed."""
    nats_connections_per_key: Annotated[int, Field(ge=1)] = 1_000
    """Every training process has one. A key that somebody lost takes no more of the broker's than so many."""
    metrics_token: SecretStr | None = None
    """What Prometheus shows as a Bearer token to read /metrics. None: only global administrators read it."""
    log_level: str = "info"

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip().lower() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError("must be addresses and networks such as 10.0.0.0/8, comma-separated") from None
        return proxies

    @field_validator("public_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("must be a URL that begins with http:// or https://")
        return url.rstrip("/")

    @field_validator("nats_password", "metrics_token")
    @classmethod
    def _is_strong(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(set(secret.get_secret_value())) < MIN_SECRET_LENGTH // 2:
            raise ValueError("is too simple: make one of random letters, e.g. with `openssl rand -hex 24`")
        if secret is not None and len(secret.get_secret_value()) < MIN_SECRET_LENGTH:
            raise ValueError(f"is too short: at least {MIN_SECRET_LENGTH} letters")
        return secret

    @model_validator(mode="after")
    def _is_named_when_reachable(self) -> Settings:
        """Whoever opens the door to other machines says under which name: cookies, origins and hosts hang on it."""
        if not _is_loopback(self.host) and not self.public_url:
            raise ValueError(f"must be set, as ARGUS_HOST={self.host} lets other machines in")
        return self

    @field_validator("nats_issuer_seed")
    @classmethod
    def _is_account_seed(cls, seed: SecretStr) -> SecretStr:
        try:
            prefix, _ = nkeys.decode_seed(seed.get_secret_value().encode())
        except Exception:
            raise ValueError("must be the seed of an account nkey (SA…)") from None
        if prefix != nkeys.PREFIX_BYTE_ACCOUNT:
            raise ValueError("must be the seed of an account nkey (SA…), not of another kind")
        return seed

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, level: str) -> str:
        if level.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("must be debug, info, warning or error")
        return level.lower()

    @property
    def browser_url(self) -> str:
        return self.public_url or f"http://localhost:{self.port}"

    @property
    def cookie_name(self) -> str:
        """Of the session. Browsers do not keep cookies of two ports apart, so two stacks on one host need two names."""
        name = f"argus_session_{urlsplit(self.public_url or '').port or self.port}"
        return f"__Host-{name}" if self.is_https else name  # the prefix: no other host or path may set it

    @property
    def is_https(self) -> bool:
        return self.public_url.startswith("https://")

    @property
    def hosts(self) -> frozenset[str]:
        """Host names (no port, lower case) that a request may name."""
        own = urlsplit(self.browser_url).hostname or "localhost"
        return frozenset({"localhost", "127.0.0.1", "[::1]", own.lower(), *self.allowed_hosts})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def load(kind: type[AnySettings]) -> AnySettings:
    """The settings of the environment. `SettingsWrong` names the variable and what is wrong with it."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = "ARGUS_" + "_".join(str(part) for part in first["loc"] or ("public_url",)).upper()
        what = "is not set" if first["type"] == "missing" else first["msg"].removeprefix("Value error, ")
        raise SettingsWrong(f"{name} {what}") from None
