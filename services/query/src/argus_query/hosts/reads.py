"""Answers about hosts."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from argus_contracts.queries.live import HostList, HostSummary, ListHosts
from argus_query.facts import iso, micros_of
from argus_query.sql import load
from argus_query.visibility import visible_workspaces

_SQL = load(__package__ or "", "queries.sql")


async def list_hosts(connection: AsyncConnection[Any], question: ListHosts, position: int) -> HostList:
    workspaces = await visible_workspaces(connection, question.viewer)
    cursor = await connection.execute(_SQL["list_hosts"], {"workspaces": workspaces})
    return HostList(position=position, items=[_host(*row) async for row in cursor])


def _host(workspace: str, host: str, last_seen_at: Any, sources: list[dict[str, Any]], running: int) -> HostSummary:
    snapshot = _newest(sources, "snapshot") or {}
    return HostSummary(
        workspace=workspace,
        host=host,
        last_seen_at=iso(micros_of(last_seen_at)) or "",
        gpus=snapshot.get("gpus") or _newest(sources, "gpus") or [],
        cpu_pct=snapshot.get("cpu_pct"),
        memory_used_bytes=snapshot.get("memory_used_bytes"),
        memory_total_bytes=snapshot.get("memory_total_bytes"),
        running_jobs=running,
    )


def _newest(sources: list[dict[str, Any]], name: str) -> Any:
    """By the sender's time, which stands in the rank behind the attempt."""
    stated = [source[name] for source in sources if name in source]
    if not stated:
        return None
    # Ranks of `gpus` count time downwards within an attempt, but an inventory does not change from run to run.
    return max(stated, key=lambda field: field[0].split(".", 1)[1])[1]
