"""Where to send, as whom, and where to keep what is not sent: arguments, environment, `argus login`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

from argus.files import write_private
from argus.trouble import warn

DEFAULT_MAX_BYTES = 2 * 1024**3
SCHEMES = ("nats", "tls", "ws", "wss", "http", "https")


@dataclass(frozen=True, slots=True)
class Settings:
    """One destination and one spool."""

    url: str | None
    """None: nothing is sent, everything stays in the spool until `argus sync`."""
    token: str | None
    spool_dir: Path
    max_bytes: int
    public_url: str | None
    """Where a browser finds the pages."""

    @property
    def is_http(self) -> bool:
        return self.url is not None and self.url.startswith("http")

    @property
    def key_id(self) -> str:
        """Names the key without telling it: the `<keyid>` of `ak_<keyid>_<secret>`, or else a digest."""
        if self.token is None:
            return urlsplit(self.url or "").username or ""
        parts = self.token.split("_")
        if len(parts) == 3 and parts[0] == "ak" and parts[1].isalnum():
            return parts[1]
        return blake2b(self.token.encode(), digest_size=8).hexdigest()

    @property
    def shown_url(self) -> str | None:
        """The URL without user name and password."""
        return None if self.url is None else without_password(self.url)


def settings(
    url: str | None = None, token: str | None = None, spool_dir: str | os.PathLike[str] | None = None
) -> Settings:
    """Arguments win over ARGUS_URL, ARGUS_TOKEN and ARGUS_SPOOL_DIR, and these over what `argus login` kept."""
    kept = read_credentials()
    url = clean_url(url or os.environ.get("ARGUS_URL") or kept.get("url"))
    token = clean_token(token or os.environ.get("ARGUS_TOKEN"))
    if token is None and url is not None and url in (kept.get("url"), kept.get("nats_url")):
        token = kept.get("token")
    public = os.environ.get("ARGUS_PUBLIC_URL") or (url if url and url.startswith("http") else kept.get("url"))
    return Settings(url, token, spool_root(spool_dir), max_bytes(), public)


def without_password(url: str) -> str:
    """`url` as it may be shown: without user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def clean_url(url: str | None) -> str | None:
    if not url:
        return None
    url = url.strip().rstrip("/")
    if urlsplit(url).scheme not in SCHEMES:
        warn("url", f"ARGUS_URL {url[:80]!r} starts with none of {', '.join(SCHEMES)}; nothing is sent")
        return None
    return url


def clean_token(token: str | None) -> str | None:
    """Without the line break of the file it was read from, and without what no key has and no header takes."""
    if token is None:
        return None
    clean = "".join(char for char in token.strip() if "!" <= char <= "~")
    if clean != token.strip():
        warn("token", "ARGUS_TOKEN has characters that no key has; they are left out")
    return clean


def spool_root(spool_dir: str | os.PathLike[str] | None = None) -> Path:
    chosen = spool_dir or os.environ.get("ARGUS_SPOOL_DIR")
    if chosen:
        return Path(chosen).expanduser()
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else home() / ".local" / "state") / "argus" / "spool"


def max_bytes() -> int:
    raw = os.environ.get("ARGUS_SPOOL_MAX_BYTES")
    if not raw:
        return DEFAULT_MAX_BYTES
    try:
        return max(int(raw), 65_536)
    except ValueError:
        warn("cap", f"ARGUS_SPOOL_MAX_BYTES={raw[:40]!r} is not a whole number; {DEFAULT_MAX_BYTES} is used")
        return DEFAULT_MAX_BYTES


def disabled() -> bool:
    return os.environ.get("ARGUS_DISABLE", "").strip().lower() in ("1", "true", "yes", "on")


def home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        return Path("/tmp") / f"argus-{os.getuid()}"  # noqa: S108


def credentials_path() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else home() / ".config") / "argus" / "credentials"


def read_credentials() -> dict[str, str]:
    """What `argus login` kept (`url, token`, perhaps `nats_url, workspace, user`), or {}."""
    try:
        kept = orjson.loads(credentials_path().read_bytes())
    except (OSError, ValueError):
        return {}
    facts = cast("dict[str, Any]", kept) if isinstance(kept, dict) else {}
    return {key: value for key, value in facts.items() if isinstance(value, str)}


def write_credentials(facts: dict[str, str]) -> Path:
    """The credentials file holds `facts`, readable by its owner only."""
    path = credentials_path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, orjson.dumps(facts, option=orjson.OPT_INDENT_2))
    return path
