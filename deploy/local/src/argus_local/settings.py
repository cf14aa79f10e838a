"""What a person may set about the stack: ARGUS_… variables and two flags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from argus_local.errors import BadSetting

REPOSITORY = Path(__file__).resolve().parents[4]
DEFAULT_HOME = REPOSITORY / ".argus"


def _absolute(value: object) -> object:
    return Path(str(value)).absolute() if value else DEFAULT_HOME


class StackSettings(BaseSettings):
    """One stack. Two of them differ in `home` and `port`."""

    model_config = SettingsConfigDict(env_prefix="ARGUS_", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    home: Annotated[Path, BeforeValidator(_absolute)] = DEFAULT_HOME
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65_535)
    public_url: str = ""  # how browsers reach the gateway; default: http://host:port
    ui_dir: Path = REPOSITORY / "ui" / "dist"
    nats_url: str = ""  # empty: embedded
    nats_public_url: str = ""  # how training machines reach NATS
    database_url: str = ""  # of an admin; empty: embedded
    s3_endpoint_url: str = ""  # empty: embedded
    nats_max_file_bytes: int = Field(default=32 * 2**30, ge=2**30)
    start_timeout_s: float = Field(default=120.0, gt=0)
    min_free_bytes: int = Field(default=512 * 2**20, ge=0)
    demo: bool = Field(default=True, validation_alias=AliasChoices("DEMO", "ARGUS_DEMO"))

    @property
    def url(self) -> str:
        """Where a person opens Argus."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104  compared, not bound
        return f"http://{host}:{self.port}"

    @property
    def local_url(self) -> str:
        """Where this machine reaches the gateway, whatever is in front of it."""
        return f"http://{'127.0.0.1' if self.host in {'0.0.0.0', '::'} else self.host}:{self.port}"  # noqa: S104

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def data_folders(self) -> list[Path]:
        """Each may be a disk of its own."""
        return [self.home, *(self.home / name for name in ("postgres", "nats", "s3"))]

    @property
    def run(self) -> Path:
        """Pids and stamps of this start; nothing in it is worth keeping."""
        return self.home / "run"

    @property
    def credentials_path(self) -> Path:
        return self.home / "credentials.json"


def load_settings() -> StackSettings:
    """The settings of the environment; BadSetting names the variable that nobody can use."""
    try:
        return StackSettings()
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0]).upper()
        variable = name if name in {"DEMO"} or name.startswith("ARGUS_") else f"ARGUS_{name}"
        raise BadSetting(f"{variable}={first['input']!r} does not work: {first['msg']}") from None
