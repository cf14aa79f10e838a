"""Browser sessions: random reference tokens, known to Postgres only by their SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable

from argus_gateway.identity import audit
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.database import Database, run
from argus_gateway.identity.passwords import Passwords

IDLE_S = 8 * 3600
ABSOLUTE_S = 7 * 24 * 3600


def csrf_token_of(session_token: str) -> str:
    """Belongs to one session and does not give the session away."""
    return hmac.new(session_token.encode(), b"argus csrf", hashlib.sha256).hexdigest()[:43]


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


class Sessions:
    def __init__(self, database: Database, passwords: Passwords) -> None:
        self._database, self._passwords = database, passwords
        self.on_end: list[Callable[[], Awaitable[None]]] = []
        """Called after a session has been ended, so that its open streams end."""

    async def sign_in(self, user: str, password: str, from_address: str | None) -> str | None:
        """A new session token, or None: no such user, wrong password and disabled look and take the same."""
        if "\x00" in user:
            user = ""
        rows = await self._database.fetch("select_credentials", user=user)
        known = rows[0] if rows else None
        right = await self._passwords.matches(known["password_hash"] if known else None, password)
        name = known["name"] if known else user
        token = secrets.token_urlsafe(32) if known and right and not known["disabled"] else None
        async with self._database.transaction() as connection:
            if token:
                await run(
                    connection,
                    "insert_session",
                    token_sha256=sha256(token),
                    user=name,
                    idle_s=IDLE_S,
                    absolute_s=ABSOLUTE_S,
                )
            result = audit.DONE if token else "refused"
            await audit.write(
                connection,
                actor=name or "(nobody)",
                via="password",
                from_address=from_address,
                action="sign_in",
                subject=name,
                result=result,
            )
        return token

    async def caller_of(self, token: str, from_address: str | None = None, is_use: bool = True) -> Caller | None:
        """Who the token stands for, None where the session or its user has ended. is_use: keeps it from going idle."""
        digest = sha256(token)
        rows = await self._database.fetch("select_session", token_sha256=digest, idle_s=IDLE_S)
        if not rows:
            return None
        row = rows[0]
        if row["touch"] and is_use:
            await self._database.fetch("touch_session", token_sha256=digest)
        return Caller(
            user=row["name"],
            global_admin=row["global_admin"],
            memberships=row["memberships"],
            clusters=frozenset(row["clusters"]),
            session_sha256=digest,
            csrf_token=csrf_token_of(token),
            from_address=from_address,
        )

    async def sign_out(self, caller: Caller) -> None:
        async with self._database.transaction() as connection:
            await run(connection, "delete_session", token_sha256=caller.session_sha256)
            await audit.record(connection, caller, "sign_out", caller.user)
        for react in self.on_end:
            await react()
