"""`argus-gateway create-admin`: the first person who may do everything, with a random password and an API key."""

from __future__ import annotations

import json
import re
import sys

from argus_gateway.bodies import USER_NAME, WORKSPACE_NAME
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.database import Database
from argus_gateway.identity.keys import Keys
from argus_gateway.identity.passwords import Passwords, new_password
from argus_gateway.identity.people import NameTaken, People
from argus_gateway.settings import DatabaseSettings

_COMMAND_LINE = "command line"


async def create_admin(settings: DatabaseSettings, username: str, workspace: str, reset: bool, as_json: bool) -> int:
    """Exit status. The user administrates everything and `workspace`; the password and the key are printed once.

    reset: the user may exist; then it gets a new password and a new key, is enabled, and its sessions end.
    """
    for text, pattern, what in ((username, USER_NAME, "username"), (workspace, WORKSPACE_NAME, "workspace")):
        if not re.fullmatch(pattern, text):
            return _fail(
                f"--{what}: 1 to 64 letters, digits or . _ - (and @ + in usernames), the first a letter or digit"
            )
    database, passwords = Database(settings.database_url.get_secret_value()), Passwords()
    await database.open(within_s=30)
    try:
        people, keys = People(database, passwords), Keys(database)
        caller = Caller(_COMMAND_LINE, global_admin=True, memberships={}, command_line=True)
        try:
            await people.create_workspace(caller, workspace)
        except NameTaken:
            workspace = (await people.workspaces(caller, workspace) or [{"name": workspace}])[0]["name"]
        password = new_password()
        known = await people.users(username)
        if known and not reset:
            return _fail(f"there is already a user {known[0]['username']}; --reset gives it a new password and key")
        if known:
            username = known[0]["username"]
            await people.change_user(caller, username, disabled=False, global_admin=True, password=password)
            await people.set_member(caller, workspace, username, "admin")
        else:
            await people.create_user(caller, username, password, global_admin=True, memberships={workspace: "admin"})
        owner = Caller(username, global_admin=True, memberships={workspace: "admin"}, command_line=True)
        _, token = await keys.create(owner, workspace, "made by create-admin", full_rights=True, expires_at=None)
    finally:
        await database.close()
        passwords.close()
    made = {"username": username, "password": password, "token": token, "workspace": workspace}
    text = json.dumps(made) if as_json else "\n".join(f"{name}: {value}" for name, value in made.items())
    sys.stdout.write(text + "\n")
    return 0


def _fail(text: str) -> int:
    sys.stderr.write(f"argus-gateway: {text}\n")
    return 1
