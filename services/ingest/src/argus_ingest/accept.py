"""What a message says, checked: which of its events can be accepted, and why the others can not. Pure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, cast

import orjson
from pydantic import BaseModel, Field, ValidationError

from argus_contracts.alike import alike
from argus_contracts.envelope import BETWEEN_DOCUMENTS, EventMessage, documents_of
from argus_contracts.errors import (
    Malformed,
    NewerVersion,
    NotYoursToSay,
    Refused,
    TooLarge,
    UnknownBatch,
    WrongSubject,
)
from argus_contracts.quantities import (
    MAX_DOCUMENTS_PER_BUNDLE,
    MAX_EVENT_BYTES,
    MAX_INT,
    MAX_MESSAGE_BYTES,
    OF_NO_RUN,
    WIRE_VERSION,
    Count,
    ProducerId,
    RetentionClass,
)
from argus_contracts.registry import EVENT_CLASSES, FACTS_OF_ARGUS, FACTS_OF_WORKSPACES, parse_event
from argus_contracts.subjects import EventSource, parse_event_subject, partition
from argus_ingest.json_bytes import check_text_and_depth, decode, event_slices, may_be_deep
from argus_ingest.ranges import Range

logger = logging.getLogger(__name__)
_EVENT_ID = b'"event_id"'


@dataclass(slots=True)
class Buried:
    """What can never be accepted: a row for `dead_letters`, with the bytes as they came.

    numbers: producer, class and the seqs that only this row accounts for, where a numbered message is buried whole.
    """

    refused: Refused
    subject: str
    raw: bytes
    source: EventSource | None
    numbers: tuple[str, RetentionClass, list[Range]] | None = None


@dataclass(slots=True)
class Incoming:
    """The acceptable events of one document, and the refused ones.

    payload: a JSON object with the `n_events` acceptable events under "events"; the message as it came where that is
    all of them. Kept instead of the events: a commit has ten thousands of them, and hardly ever looks at one.
    raw: the document as it came.
    indexes, seqs: of the acceptable events, their places in the document and their numbers (none with a foreign sender).
    first_seq, last_seq: the range that the whole document covers, refused events included.
    whole: no event of it could even be looked at; `buried` is the document.
    bundled: it came beside others in one message.
    """

    subject: str
    source: EventSource
    raw: bytes
    batch_id: str
    retention_class: RetentionClass
    producer_id: str | None
    first_seq: int | None
    last_seq: int | None
    n_events: int
    indexes: Sequence[int]
    seqs: Sequence[int]
    payload: bytes
    buried: list[Buried] = field(default_factory=list[Buried])
    whole: bool = False
    bundled: bool = False

    @property
    def of_workspace(self) -> bool:
        """Facts about a workspace, which `source` names, and about nobody's run."""
        return self.batch_id.startswith(OF_NO_RUN)

    def events(self) -> list[dict[str, Any]]:
        return orjson.loads(self.payload)["events"] if self.n_events else []


class _Numbers(BaseModel):
    """Which events a message of any version says it holds."""

    producer_id: ProducerId
    retention_class: Annotated[RetentionClass, Field(alias="class")]
    first_seq: Count
    events: Annotated[list[Any], Field(min_length=1)]


def accept(subject: str, raw: bytes) -> list[Incoming | Buried]:
    """What the message `raw`, received on `subject`, may add to the log: one answer per document, in their order.

    `Buried` where a document is hopeless and nobody knows its numbers; `Incoming.whole` where they are known, so that
    its sender hears that it is dealt with. A bundle over its limits is one `Buried`.
    """
    try:
        source = parse_event_subject(subject)
    except Refused as refused:
        return [Buried(refused, subject, raw, None)]
    if BETWEEN_DOCUMENTS not in raw:  # nearly always one document
        return [_judge(subject, source, raw)]
    documents = documents_of(raw)
    if len(documents) == 1:
        return _judge_lines(subject, source, raw)
    if len(raw) > MAX_MESSAGE_BYTES:
        return [Buried(TooLarge(_over_the_limit(raw)), subject, raw, source)]
    if len(documents) > MAX_DOCUMENTS_PER_BUNDLE:
        reason = f"a bundle of {len(documents)} documents exceeds {MAX_DOCUMENTS_PER_BUNDLE}"
        return [Buried(TooLarge(reason), subject, raw, source)]
    has_odd_lines = len(documents) <= raw.count(BETWEEN_DOCUMENTS) < MAX_DOCUMENTS_PER_BUNDLE
    judge = _judge_lines if has_odd_lines else _judge_alone
    arrived = [judged for document in documents for judged in judge(subject, source, document)]
    for one in arrived:
        if isinstance(one, Incoming):
            one.bundled = True
    return arrived


