"""What somebody posted becomes messages for JetStream and one result per event. Pure: no I/O."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson
from pydantic import ValidationError

from argus_contracts.envelope import BETWEEN_DOCUMENTS, Event, EventMessage
from argus_contracts.errors import Malformed, NewerVersion, NotYoursToSay, Refused, TooLarge, WrongSchemaVersion
from argus_contracts.quantities import (
    MAX_DOCUMENTS_PER_BUNDLE,
    MAX_EVENT_BYTES,
    MAX_EVENTS_PER_MESSAGE,
    MAX_INT,
    MAX_JSON_DEPTH,
    MAX_LOG_LINE_BYTES,
    MAX_MESSAGE_BYTES,
    OF_NO_RUN,
    WIRE_VERSION,
    RetentionClass,
)
from argus_contracts.registry import FACTS_OF_ARGUS, parse_event, retention_class
from argus_contracts.subjects import bundle_subject, event_subject
from argus_contracts.upcasters import is_reporter_event, upcast_reporter_event
from argus_gateway.bodies import EventResult
from argus_gateway.publish import Outgoing
from argus_gateway.request_body import decoded

_ROOM_FOR_ENVELOPE = 1024
_MAX_REASON_CHARS = 40_000
_ARRIVAL = itertools.count(1)  # grows with every older-form event that this process takes in
Form = Literal["reporter", "events", "message"]


@dataclass
class Taken:
    """`messages` must be durable before `results` are told to anybody."""

    form: Form
    results: list[EventResult] = field(default_factory=list)
    messages: list[Outgoing] = field(default_factory=list)
    producer: tuple[str, RetentionClass] | None = None
    """Of a numbered message, with `last_seq`."""
    last_seq: int | None = None


class Door:
    """Takes in what one user posts into one workspace."""

    def __init__(self, workspace: str, user: str, is_reporter: bool = False) -> None:
        self._workspace, self._user = workspace, user
        self._max_events = None if is_reporter else MAX_EVENTS_PER_MESSAGE
        """Stock `argus-reporter` posts a whole spill file at once and would keep it for ever if that were refused."""

    def take_one(self, raw: Any) -> Taken:
        """One event alone: `Refused` where it is not accepted."""
        taken = Taken("reporter" if is_reporter_event(raw) else "events")
        event = _present_form(raw)
        _check(event)
        taken.results.append(_accepted(event))
        taken.messages = self._messages([event])
        return taken

    def take_many(self, raw: Any, body: bytes) -> Taken:
        """A list, an object with `events`, or an EventMessage. `Refused` where the whole is of a wrong shape or size.

        body: what `raw` was read from.
        """
        if isinstance(raw, dict) and "v" in raw:
            return self._take_message(cast("dict[str, Any]", raw), body)
        events: Any = cast("dict[str, Any]", raw).get("events") if isinstance(raw, dict) else raw
        if not isinstance(events, list):
            raise Malformed("events: a list is missing")
        return self._take_list(cast("list[Any]", events))

    def take_bundle(self, body: bytes) -> list[Taken | Refused]:
        """What the document of each line would have become alone; empty lines do not count. `Refused` is raised where there is
        none, or where they are too many or too large together."""
        if len(body) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"a bundle of {len(body)} bytes exceeds {MAX_MESSAGE_BYTES}")
        documents = [document for line in body.split(BETWEEN_DOCUMENTS) if (document := line.strip())]
        if not documents:
            raise Malformed("a bundle has at least one document")
        if len(documents) > MAX_DOCUMENTS_PER_BUNDLE:
            raise TooLarge(f"a bundle of {len(documents)} documents exceeds {MAX_DOCUMENTS_PER_BUNDLE}")
        return [self._take_document(document) for document in documents]

    def _take_document(self, document: bytes) -> Taken | Refused:
        try:
            raw = decoded(document)
            if not isinstance(raw, dict) or "v" not in raw:
                raise Malformed("v: a document of a bundle is an EventMessage")
            return self._take_message(cast("dict[str, Any]", raw), document)
        except Refused as error:
            return error

    def _take_list(self, events: list[Any]) -> Taken:
        if self._max_events is not None and len(events) > self._max_events:
            raise TooLarge(f"{len(events)} events exceed {self._max_events}")
        taken = Taken("reporter" if any(is_reporter_event(raw) for raw in events) else "events")
        good: list[dict[str, Any]] = []
        refusals: list[Refused] = []
        for raw in events:
            try:
                event = _present_form(raw)
                _check(event)
            except Refused as error:
                refusals.append(error)
                taken.results.append(_rejected(raw, error))
            else:
                good.append(event)
                taken.results.append(_accepted(event))
        if events and len(refusals) == len(events) and all(isinstance(error, WrongSchemaVersion) for error in refusals):
            raise refusals[0]
        taken.messages = self._messages(good)
        return taken

    def _take_message(self, raw: dict[str, Any], body: bytes) -> Taken:
        """An EventMessage. A numbered one goes through as it came: ingest counts its bad events, so that no gap stays, and
        keeps their very bytes."""
        if isinstance(raw["v"], int) and raw["v"] > WIRE_VERSION:
            raise NewerVersion(f"message version {raw['v']} is newer than {WIRE_VERSION}, which this build reads")
        try:
            message = EventMessage.model_validate(raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            raise Malformed(f"{'.'.join(str(part)[:64] for part in first['loc'])}: {first['msg']}"[:500]) from None
        if message.v != WIRE_VERSION:
            raise Malformed(f"v: {message.v} is not {WIRE_VERSION}")
        if message.producer_id is None or message.first_seq is None:
            taken = self._take_list(message.events)
            taken.form = "message"
            return taken
        batch_id = _one_batch(message.events)
        if len(body) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"a message of {len(body)} bytes exceeds {MAX_MESSAGE_BYTES}")
        if message.first_seq + len(message.events) > MAX_INT:
            raise Malformed("first_seq: the numbers of the events exceed 2**53")
        taken = Taken("message", producer=(message.producer_id, message.retention_class))
        taken.last_seq = message.first_seq + len(message.events) - 1
        for event in message.events:
            try:
                _check(event)
                if retention_class(event["kind"]) != message.retention_class:
                    raise Malformed(f"{event['kind']} does not travel as {message.retention_class}")
            except Refused as error:
                taken.results.append(_rejected(event, error))
            else:
                taken.results.append(_accepted(event))
        taken.messages = [Outgoing(event_subject(self._workspace, self._user, batch_id), body, len(message.events))]
        return taken

    def _messages(self, events: list[dict[str, Any]]) -> list[Outgoing]:
        """Events of foreign senders, in their order per batch and class, within the limits of a message."""
        groups: dict[tuple[str, RetentionClass], list[list[bytes]]] = {}
        sizes: dict[tuple[str, RetentionClass], int] = {}
        for event in events:
            group = (event["batch_id"], retention_class(event["kind"]))
            encoded = _encode(event)
            chunks = groups.setdefault(group, [[]])
            size = sizes.get(group, 0) + len(encoded) + 1
            if chunks[-1] and (
                len(chunks[-1]) >= MAX_EVENTS_PER_MESSAGE or size > MAX_MESSAGE_BYTES - _ROOM_FOR_ENVELOPE
            ):
                chunks.append([])
                size = len(encoded) + 1
            chunks[-1].append(encoded)
            sizes[group] = size
        return [
            Outgoing(
                event_subject(self._workspace, self._user, batch_id),
                b'{"v":2,"class":"' + name.encode() + b'","events":[' + b",".join(chunk) + b"]}",
                len(chunk),
            )
            for (batch_id, name), chunks in groups.items()
            for chunk in chunks
        ]


def joined(messages: Sequence[Outgoing], workspace: str, user: str) -> list[Outgoing]:
    """The same documents of this user's in their order, in as few messages as their limits allow."""
    bundles: list[list[Outgoing]] = []
    size = 0
    for message in messages:
        size += 1 + len(message.payload)
        if not bundles or size > MAX_MESSAGE_BYTES or len(bundles[-1]) >= MAX_DOCUMENTS_PER_BUNDLE:
            bundles.append([])
            size = len(message.payload)
        bundles[-1].append(message)
    return [_bundle(bundle, bundle_subject(workspace, user)) for bundle in bundles]


