"""Signing in and out, and who I am."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from argus_contracts.errors import Unavailable
from argus_gateway.auth import SignedIn, client_address, refuse_other_origins
from argus_gateway.bodies import Login, Me, Membership
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.sessions import ABSOLUTE_S
from argus_gateway.parts import AllParts, Parts
from argus_gateway.problems import HttpProblem
from argus_gateway.routes.answers import PROBLEMS

router = APIRouter(prefix="/api/auth", tags=["signing in"], responses=PROBLEMS)


@router.post("/login")
async def login(request: Request, response: Response, body: Login, parts: AllParts) -> Me:
    """A session: its cookie, and the CSRF token that belongs to it. One answer for every kind of failure."""
    refuse_other_origins(request, parts)
    address = client_address(request)
    account = (body.username.lower(), address)
    parts.rates.sign_in.check(account, "attempts to sign in")  # before the work, so that parallel guesses count too
    parts.rates.sign_in_address.check(address, "attempts to sign in")
    try:
        token = await parts.sessions.sign_in(body.username, body.password, address)
    except Unavailable:
        parts.rates.sign_in.forgive(account)  # nobody has looked at the password: that was no attempt
        parts.rates.sign_in_address.forgive(address)
        raise
    parts.metrics.sign_ins.labels("done" if token else "refused").inc()
    caller = await parts.sessions.caller_of(token, address) if token else None
    if token is None or caller is None:
        raise HttpProblem(401, "the username or the password is wrong", "wrong_credentials")
    parts.rates.sign_in.forgive(account)
    parts.rates.sign_in_address.forgive(address)
    old = request.cookies.get(parts.settings.cookie_name)
    if old and (before := await parts.sessions.caller_of(old, address)):
        await parts.sessions.sign_out(before)
    response.set_cookie(
        parts.settings.cookie_name,
        token,
        max_age=ABSOLUTE_S,
        path="/",
        httponly=True,
        samesite="lax",
        secure=parts.settings.is_https,
    )
    return _me(caller, parts)


@router.post("/logout", status_code=204)
async def logout(response: Response, caller: SignedIn, parts: AllParts) -> None:
    """The session has ended, on the server too."""
    if caller.session_sha256 is None:
        raise HttpProblem(422, "an API key does not sign out; revoke it instead")
    await parts.sessions.sign_out(caller)
    response.delete_cookie(
        parts.settings.cookie_name, path="/", httponly=True, samesite="lax", secure=parts.settings.is_https
    )


@router.get("/me")
async def me(caller: SignedIn, parts: AllParts) -> Me:
    """Who asks: by session cookie, or by API key."""
    return _me(caller, parts)


def _me(caller: Caller, parts: Parts) -> Me:
    by_key = caller.key_id is not None
    return Me.model_validate({
        "username": caller.user,
        "workspaces": [
            Membership.model_validate({"workspace": name, "role": role}) for name, role in sorted(caller.memberships.items())
        ],
        "global_admin": caller.global_admin,
        "csrf_token": caller.csrf_token,
        "key_id": caller.key_id,
        "workspace": caller.key_workspace,
        "user": caller.user if by_key else None,
        "nats_url": (parts.settings.nats_public_url or parts.settings.nats_url) if by_key else None,
    })  # fmt: skip
