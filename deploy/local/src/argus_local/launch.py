"""Become a server that ends with its parent.

    python -m argus_local.launch postgres FOLDER         a cluster (its port and settings are in the folder)
    python -m argus_local.launch run PROGRAM ARGUMENT…   anything
    python -m argus_local.launch program NAME            a program of the stack of $ARGUS_HOME, with its environment

Loads little: it runs before every start of every program. A supervisor that is killed leaves no server behind, and PostgreSQL runs as a user of its own when we are root.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from argus_local.errors import LocalStackError
from argus_local.orphans import end_with_parent

_RESTART_PAUSE_SECONDS = 1.0
_DECIDED_BY_THE_STACK = {
    *("ARGUS_NATS_URL", "ARGUS_NATS_USER", "ARGUS_NATS_PASSWORD", "ARGUS_DATABASE_URL", "ARGUS_URL", "ARGUS_TOKEN"),
    *("ARGUS_HOST", "ARGUS_PORT", "ARGUS_HEALTH_PORT"),
}


def main(arguments: list[str]) -> None:
    parent = os.getppid()
    match arguments:
        case ["postgres", folder]:
            _become_postgres(Path(folder), parent)
        case ["run", program, *rest]:
            end_with_parent(parent)
            os.execv(shutil.which(program) or program, [program, *rest])  # noqa: S606
        case ["program", name]:
            _become_program(name, parent)
        case _:
            sys.exit(__doc__)


def _become_postgres(folder: Path, parent: int) -> None:
    from argus_local.postgres import PostgresCluster

    PostgresCluster(folder, port=0, password="").exec(parent)  # the rest is in the folder's argus.conf


def _become_program(name: str, parent: int) -> None:
    home = Path(os.environ["ARGUS_HOME"])
    plan = json.loads((home / "run" / "programs.json").read_bytes())[name]
    _pace(home / "run" / f"{name}.started")
    if name == "postgres":
        _become_postgres(home / "postgres", parent)
    end_with_parent(parent)
    os.execve(plan["argv"][0], plan["argv"], environment_with(plan["env"]))  # noqa: S606


def environment_with(own: Mapping[str, str]) -> dict[str, str]:
    """The operator's own variables (retention, prices, …) and what the stack decides; secrets only where they belong."""
    return {**{name: value for name, value in os.environ.items() if name not in _DECIDED_BY_THE_STACK}, **own}


def _pace(stamp: Path) -> None:
    """A program that ended right after its start is started again after a second, not at once and not ever later."""
    if stamp.exists() and abs(time.time() - stamp.stat().st_mtime) < _RESTART_PAUSE_SECONDS * 3:
        time.sleep(_RESTART_PAUSE_SECONDS)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.touch()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (LocalStackError, OSError) as problem:
        sys.exit(str(problem))
