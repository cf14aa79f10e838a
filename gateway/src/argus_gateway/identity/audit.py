"""The audit trail: who did or tried what, on which, with which result. Rows are never changed."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from argus_gateway.identity.caller import Caller
from argus_gateway.identity.database import Connection, run

DONE = "done"


async def record(
    connection: Connection, caller: Caller, action: str, subject: str, result: str = DONE, **detail: Any
) -> None:
    """The entry stands or falls with the transaction of what it tells."""
    await write(
        connection,
        actor=caller.user,
        via=caller.via,
        from_address=caller.from_address,
        action=action,
        subject=subject,
        result=result,
        **detail,
    )


async def write(
    connection: Connection,
    *,
    actor: str,
    via: str,
    from_address: str | None,
    action: str,
    subject: str,
    result: str,
    **detail: Any,
) -> None:
    await run(
        connection,
        "insert_audit_entry",
        actor=_plain(actor),
        via=via,
        from_address=from_address,
        action=action,
        subject=_plain(subject),
        result=result,
        detail=Jsonb(detail),
    )


def _plain(text: str) -> str:
    """Printable and short: an entry cannot forge a second line on somebody's screen."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:200])
