"""What becomes of deletions, in words for people. Programs take the raw ones: `--json`."""

from __future__ import annotations

from typing import Any

_SKIPPED = {
    "not_found": "not found, or not yours to delete", "not_terminal": "it goes on still", "no_output_dir": "it names no output folder",
    "already_deleted": "its outputs are deleted already", "in_flight": "a deletion is on its way", "refused": "its folder is refused",
    "too_late": "it is too late", "unavailable": "nothing can be decided about it now",
}  # fmt: skip
_STATES = {
    "requested": "waiting", "planned": "waiting", "running": "deleting", "partial": "partly deleted",
}  # fmt: skip
_AGAIN = "checked again: "


def why_left_alone(one: dict[str, Any]) -> str:
    """Of a result or a previewed run that was skipped."""
    skipped: str = one["skipped"]
    return str(one["detail"] or _SKIPPED.get(skipped) or skipped.replace("_", " "))


def reason_in_words(reason: str | None) -> str | None:
    """A receipt's reason: `checked again: not_terminal` as a person says it, and any other as it is."""
    if reason is None:
        return None
    known = reason.removeprefix(_AGAIN)
    return reason if known not in _SKIPPED else reason.replace(known, _SKIPPED[known])


def state_in_words(state: str) -> str:
    return _STATES.get(state, state)


def counted(n: int, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
