"""Makes the environment (.venv) with nothing but Python: finds uv or fetches it into .uv/, then `uv sync --locked`.

Standard library only, and nothing that an older Python 3 could not parse: it shall get a clear line, not a syntax error.
`python3 deploy/bootstrap.py` makes the environment; with `--uv` it prints the path of uv instead.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

UV_VERSION = "0.13.8"
OLDEST_UV = (0, 9)
OLDEST_PYTHON = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
OWN = ROOT / ".uv"
CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def main(arguments: list) -> None:
    if sys.version_info < OLDEST_PYTHON:
        here = ".".join(map(str, sys.version_info[:2]))
        fail(f"python3 is Python {here}, Argus needs 3.11 or newer: name one with PYTHON=python3.12")
    OWN.mkdir(exist_ok=True)
    with (OWN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two `make` at once do not fetch into the same folder
        uv = find_uv() or fetch_uv()
        if "--uv" in arguments:
            sys.stdout.write(f"{uv}\n")
        else:
            sync(uv)


def find_uv() -> str | None:
    """The path of a uv that is new enough: of the machine, or fetched before."""
    for path in (shutil.which("uv"), str(OWN / "env" / "bin" / "uv"), str(OWN / "packages" / "bin" / "uv")):
        if path and os.access(path, os.X_OK) and version_of(path) >= OLDEST_UV:
            return path
    return None


def version_of(path: str) -> tuple:
    """Such as (0, 13, 8); () when it does not run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, numbers.groups())) if numbers else ()


def fetch_uv() -> str:
    """uv from PyPI, by a virtual environment's pip, else by this Python's pip, else by hand; nothing outside .uv/ changes."""
    say(f"fetching uv {UV_VERSION} into .uv/")
    own_pip = [str(OWN / "env" / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    this_pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(OWN / "packages")]
    words = ""
    for commands in (
        [[sys.executable, "-m", "venv", "--clear", str(OWN / "env")], [*own_pip, f"uv=={UV_VERSION}"]],
        [[*this_pip, f"uv=={UV_VERSION}"]],
    ):
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
            words += done.stdout + done.stderr
            if done.returncode != 0:
                break
        found = find_uv()
        if found:
            return found
    if disk_full(words):
        fail(f"the disk of {ROOT} is full: the environment needs about 2 GiB")
    # Debian's plain python3 has neither venv nor pip, and needs neither: a wheel is a zip file with the program inside.
    try:
        return unpack_uv()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        last = [line.strip() for line in words.splitlines() if line.strip()]
        return fail(
            f"uv could not be fetched from PyPI: {problem}; before that, pip said: {last[-1] if last else 'nothing'}"
        )


def unpack_uv() -> str:
    """uv from its wheel in the package index, checked against the index's SHA-256."""
    index = os.environ.get("PIP_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or "https://pypi.org/simple"
    page_url = index.rstrip("/") + "/uv/"
    page = fetch(page_url).decode()
    links = re.findall(r"href=[\"']([^\"'#]*?(uv-[^/\"'#]+\.whl))#sha256=([0-9a-f]{64})", page)
    fitting = [
        found
        for found in links
        if f"/uv-{UV_VERSION}-" in f"/{found[1]}" and any(tag in found[1] for tag in wheel_tags())
    ]
    if not fitting:
        raise ValueError(f"{page_url} has no uv {UV_VERSION} for {platform.system()} {platform.machine()}")
    link, name, digest = fitting[0]
    wheel = fetch(urllib.parse.urljoin(page_url, link))
    if hashlib.sha256(wheel).hexdigest() != digest:
        raise ValueError(f"{name} is not what the index says it is")
    path = OWN / "packages" / "bin" / "uv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as files:
        path.write_bytes(files.read(f"uv-{UV_VERSION}.data/scripts/uv"))
    path.chmod(0o755)
    return str(path)


def wheel_tags() -> list:
    """Parts of the names of wheels that run here."""
    machine = {"AMD64": "x86_64", "aarch64": "aarch64"}.get(platform.machine(), platform.machine())
    if platform.system() == "Darwin":
        return [f"macosx_11_0_{machine}", f"macosx_10_12_{machine}"]
    return [f"manylinux2014_{machine}", f"manylinux_2_28_{machine}"]


def fetch(url: str) -> bytes:
    bundle = environment().get("SSL_CERT_FILE")
    trusted = ssl.create_default_context(cafile=bundle if bundle and Path(bundle).exists() else None)
    request = urllib.request.Request(url, headers={"Accept": "text/html", "User-Agent": "argus-bootstrap"})  # noqa: S310 the machine's own index
    with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:  # noqa: S310
        return answer.read()


def sync(uv: str) -> None:
    """.venv is exactly what uv.lock says, on this machine's Python."""
    command = [uv, "sync", "--locked", "--group", "examples", "--no-progress"]
    if not (ROOT / ".venv").exists():
        say("making the Python environment (.venv), a minute or so …")
    done = subprocess.run(command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        if "Installed " in done.stderr:  # halves the start of every program, also where Python may not write .pyc files
            subprocess.run([*command, "--compile-bytecode", "--quiet"], cwd=ROOT, env=environment(), check=False)
        return
    if disk_full(done.stderr):
        fail(f"the disk of {ROOT} is full: the environment needs about 2 GiB")
    if (
        "for the current platform" in done.stderr
        or "compatible tags" in done.stderr
        or "compatible platform" in done.stderr
    ):
        named = re.search(r"Distribution `([^`=]+)", done.stderr)
        fail(
            f"{named.group(1) if named else 'a package'} has no build for this platform "
            f"({platform.system()} {platform.machine()}, {platform.libc_ver()[0] or 'not glibc'}): "
            "Argus runs on Linux with glibc and on macOS, x86_64 or arm64"
        )
    fail(f"uv sync failed:\n{done.stderr.strip()}")


def environment() -> dict:
    """uv takes this very Python and downloads none; a machine without a usable HOME keeps the cache in .uv/."""
    known = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    known.update(UV_PYTHON=sys.executable, UV_PYTHON_DOWNLOADS="never", UV_PROJECT_ENVIRONMENT=str(ROOT / ".venv"))
    for bundle in filter(
        os.path.exists, CERTIFICATES
    ):  # a proxy's own authority is in the machine's store, not in pip's
        known.setdefault("SSL_CERT_FILE", bundle)
        known.setdefault("PIP_CERT", known["SSL_CERT_FILE"])
        break
    home = known.get("HOME", "")
    if not (home and os.access(home, os.W_OK | os.X_OK)):
        known["HOME"] = str(OWN)
    return known


def disk_full(words: str) -> bool:
    return "No space left on device" in words or "os error 28" in words or "Disk quota exceeded" in words


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fail(line: str) -> str:
    sys.stderr.write(f"argus: {line}\n")
    sys.exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as problem:
        fail(f"the disk of {ROOT} is full" if disk_full(str(problem)) else str(problem))
    except KeyboardInterrupt:
        sys.exit(130)