def _judge_alone(subject: str, source: EventSource, document: bytes) -> list[Incoming | Buried]:
    return [_judge(subject, source, document)]


def _judge_lines(subject: str, source: EventSource, document: bytes) -> list[Incoming | Buried]:
    """The document; or, where it can only be read line by line, the lines: a bad one has neither `{` in front nor `}` at its
    end, and has not been told from its neighbours."""
    whole = _judge(subject, source, document)
    is_too_much = len(document) > MAX_MESSAGE_BYTES or document.count(BETWEEN_DOCUMENTS) >= MAX_DOCUMENTS_PER_BUNDLE
    if isinstance(whole, Incoming) or is_too_much:
        return [whole]
    lines = [_judge(subject, source, line) for line in document.split(BETWEEN_DOCUMENTS) if line.strip()]
    return lines if any(isinstance(line, Incoming) for line in lines) else [whole]


def _judge(subject: str, source: EventSource, raw: bytes) -> Incoming | Buried:
    """One document."""
    said_by: EventSource | None = source
    try:
        if len(raw) > MAX_MESSAGE_BYTES:
            raise TooLarge(_over_the_limit(raw))
        value, plain = decode(raw)
        if _is_answer_of_the_broker(value):
            said_by = None  # whose subject it is has not said it, and who has is not known
            raise Malformed("an answer of the broker, steered here by the reply subject of somebody's message")
        return _incoming(subject, source, _message(value), raw, plain)
    except Refused as refused:
        return _whole(Buried(refused, subject, raw, said_by))
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        # A message that trips a fault of ours would trip it at every delivery, and hold up all that are fetched with it.
        logger.exception("a message on %s could not be read", subject)
        return Buried(Malformed(f"Argus could not read it: {type(error).__name__}"), subject, raw, said_by)


def _over_the_limit(raw: bytes) -> str:
    return f"a message of {len(raw)} bytes exceeds {MAX_MESSAGE_BYTES}"


def _whole(letter: Buried) -> Incoming | Buried:
    """The letter as a message without any event that can be accepted; or the letter, where it does not say its numbers."""
    if letter.source is None:
        return letter
    try:
        numbers = _Numbers.model_validate(decode(letter.raw)[0])
        _check_numbers(numbers.first_seq, len(numbers.events))
    except (Refused, ValidationError):
        return letter
    return Incoming(
        subject=letter.subject,
        source=letter.source,
        raw=letter.raw,
        batch_id="",
        retention_class=numbers.retention_class,
        producer_id=numbers.producer_id,
        first_seq=numbers.first_seq,
        last_seq=numbers.first_seq + len(numbers.events) - 1,
        n_events=0,
        indexes=[],
        seqs=[],
        payload=b"",
        buried=[letter],
        whole=True,
    )


def _is_answer_of_the_broker(value: Any) -> bool:
    """JetStream's acknowledgement, or what `$SYS.REQ.USER.INFO` says. The broker sends them to any subject that a publisher
    names as reply, and asks nobody whether the publisher may say anything there."""
    if not isinstance(value, dict):
        return False
    fields = cast("dict[str, Any]", value)
    return "v" not in fields and ({"stream", "seq"} <= fields.keys() or {"server", "data"} <= fields.keys())


def _message(value: Any) -> EventMessage:
    if not isinstance(value, dict):
        raise Malformed("a message is a JSON object")
    fields = cast("dict[str, Any]", value)
    version = fields.get("v")
    if isinstance(version, int) and version > WIRE_VERSION:
        raise NewerVersion(f"message version {version} is newer than {WIRE_VERSION}, which this build reads")
    if version != WIRE_VERSION or isinstance(version, bool):
        raise Malformed(f"v: {WIRE_VERSION} is missing")
    try:
        return EventMessage.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise Malformed(f"{'.'.join(str(part)[:64] for part in first['loc'])}: {first['msg']}"[:500]) from None


def _check_numbers(first_seq: int, n_events: int) -> None:
    if first_seq + n_events > MAX_INT:
        raise Malformed(f"first_seq: {n_events} events from {first_seq} on exceed 2**53")


