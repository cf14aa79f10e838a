"""What can be set from outside: environment variables with the prefix `ARGUS_`, but for those that are named."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from argus_contracts.queries.dashboard import StorageRates
from argus_query.dashboard.rates import DEFAULT_RATES

Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Checked when the process starts; a wrong value stops it."""

    model_config = SettingsConfigDict(env_prefix="ARGUS_", extra="ignore", populate_by_name=True)

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
    storage_usd_min: Usd = Field(DEFAULT_RATES.min_usd, validation_alias="STORAGE_COST_PER_GB_YEAR_MIN")
    """USD for a GB (2^30 bytes) and year: in the coldest tier of object storage that answers at once,"""
    storage_usd_infrequent: Usd = Field(
        DEFAULT_RATES.infrequent_usd, validation_alias="STORAGE_COST_PER_GB_YEAR_INFREQUENT"
    )
    """in the one between,"""
    storage_usd_max: Usd = Field(DEFAULT_RATES.max_usd, validation_alias="STORAGE_COST_PER_GB_YEAR_MAX")
    """and in the warmest."""

    @model_validator(mode="after")
    def _min_is_not_above_max(self) -> Settings:
        if self.storage_usd_min > self.storage_usd_max:
            raise ValueError("STORAGE_COST_PER_GB_YEAR_MIN is above STORAGE_COST_PER_GB_YEAR_MAX")
        return self

    @property
    def rates(self) -> StorageRates:
        return StorageRates(
            min_usd=self.storage_usd_min, infrequent_usd=self.storage_usd_infrequent, max_usd=self.storage_usd_max
        )


def problem_of(error: ValidationError) -> str:
    """What is wrong with the environment, in one line."""
    first = error.errors(include_url=False)[0]
    name = "_".join(map(str, first["loc"]))
    if not name:
        return first["msg"].removeprefix("Value error, ")
    return f"{name if name.isupper() else f'ARGUS_{name.upper()}'}: {first['msg']}"
