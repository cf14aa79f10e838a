"""Where a run's files are, as it says, and whether somebody must still list them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from argus_contracts.locations import claimed

if TYPE_CHECKING:
    from argus_query.runs.state import RunState

MAX_FOLDERS = 1_000
"""Of one run, beside its present ones."""


class Folder(NamedTuple):
    """A row of `run_folders`. folder: `s3://bucket/folder/`, as `locations.claimed` reads it."""

    folder: str
    is_work_dir: bool


class Unmeasured(NamedTuple):
    """A row of `run_unmeasured`. since: when the run ended; microseconds since 1970."""

    since: int
    lifecycle_position: int


def named_in(data: Mapping[str, Any]) -> set[Folder]:
    """By a start. None where it says no such address."""
    named = {_folder(data.get("output_dir"), is_work_dir=False), _folder(data.get("work_dir"), is_work_dir=True)}
    return {one for one in named if one is not None}


def folders_of(state: RunState) -> frozenset[Folder]:
    """All that it has ever named, because what an earlier attempt has written is there still; but for its present outputs where
    they were deleted."""
    if not state.folders:  # as nearly always
        return frozenset()
    named = set(state.folders)
    if len(named) == MAX_FOLDERS:  # its present ones may be none of these
        named |= named_in({name: state.get(name) for name in ("output_dir", "work_dir")})
    gone = None if state.outputs_deleted_at is None else _folder(state.get("output_dir"), is_work_dir=False)
    return frozenset(one for one in named if one != gone)


def unmeasured(state: RunState) -> Unmeasured | None:
    """Where it has ended, has outputs that can be listed, and nobody has listed them since."""
    end = state.life.end()
    position = state.activity.position
    if end is None or not (state.get("output_dir") or "").startswith("s3://") or state.outputs.known_since(position):
        return None
    return Unmeasured(end.at, position)


def _folder(text: Any, *, is_work_dir: bool) -> Folder | None:
    where = claimed(text) if isinstance(text, str) and text else None
    return None if where is None else Folder(str(where), is_work_dir)
