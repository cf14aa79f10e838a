"""The first admin and how to sign in: `$ARGUS_HOME/credentials.json` (mode 0600)."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from typing import Any

from argus_local.errors import ServerDidNotStart
from argus_local.programs import Stack
from argus_local.state import save_state, write_private


@dataclass(frozen=True)
class Credentials:
    """Of the first admin. `token` is an API key (`ak_…`)."""

    url: str
    username: str
    password: str
    token: str


def ensure_admin(stack: Stack, reset: bool = False) -> Credentials | None:
    """The admin exists, and the file says how to sign in; made once, afterwards only `url` follows the settings.

    None when somebody removed the file on purpose: a password is not changed behind anybody's back. reset: a new password
    and a new token.
    """
    path = stack.settings.credentials_path
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() and not reset else {}
    if not {"username", "password", "token"} <= known.keys():
        if stack.state.admin_created and not reset:
            return None
        known = _create_admin(stack)
    found = Credentials(stack.settings.url, known["username"], known["password"], known["token"])
    write_private(path, asdict(found))
    if not stack.state.admin_created:
        stack.state.admin_created = True
        save_state(stack.settings.home, stack.state)
    return found


def _create_admin(stack: Stack) -> dict[str, Any]:
    (gateway,) = [program for program in stack.programs() if program.name == "gateway"]
    done = subprocess.run(
        # --reset: an earlier start may have been killed between making the admin and writing the password down
        [gateway.argv[0], "create-admin", "--username", "admin", "--reset", "--json"],
        env=stack.environment_of(gateway),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        why = f"argus-gateway create-admin ended with code {done.returncode}"
        raise ServerDidNotStart("the first admin", why, done.stderr.strip()[-2_000:])
    return json.loads(done.stdout.strip().splitlines()[-1])
