"""Settings of ingest, from environment variables with the prefix ARGUS_."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """What `redrive` needs. A wrong value stops the start with one clear line."""

    model_config = SettingsConfigDict(env_prefix="ARGUS_", extra="ignore")

    database_url: str


class Settings(DatabaseSettings):
    """What `run` needs."""

    nats_url: str
    nats_user: str | None = None
    nats_password: str | None = None
    health_port: int = Field(default=0, ge=0, le=65535)
    """Where /healthz, /readyz and /metrics answer, on 127.0.0.1. 0: any free port."""
    health_host: str = "127.0.0.1"
    ingest_fetch_messages: int = Field(default=100, ge=1, le=1000)
    """At most this many messages (of at most 500 events) per commit."""
    ingest_fetch_seconds: float = Field(default=0.03, gt=0, le=5)
    """How long a fetch goes on to fill up while events come: so much later one is seen at most. After silence it is seen at once."""
    ingest_ack_wait_seconds: float = Field(default=30, ge=1)
    events_max_bytes: int = Field(default=4 * 2**30, ge=2**20)
    """Size limit of the stream ARGUS_EVENTS. A full stream refuses new messages; senders keep them."""
    events_replicas: int = Field(default=1, ge=1, le=5)
