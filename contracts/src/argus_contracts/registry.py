"""Every kind that may be said, and the one way to check an event against its class."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError

from argus_contracts.envelope import Event
from argus_contracts.errors import Malformed, NewerVersion, UnknownKind
from argus_contracts.events import batches, control, jobs, outputs, prices, telemetry
from argus_contracts.quantities import RetentionClass

EVENT_CLASSES: dict[str, type[Event]] = {
    cls.model_fields["kind"].annotation.__args__[0]: cls  # type: ignore[union-attr]
    for module in (batches, jobs, telemetry, outputs, control, prices)
    for cls in vars(module).values()
    if isinstance(cls, type) and issubclass(cls, Event) and "kind" in cls.model_fields
}
"""Every class of these modules that has a `kind`: there is no list that one could be forgotten in."""
FACTS_OF_ARGUS: frozenset[str] = frozenset(kind for kind, cls in EVENT_CLASSES.items() if cls.OF_ARGUS)
FACTS_OF_WORKSPACES: frozenset[str] = frozenset(kind for kind, cls in EVENT_CLASSES.items() if cls.OF_WORKSPACE)
_ADAPTERS = {kind: TypeAdapter(cls) for kind, cls in EVENT_CLASSES.items()}


def retention_class(kind: str) -> RetentionClass:
    """The class under which events of `kind` travel and are kept. `UnknownKind` where nobody knows it."""
    try:
        return EVENT_CLASSES[kind].RETENTION
    except KeyError:
        raise UnknownKind(f"unknown kind {kind[:64]!r}") from None


def parse_event(raw: Any) -> Event:
    """The event that `raw` (a decoded JSON object) states.

    Errors: `UnknownKind`, `NewerVersion`, `Malformed` (with the first field that is wrong). None is worth a retry.
    """
    if not isinstance(raw, dict):
        raise Malformed("an event is a JSON object")
    kind: Any = raw.get("kind")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(kind, str):
        raise Malformed("kind: a text is missing")
    adapter = _ADAPTERS.get(kind)
    if adapter is None:
        raise UnknownKind(f"unknown kind {kind[:64]!r}")
    try:
        event = adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part)[:64] for part in first["loc"]) or "event"
        raise Malformed(f"{where}: {first['msg']}"[:500]) from None
    if event.version > type(event).VERSION:
        raise NewerVersion(
            f"{kind} version {event.version} is newer than {type(event).VERSION}, which this build reads"
        )
    return event
