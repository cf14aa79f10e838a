"""What users hand in that is no metric: made fit for the wire, with a warning where something was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argus import redact, values
from argus.outcome import STATUSES, OutcomeStatus
from argus.trouble import complain, warn


def settings_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    if not given:
        return {}
    try:
        return redact.mapping(values.as_json(dict(given)))
    except Exception as error:
        warn("params", f"params were left out: {error!r:.200}")
        return {}


def whole(given: Any, what: str) -> int | None:
    whole, complaint = values.count(given, what)
    if complaint:
        complain(complaint)
    return whole


def status_of(given: Any) -> OutcomeStatus:
    for known in STATUSES:
        if given == known:
            return known
    complain(f"the status {values.shown(given)} is none of {', '.join(STATUSES)}; 'done' is used")
    return "done"
