"""Users, workspaces and memberships, as administrators change them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg.rows import DictRow

from argus_gateway.identity import audit
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.database import Database, run
from argus_gateway.identity.passwords import Passwords


class NameTaken(Exception):
    """There is already one of this name."""


class LastAdministrator(Exception):
    """Nobody could administrate Argus afterwards."""


class People:
    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database, self._passwords = database, passwords

    async def users(self, user: str | None = None) -> list[DictRow]:
        """All users, or (with a name, letter case ignored) that one."""
        return await self._database.fetch("select_users", user=user)

    async def create_user(
        self, caller: Caller, user: str, password: str, global_admin: bool, memberships: dict[str, str]
    ) -> list[str]:
        """The user exists, with these roles; answers the workspaces that do not exist (then nothing has changed).

        `NameTaken` where letter case alone would tell two users apart, too.
        """
        password_hash = await self._passwords.hash(password)
        missing: list[str] = []
        async with self._database.transaction() as connection:
            if not await run(
                connection, "insert_user", user=user, password_hash=password_hash, global_admin=global_admin
            ):
                raise NameTaken(user)
            for workspace, role in memberships.items():
                if not await run(connection, "upsert_membership", workspace=workspace, user=user, role=role):
                    missing.append(workspace)
            if missing:
                await connection.rollback()
                return missing
            await audit.record(
                connection, caller, "create_user", user, global_admin=global_admin, memberships=memberships
            )
        return []

    async def change_user(
        self, caller: Caller, user: str, disabled: bool | None, global_admin: bool | None, password: str | None
    ) -> bool:
        """What is None stays. A disabled user's and (after a new password) all other sessions end. False: no such user.

        `LastAdministrator` where nobody with all rights would be left.
        """
        password_hash = await self._passwords.hash(password) if password is not None else None
        async with self._database.transaction() as connection:
            await run(connection, "lock_users")
            changed = await run(
                connection,
                "update_user",
                user=user,
                disabled=disabled,
                global_admin=global_admin,
                password_hash=password_hash,
            )
            if not changed:
                return False
            if (await run(connection, "count_global_admins"))[0]["n"] == 0:
                raise LastAdministrator
            if disabled or password is not None:
                kept = caller.session_sha256 if caller.user == user and not disabled else None
                await run(connection, "delete_sessions_of", user=user, **{"except": kept})
            await audit.record(
                connection, caller, "change_user", user,
                disabled=disabled, global_admin=global_admin, password=password is not None,
            )  # fmt: skip
        return True

    async def password_is(self, user: str, password: str) -> bool:
        rows = await self._database.fetch("select_credentials", user=user)
        return await self._passwords.matches(rows[0]["password_hash"] if rows else None, password)

    async def workspaces(self, caller: Caller, workspace: str | None = None) -> list[DictRow]:
        """What the caller may see: own ones; all, for a global admin."""
        return await self._database.fetch(
            "select_workspaces", user=caller.user, all=caller.is_administrator, workspace=workspace
        )

    async def create_workspace(self, caller: Caller, workspace: str) -> None:
        async with self._database.transaction() as connection:
            if not await run(connection, "insert_workspace", workspace=workspace):
                raise NameTaken(workspace)
            await audit.record(connection, caller, "create_workspace", workspace)

    async def set_member(self, caller: Caller, workspace: str, user: str, role: str) -> bool:
        """False: no such user or workspace."""
        async with self._database.transaction() as connection:
            rows = await run(connection, "upsert_membership", workspace=workspace, user=user, role=role)
            await audit.record(connection, caller, "set_member", f"{workspace}/{user}", _result(rows), role=role)
        return bool(rows)

    async def remove_member(self, caller: Caller, workspace: str, user: str) -> bool:
        """False: was no member. The user's keys for the workspace are worth nothing from now on."""
        async with self._database.transaction() as connection:
            rows = await run(connection, "delete_membership", workspace=workspace, user=user)
            await audit.record(connection, caller, "remove_member", f"{workspace}/{user}", _result(rows))
        return bool(rows)

    async def did(self, caller: Caller, action: str, subject: str, **detail: Any) -> None:
        """It stands in the audit trail, before it is done: what follows is another service's."""
        async with self._database.transaction() as connection:
            await audit.record(connection, caller, action, subject, **detail)

    @asynccontextmanager
    async def told(self, caller: Caller, action: str, subject: str, **detail: Any) -> AsyncIterator[None]:
        """What is done inside stands in the audit trail; where it fails, it does not."""
        async with self._database.transaction() as connection:
            await audit.record(connection, caller, action, subject, **detail)
            yield

    async def refused(self, caller: Caller, action: str, subject: str, **detail: Any) -> None:
        """Somebody tried what they may not: that, too, stands in the audit trail."""
        async with self._database.transaction() as connection:
            await audit.record(connection, caller, action, subject, "refused", **detail)


def _result(rows: list[DictRow]) -> str:
    return audit.DONE if rows else "not found"