def _bundle(messages: list[Outgoing], subject: str) -> Outgoing:
    subjects = {message.subject for message in messages}
    return Outgoing(
        subjects.pop() if len(subjects) == 1 else subject,
        BETWEEN_DOCUMENTS.join([message.payload for message in messages]),
        sum(message.n_events for message in messages),
    )


def _present_form(raw: Any) -> dict[str, Any]:
    """The event as foreign senders' events go into the log: no `seq`, log lines cut and never refused."""
    if not isinstance(raw, dict):
        raise Malformed("an event is a JSON object")
    if is_reporter_event(raw):
        event = upcast_reporter_event(cast("dict[str, Any]", _readable(raw)), next(_ARRIVAL))
        data = event["data"]
        if isinstance(data.get("reason"), str) and len(data["reason"]) > _MAX_REASON_CHARS:
            data["reason"] = data["reason"][:_MAX_REASON_CHARS] + " … [cut by Argus]"
    else:
        event = {key: value for key, value in cast("dict[str, Any]", raw).items() if key != "seq"}
    if event.get("kind") == "log_line":
        event["data"] = _cut_line(event.get("data"))
    return event


def _readable(value: Any, depth: int = 0) -> Any:
    """Older-form JSON as Python writes it, as JSON that everybody stores: not-finite numbers as text, no lone surrogates, no NUL."""
    if depth > MAX_JSON_DEPTH:
        raise Malformed(f"JSON is nested deeper than {MAX_JSON_DEPTH}")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, str):
        text = value if value.isascii() else value.encode("utf-8", "replace").decode()
        return text.replace("\x00", "\ufffd")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)[:400]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {_readable(key): _readable(inner, depth + 1) for key, inner in items}
    if isinstance(value, list):
        return [_readable(inner, depth + 1) for inner in cast("list[Any]", value)]
    return value


