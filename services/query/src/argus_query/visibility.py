"""What a viewer may see. Rows outside are as if they did not exist."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from argus_contracts.queries.common import Viewer
from argus_query.sql import load

_SQL = load("argus_query.runs", "queries.sql")


class NotFound(Exception):
    """It does not exist, or the viewer may not see it: nobody can tell which."""


class BadQuestion(ValueError):
    """The question cannot be meant so; the message says why, for a person."""


async def visible_workspaces(connection: AsyncConnection[Any], viewer: Viewer) -> list[str]:
    """The workspaces to look into; for a global admin, all that have a run."""
    if not viewer.all_workspaces:
        return sorted(set(viewer.workspaces))
    cursor = await connection.execute(_SQL["all_workspaces"])
    return [row[0] async for row in cursor]


def seen_by(viewer: Viewer) -> dict[str, Any]:
    """Parameters for statements that filter by viewer."""
    return {"all": viewer.all_workspaces, "workspaces": viewer.workspaces}
