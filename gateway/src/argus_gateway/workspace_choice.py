"""In which workspace a caller acts."""

from __future__ import annotations

from argus_gateway.identity.caller import Caller
from argus_gateway.problems import HttpProblem, not_found


def workspace_for(caller: Caller, asked: str | None) -> str:
    """The key's workspace; for people the one they name, or the only one they have. Never one that is not theirs."""
    if caller.key_workspace is not None:
        if asked not in (None, caller.key_workspace):
            raise not_found("there is no such workspace for this key")
        return caller.key_workspace
    if asked is not None:
        if asked not in caller.memberships:
            raise not_found("there is no such workspace of yours")
        return asked
    if len(caller.memberships) == 1:
        return next(iter(caller.memberships))
    if not caller.memberships:
        raise HttpProblem(422, "you are in no workspace; an administrator can take you into one")
    raise HttpProblem(422, "say which workspace: you are in " + ", ".join(sorted(caller.memberships)))
