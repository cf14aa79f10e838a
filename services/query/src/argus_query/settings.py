"""What can be set from outside: environment variables with the prefix `ARGUS_`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Checked when the process starts; a wrong value stops it."""

    model_config = SettingsConfigDict(env_prefix="ARGUS_", extra="ignore")

    database_url: str
    """libpq address of the database, with the role of this service."""
    nats_url: str = "nats://127.0.0.1:4222"
    nats_user: str | None = None
    nats_password: str | None = None
    health_host: str = "127.0.0.1"
    health_port: int = 0
    """HTTP port for /healthz, /readyz and /metrics; 0: none."""
    stall_timeout_min: float = Field(default=15, gt=0)
    answer_workers: int = Field(default=16, ge=1)
    """How many questions are answered at the same time."""
    answer_connections: int = Field(default=8, ge=1)
    fold_events: int = Field(default=8_000, ge=1)
    """A fold's transaction takes records until it has this many events,"""
    fold_bytes: int = Field(default=4 * 1024 * 1024, ge=1)
    """or this many compressed bytes."""
