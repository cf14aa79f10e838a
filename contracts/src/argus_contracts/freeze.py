"""Keeps published shapes from changing: `python -m argus_contracts.freeze [--check]`.

`schema/<kind>.v<n>.schema.json` is the JSON schema of a kind as it was published, `golden/<kind>.v<n>.json` one sample
event. Without `--check` the command writes what is new, and updates a schema where every old event still fits (fields
were only added). A change that an old event may not survive is refused: raise `VERSION` and write an upcaster.
`--check` writes nothing and fails on any difference, on a kind without a sample, and on a sample that no longer parses.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, cast

from argus_contracts.envelope import Event
from argus_contracts.errors import Refused
from argus_contracts.registry import EVENT_CLASSES, parse_event

HERE = Path(__file__).parent


def schema_of(cls: type[Event]) -> dict[str, Any]:
    """The JSON schema of the event class, as it would be frozen now."""
    return cls.model_json_schema(mode="validation")


def breaking_changes(frozen: Any, now: Any, at: str = "") -> list[str]:
    """Where an event that fits `frozen` might not fit `now`: everything but added optional properties and new texts."""
    if isinstance(frozen, dict) and isinstance(now, dict):
        return _changed_keys(cast("dict[str, Any]", frozen), cast("dict[str, Any]", now), at)
    return [] if frozen == now else [at or "/"]


def _changed_keys(frozen: dict[str, Any], now: dict[str, Any], at: str) -> list[str]:
    changes: list[str] = []
    adding_is_harmless = at.endswith(("/properties", "/$defs")) or at == ""
    for key in sorted({*frozen, *now}):
        if key in ("title", "description") and not at.endswith("/properties"):
            continue
        if key not in frozen:
            if not adding_is_harmless:
                changes.append(f"{at}/{key} is new")
        elif key not in now:
            changes.append(f"{at}/{key} is gone")
        else:
            changes += breaking_changes(frozen[key], now[key], f"{at}/{key}")
    return changes


def golden_samples() -> dict[str, dict[str, Any]]:
    """Every frozen sample, by `<kind>.v<n>`."""
    return {
        path.name.removesuffix(".json"): json.loads(path.read_text())
        for path in sorted((HERE / "golden").glob("*.json"))
    }


def _problems(check: bool) -> list[str]:
    problems: list[str] = []
    for kind, cls in EVENT_CLASSES.items():
        name = f"{kind}.v{cls.VERSION}"
        path = HERE / "schema" / f"{name}.schema.json"
        now = schema_of(cls)
        frozen = json.loads(path.read_text()) if path.exists() else None
        if frozen is not None and (changes := breaking_changes(frozen, now)):
            problems.append(f"{name}: an old event may not fit any more: {'; '.join(changes[:5])}")
        elif frozen != now:
            if check:
                problems.append(f"{name}: the schema is not frozen as it is; run python -m argus_contracts.freeze")
            else:
                path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
        if not (HERE / "golden" / f"{name}.json").exists():
            problems.append(f"{name}: golden/{name}.json, one sample event, is missing")
    for name, sample in golden_samples().items():
        try:
            parse_event(sample)
        except Refused as refused:
            problems.append(f"golden/{name}.json: {refused.reason}")
    return problems


def main(arguments: list[str]) -> int:
    """Exit status 0 where nothing is left to do by hand."""
    problems = _problems(check="--check" in arguments)
    for problem in problems:
        sys.stderr.write(problem + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
