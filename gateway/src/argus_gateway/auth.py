"""The door's lock: every request is by a session cookie (then with CSRF protection) or by an API key."""

from __future__ import annotations

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers

from argus_gateway.identity.caller import Caller
from argus_gateway.parts import Parts, parts_of
from argus_gateway.problems import HttpProblem

CSRF_HEADER = "x-argus-csrf"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def client_address(request: Request) -> str | None:
    return request.client.host if request.client else None


def bearer_token(headers: Headers) -> str | None:
    """The key of an `Authorization: Bearer` header; None without such a header."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def same_secret(said: str, known: str) -> bool:
    """Compared in a time that tells nothing about where they differ."""
    return hmac.compare_digest(said.encode(errors="replace"), known.encode())


async def signed_in(request: Request) -> Caller:
    """Who asks. 401 for nobody; 403 where a browser was talked into it by another site."""
    parts = parts_of(request)
    address = client_address(request)
    if "authorization" in request.headers:  # a key, even beside a cookie: then no CSRF protection is needed
        token = bearer_token(request.headers)
        caller = await parts.keys.caller_of(token, address) if token else None
        if caller is None:
            raise HttpProblem(401, "the API key is unknown, revoked or expired")
        return caller
    session = request.cookies.get(parts.settings.cookie_name)
    caller = await parts.sessions.caller_of(session, address) if session else None
    if caller is None:
        raise HttpProblem(401, "sign in first")
    if request.method not in SAFE_METHODS:
        refuse_other_origins(request, parts)
        said = request.headers.get(CSRF_HEADER, "")
        if not same_secret(said, caller.csrf_token or ""):
            raise HttpProblem(403, "the header X-Argus-CSRF does not hold this session's token", "csrf_failed")
    return caller


def refuse_other_origins(request: Request, parts: Parts) -> None:
    """A browser says where a request comes from; anything but ourselves is refused. Other programs say nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        raise HttpProblem(403, "the request comes from another site", "csrf_failed")
    origin = request.headers.get("origin")
    if origin is not None and origin not in _own_origins(request, parts):
        raise HttpProblem(403, "the request comes from another origin", "csrf_failed")


def _own_origins(request: Request, parts: Parts) -> set[str]:
    """`Host` was checked against the allow-list before; scheme http or https, since a proxy may end TLS before us."""
    host = request.headers.get("host", "")
    public = urlsplit(parts.settings.browser_url)
    return {f"http://{host}", f"https://{host}", f"{public.scheme}://{public.netloc}"}


async def with_full_rights(caller: Annotated[Caller, Depends(signed_in)]) -> Caller:
    """Not a key that may only send events and read."""
    if not caller.full_rights:
        raise HttpProblem(403, "this API key may only send events and read; sign in, or use a key with full rights")
    return caller


async def administrator(request: Request, caller: Annotated[Caller, Depends(with_full_rights)]) -> Caller:
    """A global administrator."""
    if not caller.is_administrator:
        await parts_of(request).people.refused(caller, "administrate", request.url.path, method=request.method)
        raise HttpProblem(403, "this is for global administrators")
    return caller


SignedIn = Annotated[Caller, Depends(signed_in)]
FullRights = Annotated[Caller, Depends(with_full_rights)]
Administrator = Annotated[Caller, Depends(administrator)]
