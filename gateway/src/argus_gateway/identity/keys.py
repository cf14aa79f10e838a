"""API keys `ak_<id>_<secret>`: shown once, stored as SHA-256, looked up at most every few seconds."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from argus_contracts.errors import Unavailable
from argus_gateway.identity import audit
from argus_gateway.identity.caller import Caller
from argus_gateway.identity.database import Database, run
from argus_gateway.identity.sessions import sha256

logger = logging.getLogger(__name__)

_FORM = re.compile(r"ak_([a-z0-9]{12})_([A-Za-z0-9]{43})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_FRESH_S = 5.0
_STALE_S = 600.0
"""How long a key that was good keeps its good name while Postgres is away. Whoever revokes needs Postgres too."""
_MAX_CACHED = 10_000
_TOUCH_S = 60.0


@dataclass(slots=True)
class _Known:
    row: DictRow | None
    checked_at: float


class Keys:
    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._clock = database, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._used: set[str] = set()
        self._touched_at: dict[str, float] = {}
        self.on_change: list[Callable[[], Awaitable[None]]] = []
        """Called after rights have changed, so that connections of keys that no longer stand end."""

    async def caller_of(self, token: str, from_address: str | None = None) -> Caller | None:
        """Who the key stands for, None where it is no key, revoked, expired, or its user may no longer use it.

        `Unavailable` where Postgres is away and the key was not seen good within ten minutes.
        """
        match = _FORM.fullmatch(token)
        if not match:
            return None
        row = await self._row(match[1])
        if row is None or not hmac.compare_digest(sha256(token), row["secret_sha256"]):
            return None
        if row["expires_at"] is not None and row["expires_at"] <= datetime.now(row["expires_at"].tzinfo):
            return None
        self._used.add(match[1])
        return Caller(
            user=row["user_name"],
            global_admin=row["global_admin"],
            memberships=row["memberships"],
            clusters=frozenset(row["clusters"]),
            key_id=row["key_id"],
            key_workspace=row["workspace"],
            full_rights=row["full_rights"],
            from_address=from_address,
        )

    async def _row(self, key_id: str) -> DictRow | None:
        now = self._clock()
        known = self._known.get(key_id)
        if known and now - known.checked_at < _FRESH_S:
            return known.row
        try:
            rows = await self._database.fetch("select_key", key_id=key_id)
        except Unavailable:
            if known and known.row and now - known.checked_at < _STALE_S:
                return known.row
            raise
        row = rows[0] if rows else None
        self._known[key_id] = _Known(row, now)
        self._known.move_to_end(key_id)
        while len(self._known) > _MAX_CACHED:
            self._known.popitem(last=False)
        return row

    async def rights_have_changed(self) -> None:
        """Every key is looked up again, and whoever must react to a change has."""
        self._known.clear()
        for react in self.on_change:
            await react()

    async def write_last_used(self) -> None:
        """`last_used_at` is right to the minute. Called now and then."""
        now = self._clock()
        due = [key_id for key_id in self._used if now - self._touched_at.get(key_id, -1e9) >= _TOUCH_S]
        self._used.clear()
        if due:
            await self._database.fetch("touch_keys", key_ids=due)
            if len(self._touched_at) > _MAX_CACHED:
                self._touched_at.clear()
            self._touched_at.update(dict.fromkeys(due, now))

    async def create(
        self, caller: Caller, workspace: str, name: str, *, full_rights: bool, expires_at: datetime | None
    ) -> tuple[dict[str, Any], str]:
        """The new key and its token, which nobody can read again."""
        key_id, token = new_token()
        async with self._database.transaction() as connection:
            rows = await run(
                connection,
                "insert_key",
                key_id=key_id,
                secret_sha256=sha256(token),
                user=caller.user,
                workspace=workspace,
                name=name,
                full_rights=full_rights,
                expires_at=expires_at,
            )
            await audit.record(connection, caller, "create_key", key_id, workspace=workspace, full_rights=full_rights)
        return rows[0], token

    async def list_of(self, user: str) -> list[DictRow]:
        return await self._database.fetch("select_keys_of", user=user)

    async def revoke(self, caller: Caller, key_id: str) -> bool:
        """False: no such key, or not the caller's."""
        if "\x00" in key_id:
            return False
        async with self._database.transaction() as connection:
            owner = None if caller.is_administrator else caller.user
            rows = await run(connection, "revoke_key", key_id=key_id, user=owner)
            await audit.record(connection, caller, "revoke_key", key_id, audit.DONE if rows else "not found")
        if rows:
            await self.rights_have_changed()
        return bool(rows)

    async def live_among(self, key_ids: list[str]) -> set[str]:
        """Which of these keys still stand, asked of Postgres, not of the cache."""
        return {row["key_id"] for row in await self._database.fetch("select_live_key_ids", key_ids=key_ids)}


def new_token() -> tuple[str, str]:
    """(id, token): an id of 62 random bits and a secret of 256."""
    key_id = "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(12))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(43))
    return key_id, f"ak_{key_id}_{secret}"
