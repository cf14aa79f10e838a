"""Packages from PyPI that cannot live in our environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[4]
ARGUS_REPORTER = "argus-reporter==0.1.3"


def install_apart(requirement: str, folder: Path) -> Path:
    """`requirement` and what it needs are in `folder`: put that into PYTHONPATH. By the uv that made our environment."""
    bootstrap = [sys.executable, str(REPOSITORY / "deploy" / "bootstrap.py"), "--uv"]
    uv = subprocess.run(bootstrap, check=True, capture_output=True, text=True).stdout.split()[-1]
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder), requirement]
    subprocess.run(command, check=True, timeout=180, env=_environment())
    return folder


def _environment() -> dict[str, str]:
    """The machine's own certificates, as for every other package: a proxy's authority is not in uv's bundle."""
    bundles = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
    found = next((bundle for bundle in bundles if Path(bundle).exists()), None)
    return {**({"SSL_CERT_FILE": found} if found else {}), **os.environ}
