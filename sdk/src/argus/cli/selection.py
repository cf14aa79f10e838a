"""Which runs a command is about: those named, or those that `--where` finds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from argus.cli.door import Door

AT_ONCE = 1000
"""So many runs a request may name."""
_SIZES = {"1GiB": "over_1_gib", "100GiB": "over_100_gib", "1TiB": "over_1_tib"}
_WORDS = {"status": ("succeeded", "failed", "aborted"), "days": ("7", "30", "90", "all")}
_PLAIN = ("label", "search", "user", "cluster")
_AGE = re.compile(r"([0-9]+)d")
_HELP = (
    "status=succeeded|failed|aborted (failed: aborted ones, too), days=7|30|90|all (started within), older-than=90d (ended before), label=…, larger-than=1GiB|100GiB|1TiB,"
    " search=…, and for admins user=… or user=*, cluster=…"
)


def where_option(command: Any) -> Any:
    return click.option(
        "--where", "conditions", multiple=True, metavar="NAME=VALUE", help=f"Runs for which all hold: {_HELP}."
    )(command)


def runs_where(door: Door, conditions: tuple[str, ...]) -> list[dict[str, Any]]:
    """Those runs with live outputs (deleted ones have none) that meet all conditions, by the dashboard; the newest first.

    Errors: `click.UsageError` where a condition is none.
    """
    asked, ended_before = _asked(conditions)
    only_aborted = asked.get("status") == "aborted"
    if only_aborted:
        asked["status"] = "failed"  # of the dashboard: both
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = door.get("/api/dashboard/runs", limit=100, cursor=cursor, **asked)
        found += [
            run
            for run in page["items"]
            if _fits(run, ended_before) and (run["status"] == "aborted" or not only_aborted)
        ]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _asked(conditions: tuple[str, ...]) -> tuple[dict[str, str], datetime | None]:
    asked, ended_before = {"days": "all"}, None
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if (name in _PLAIN and value) or value in _WORDS.get(name, ()):
            asked[name] = value
        elif name == "larger-than" and value in _SIZES:
            asked["size"] = _SIZES[value]
        elif name == "older-than" and equals and (age := _AGE.fullmatch(value)) and len(age[1]) <= 5:
            ended_before = datetime.now(UTC) - timedelta(days=int(age[1]))
        else:
            raise click.UsageError(f"--where {condition}: it is one of {_HELP}")
    return asked, ended_before


def _fits(run: dict[str, Any], ended_before: datetime | None) -> bool:
    if run["output_dir"] is None or run["deleted_at"] is not None:
        return False
    return ended_before is None or (
        run["ended_at"] is not None and datetime.fromisoformat(run["ended_at"]) < ended_before
    )
