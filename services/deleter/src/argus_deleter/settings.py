"""Settings of the deleter, from environment variables with the prefix ARGUS_."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from argus_deleter.roots import Roots, parse_roots


class Settings(BaseSettings):
    """A wrong value stops the start with one clear line. Keys for the object store come by boto3's own chain."""

    model_config = SettingsConfigDict(env_prefix="ARGUS_", extra="ignore")

    database_url: str
    nats_url: str
    nats_user: str | None = None
    nats_password: str | None = None
    health_port: int = Field(default=0, ge=0, le=65535)
    """Where /healthz, /readyz and /metrics answer, on 127.0.0.1. 0: any free port."""
    health_host: str = "127.0.0.1"

    s3_endpoint_url: str | None = None
    """None: AWS."""
    s3_bucket_owner: str | None = None
    """Account that every bucket must belong to (`ExpectedBucketOwner` of every call)."""
    s3_conditional_deletes: bool = False
    """Sends the etag with each key, so that the store itself leaves what has changed since. AWS then asks for `s3:GetObject`, too."""
    s3_calls_at_once: int = Field(default=16, ge=1, le=128)
    """At most so many calls to the object store at once, and threads that make them. Fewer while it asks for fewer."""

    output_roots: str = ""
    """See `roots.parse_roots`."""
    deletion_grace_s: float = Field(default=600, ge=0, le=30 * 86_400)
    """So long after it was asked for, a deletion touches nothing and can be cancelled."""
    deletion_quiet_s: float = Field(default=300, ge=0, le=86_400)
    """A deletion waits until the run itself has said nothing for so long."""
    deletions_at_once: int = Field(default=4, ge=1, le=64)
    measure_every_s: float = Field(default=5, gt=0, le=3600)
    """How often to ask which ended runs' outputs nobody has listed yet."""
    preview_s: float = Field(default=20, gt=0, le=25)
    """How long a preview may wait for its turn and list, in all. Whoever asks waits 30 s."""

    commands_max_bytes: int = Field(default=256 * 2**20, ge=2**20)
    """Size limit of the stream ARGUS_COMMANDS. A full stream refuses new commands."""
    commands_replicas: int = Field(default=1, ge=1, le=5)
    commands_ack_wait_s: float = Field(default=30, ge=1)

    @field_validator("s3_endpoint_url", "s3_bucket_owner", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @field_validator("output_roots")
    @classmethod
    def _can_be_read(cls, value: str) -> str:
        parse_roots(value)
        return value

    @cached_property
    def roots(self) -> Roots:
        return parse_roots(self.output_roots)