def _incoming(subject: str, source: EventSource, message: EventMessage, raw: bytes, plain: bool) -> Incoming:
    numbered = message.producer_id is not None and message.first_seq is not None
    if numbered and message.first_seq is not None:
        _check_numbers(message.first_seq, len(message.events))
    usual = plain and b"\\u0000" not in raw and not may_be_deep(raw) and _all_are_small(raw, len(message.events))
    usual = usual and source.service is None  # what a workspace is told of is looked at one by one
    indexes: Sequence[int] = range(len(message.events))
    buried: list[Buried] = []
    batch_id = _in_common(message, source) if usual else None
    if batch_id is None:
        batch_id, indexes, buried = _one_by_one(subject, source, message, raw)
    unchanged = plain and not buried
    if batch_id is not None and batch_id.startswith(OF_NO_RUN):
        source = replace(source, workspace=_workspace_of(message.events[indexes[0]]))
    first = message.first_seq if numbered else None
    return Incoming(
        subject=subject,
        source=source,
        raw=raw,
        batch_id=batch_id or "",
        retention_class=message.retention_class,
        producer_id=message.producer_id if numbered else None,
        first_seq=first,
        last_seq=None if first is None else first + len(message.events) - 1,
        n_events=len(indexes),
        indexes=indexes,
        seqs=[] if first is None else [first + index for index in indexes],
        payload=raw if unchanged else orjson.dumps({"events": [message.events[index] for index in indexes]}),
        buried=buried,
    )


def _one_by_one(
    subject: str, source: EventSource, message: EventMessage, raw: bytes
) -> tuple[str | None, list[int], list[Buried]]:
    """The batch, which events are acceptable, and the refused ones."""
    batch_id: str | None = None
    workspace: str | None = None
    indexes: list[int] = []
    buried: list[Buried] = []
    slices: list[bytes] = []
    for index, event in enumerate(message.events):
        try:
            check_text_and_depth(event)
            _check_size(event)
            own = parse_event(event).batch_id
            if own != batch_id:
                _check_batch(own, batch_id, source)
            _check_kind(event["kind"], message.retention_class, source)
            if event["kind"] in FACTS_OF_WORKSPACES:
                about = _workspace_of(event)
                if workspace not in (None, about):
                    raise Malformed("data.workspace: a message tells of one workspace")
                workspace = about
            elif own.startswith(OF_NO_RUN):
                raise UnknownBatch(f"batch {own} is no run")
        except Refused as refused:
            slices = slices or event_slices(raw)
            buried.append(Buried(refused, subject, slices[index], source))
            continue
        batch_id = own
        indexes.append(index)
    return batch_id, indexes, buried


def _in_common(message: EventMessage, source: EventSource) -> str | None:
    """The batch of all events of the message, where nothing is wrong with any of them: nearly always."""
    common = alike(message.events)
    if common is None:
        return None
    try:
        _check_batch(common.batch_id, None, source)
        for kind in common.kinds:
            _check_kind(kind, message.retention_class, source)
    except Refused:
        return None  # each is refused for itself
    return common.batch_id


def _workspace_of(fact: dict[str, Any]) -> str:
    """Which workspace a fact about a workspace names."""
    return fact["data"]["workspace"]


def _check_batch(own: str, message_batch: str | None, source: EventSource) -> None:
    if own.startswith(OF_NO_RUN) and source.service is None:
        raise NotYoursToSay(f"batch_id: what begins with {OF_NO_RUN} names facts of Argus itself, and no run")
    if message_batch is not None:
        raise Malformed("batch_id: a message holds events of one batch")
    if source.partition is not None and partition(own) != source.partition:
        raise WrongSubject(f"batch {own} belongs to partition {partition(own)}, not {source.partition}")


def _check_kind(kind: str, place: RetentionClass, source: EventSource) -> None:
    if place != EVENT_CLASSES[kind].RETENTION:
        raise Malformed(f"kind: {kind} does not travel in class {place}")
    if kind in FACTS_OF_ARGUS and source.service is None:
        raise NotYoursToSay(f"{kind} states a decision of Argus itself")
    if kind not in FACTS_OF_ARGUS and source.service is not None:
        raise NotYoursToSay(f"{kind} is no decision of Argus: only the run itself can say it")


def _all_are_small(raw: bytes, n_events: int) -> bool:
    """True is sure, of valid events. Each has an `event_id`; where there are no more of these than events, every event
    lies between the one before its own and the one behind it. (Unless the name is written with an escape.)"""
    if len(raw) <= MAX_EVENT_BYTES:
        return True
    pieces = [len(piece) for piece in raw.split(_EVENT_ID)]
    return (
        len(pieces) == n_events + 1
        and b"\\u" not in raw
        and all(a + len(_EVENT_ID) + b <= MAX_EVENT_BYTES for a, b in pairwise(pieces))
    )


def _check_size(event: Any) -> None:
    size = len(orjson.dumps(event))
    if size > MAX_EVENT_BYTES:
        raise TooLarge(f"an event of {size} bytes exceeds {MAX_EVENT_BYTES}")
