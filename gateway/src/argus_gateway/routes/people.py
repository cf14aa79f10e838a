"""API keys, users, workspaces and their members."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from argus_gateway.auth import Administrator, FullRights, client_address
from argus_gateway.bodies import (
    ApiKey,
    CreatedKey,
    CreatedUser,
    KeyList,
    MemberRole,
    NewKey,
    NewUser,
    NewWorkspace,
    User,
    UserChange,
    UserList,
    Workspace,
    WorkspaceList,
)
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.passwords import new_password
from argus_gateway.identity.people import LastAdministrator, NameTaken
from argus_gateway.parts import AllParts, Parts
from argus_gateway.problems import HttpProblem, not_found
from argus_gateway.routes.answers import PROBLEMS
from argus_gateway.workspace_choice import workspace_for

router = APIRouter(prefix="/api", tags=["keys, users, workspaces"], responses=PROBLEMS)
Name = Annotated[str, Path(max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _count_write(caller: Caller, parts: Parts) -> None:
    parts.rates.writes.check(caller.user, "changes")


@router.get("/keys")
async def list_keys(caller: FullRights, parts: AllParts) -> KeyList:
    """The caller's own keys, the newest first; never their secrets."""
    return KeyList(items=[ApiKey.model_validate(row) for row in await parts.keys.list_of(caller.user)])


@router.post("/keys", status_code=201)
async def create_key(body: NewKey, caller: FullRights, parts: AllParts) -> CreatedKey:
    """A new key of the caller. Its token is in this answer and nowhere else."""
    _count_write(caller, parts)
    workspace = workspace_for(caller, body.workspace)
    row, token = await parts.keys.create(
        caller, workspace, body.name, full_rights=body.full_rights, expires_at=body.expires_at
    )
    return CreatedKey.model_validate({**row, "token": token})


@router.delete("/keys/{key_id}", status_code=204)
async def revoke_key(key_id: Name, caller: FullRights, parts: AllParts) -> None:
    """The key is worth nothing from now on, and its connections end within a minute."""
    if not await parts.keys.revoke(caller, key_id):
        raise not_found("there is no such key")


@router.get("/users")
async def list_users(caller: Administrator, parts: AllParts) -> UserList:
    return UserList(items=[User.model_validate(row) for row in await parts.people.users()])


@router.post("/users", status_code=201)
async def create_user(body: NewUser, caller: Administrator, parts: AllParts) -> CreatedUser:
    """A new user; where no password is given, Argus makes one and shows it in this answer only."""
    _count_write(caller, parts)
    password = body.password or new_password()
    roles = {membership.workspace: membership.role for membership in body.workspaces}
    try:
        missing = await parts.people.create_user(caller, body.username, password, body.global_admin, dict(roles))
    except NameTaken:
        raise HttpProblem(409, f"there is already a user {body.username}", "name_taken") from None
    if missing:
        raise HttpProblem(422, f"there is no workspace {', '.join(missing)[:200]}")
    user = (await parts.people.users(body.username))[0]
    return CreatedUser.model_validate({**user, "password": None if body.password else password})


@router.patch("/users/{name}")
async def change_user(request: Request, name: Name, body: UserChange, caller: FullRights, parts: AllParts) -> User:
    """Disable, enable, give or take global rights, set a password. Others than administrators: their own password only."""
    _count_write(caller, parts)
    rows = await parts.people.users(name)
    mine = bool(rows) and rows[0]["username"] == caller.user
    if not caller.is_administrator:
        if not mine:
            raise not_found("there is no such user")
        if body.disabled is not None or body.global_admin is not None:
            await parts.people.refused(caller, "change_user", name)
            raise HttpProblem(403, "you may change your password only")
    if not rows:
        raise not_found("there is no such user")
    if mine and body.password is not None:
        parts.rates.sign_in.check(
            (caller.user.lower(), client_address(request)), "attempts to name the present password"
        )
        if not await parts.people.password_is(caller.user, body.current_password or ""):
            raise HttpProblem(403, "current_password does not hold your present password", "wrong_credentials")
    try:
        await parts.people.change_user(caller, rows[0]["username"], body.disabled, body.global_admin, body.password)
    except LastAdministrator:
        raise HttpProblem(409, "this is the last global administrator", "last_administrator") from None
    await parts.keys.rights_have_changed()
    return User.model_validate((await parts.people.users(name))[0])


@router.get("/workspaces")
async def list_workspaces(caller: FullRights, parts: AllParts) -> WorkspaceList:
    """The caller's workspaces (all, for a global administrator), with members where the caller administrates them."""
    return WorkspaceList(items=[Workspace.model_validate(row) for row in await parts.people.workspaces(caller)])


@router.post("/workspaces", status_code=201)
async def create_workspace(body: NewWorkspace, caller: Administrator, parts: AllParts) -> Workspace:
    _count_write(caller, parts)
    try:
        await parts.people.create_workspace(caller, body.name)
    except NameTaken:
        raise HttpProblem(409, f"there is already a workspace {body.name}", "name_taken") from None
    return await _workspace(caller, parts, body.name)


@router.put("/workspaces/{workspace}/members/{user}")
async def set_member(workspace: Name, user: Name, body: MemberRole, caller: FullRights, parts: AllParts) -> Workspace:
    """The user has this role in the workspace. For administrators of the workspace."""
    _count_write(caller, parts)
    await _must_administrate(caller, parts, "set_member", workspace, user)
    if not await parts.people.set_member(caller, workspace, user, body.role):
        raise not_found("there is no such user or workspace")
    await parts.keys.rights_have_changed()
    return await _workspace(caller, parts, workspace)


@router.delete("/workspaces/{workspace}/members/{user}", status_code=204)
async def remove_member(workspace: Name, user: Name, caller: FullRights, parts: AllParts) -> None:
    """The user is no longer in the workspace, and the user's keys for it are worth nothing."""
    _count_write(caller, parts)
    await _must_administrate(caller, parts, "remove_member", workspace, user)
    if not await parts.people.remove_member(caller, workspace, user):
        raise not_found("there is no such member")
    await parts.keys.rights_have_changed()


async def _must_administrate(caller: Caller, parts: Parts, action: str, workspace: str, user: str) -> None:
    if not caller.administrates(workspace):
        await parts.people.refused(caller, action, f"{workspace}/{user}")
        if workspace in caller.memberships:
            raise HttpProblem(403, "this is for administrators of the workspace")
        raise not_found("there is no such user or workspace")


async def _workspace(caller: Caller, parts: Parts, name: str) -> Workspace:
    rows: list[dict[str, Any]] = await parts.people.workspaces(caller, name)
    if not rows:
        raise not_found("there is no such workspace")
    return Workspace.model_validate(rows[0])