def _cut_line(data: Any) -> Any:
    """`data` of a log line whose text has at most 16 KiB."""
    if not isinstance(data, dict):
        return cast("Any", data)
    line: Any = cast("dict[str, Any]", data).get("line")
    if not isinstance(line, str) or len(line) <= MAX_LOG_LINE_BYTES // 4:
        return cast("Any", data)
    raw = line.encode("utf-8", "replace")
    if len(raw) <= MAX_LOG_LINE_BYTES:
        return cast("Any", data)
    marker = f" … [cut: {len(raw)} bytes]"
    kept = raw[: MAX_LOG_LINE_BYTES - len(marker.encode())].decode("utf-8", "ignore")
    return {**cast("dict[str, Any]", data), "line": kept + marker}


def _check(raw: Any) -> Event:
    """`Refused` where the event may not be said, or ingest would not take it."""
    event = parse_event(raw)
    if raw["kind"] in FACTS_OF_ARGUS:
        raise NotYoursToSay(f"{raw['kind']} states a decision of Argus itself")
    if event.batch_id.startswith(OF_NO_RUN):
        raise NotYoursToSay(f"batch_id: what begins with {OF_NO_RUN} names facts of Argus itself, and no run")
    _check_depth(raw, 1)
    encoded = _encode(raw)
    if b"\\u0000" in encoded and _has_nul(raw):
        raise Malformed("a text has the character NUL, which cannot be stored")
    size = len(encoded)
    if size > MAX_EVENT_BYTES:
        raise TooLarge(f"an event of {size} bytes exceeds {MAX_EVENT_BYTES}")
    return event


def _check_depth(container: Any, depth: int) -> None:
    """`container`: a list or an object; anything else is a plain value and was checked with its class."""
    if depth > MAX_JSON_DEPTH:
        raise Malformed(f"JSON is nested deeper than {MAX_JSON_DEPTH}")
    inner: Any = container.values() if isinstance(container, dict) else container if isinstance(container, list) else ()
    for value in cast("list[Any]", inner):
        if isinstance(value, dict | list):
            _check_depth(value, depth + 1)
        elif isinstance(value, float) and not math.isfinite(value):
            raise Malformed(
                "a number is not finite: JSON has no token for it, send the text NaN, Infinity or -Infinity"
            )


def _has_nul(value: Any) -> bool:
    """Of a value whose depth was checked. Ingest would bury it after it was called accepted."""
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(part) for item in cast("dict[str, Any]", value).items() for part in item)
    return isinstance(value, list) and any(_has_nul(part) for part in cast("list[Any]", value))


def _encode(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, RecursionError):  # lone surrogates, whole numbers beyond 64 bits, depth
        raise Malformed("the event holds text or numbers that JSON cannot carry") from None


def _one_batch(events: list[Any]) -> str:
    batches = {event.get("batch_id") if isinstance(event, dict) else None for event in events}
    batches = {batch for batch in batches if isinstance(batch, str) and batch}
    if len(batches) != 1:
        raise Malformed("events: one message is about one batch")
    return batches.pop()


def _accepted(event: dict[str, Any]) -> EventResult:
    return EventResult(event_id=str(event["event_id"]), status="accepted")


def _rejected(raw: Any, error: Refused) -> EventResult:
    event_id: Any = cast("dict[str, Any]", raw).get("event_id") if isinstance(raw, dict) else None
    return EventResult(
        event_id=event_id[:64].encode("ascii", "replace").decode() if isinstance(event_id, str) else None,
        status="rejected",
        error=in_words(error),
    )


def in_words(error: Refused) -> str:
    """Code and reason, as text that JSON can carry."""
    return f"{error.code}: {error.reason}".encode("utf-8", "replace").decode()
