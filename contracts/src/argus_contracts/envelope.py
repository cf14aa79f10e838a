"""The envelope of every event, and the message that carries lists of them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, Strict

from argus_contracts.quantities import (
    MAX_EVENTS_PER_MESSAGE,
    Attempt,
    BatchId,
    Count,
    JobId,
    Occurred,
    ProducerId,
    RetentionClass,
)


class Data(BaseModel):
    """What an event says. Unknown extra fields are kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Event(BaseModel):
    """A fact as its sender states it. Argus adds `workspace`, `user`, `received_at` and `position` itself.

    Every class adds `kind` (a literal) and `data`; what it is about comes from `BatchEvent`, `JobEvent` or `AnyEvent`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    RETENTION: ClassVar[RetentionClass] = "lifecycle"
    VERSION: ClassVar[int] = 1
    OF_ARGUS: ClassVar[bool] = False
    """It states a decision of Argus itself: nobody's connection may say it, because that would forge a decision."""
    OF_WORKSPACE: ClassVar[bool] = False
    """About a workspace, which its data name, and about no batch: its `batch_id` begins with `quantities.OF_NO_RUN`."""

    event_id: UUID
    """Unique for ever. UUIDv7 from our SDK."""
    version: Annotated[int, Strict(), Field(ge=1)] = 1
    batch_id: BatchId
    attempt: Attempt = 1
    """Which start of this batch; a resume adds one."""
    seq: Count | None = None
    """Contiguous per producer and retention class; absent from foreign senders."""
    occurred_at: Occurred
    """The sender's clock, UTC, microseconds."""


class BatchEvent(Event):
    """About a batch, never about one of its jobs."""

    job_id: None = None


class JobEvent(Event):
    """About one job. A job is (`batch_id`, `job_id`)."""

    job_id: JobId


class AnyEvent(Event):
    """About one job, or (`job_id` None) about the batch itself."""

    job_id: JobId | None = None


BETWEEN_DOCUMENTS = b"\n"
"""Joins the documents of a bundle."""
_CUT = b"}" + BETWEEN_DOCUMENTS + b"{"


def documents_of(message: bytes) -> list[bytes]:
    """The documents of a bundle, or of a message that is none the message itself, with the bytes as they came."""
    if _CUT not in message:
        return [message]
    first, *further = message.split(_CUT)
    return [first + b"}", *(b"{" + part + b"}" for part in further[:-1]), b"{" + further[-1]]


class EventMessage(BaseModel):
    """One document on `ARGUS_EVENTS`: events of one batch and one retention class, in the order of their `seq`.

    At most 500 events; a re-send keeps the bounds. `events` is validated one by one with
    `argus_contracts.registry.parse_event`, so that one bad event does not take its neighbours with it.

    One message of the broker is one document, or a bundle: several of them, one a line, joined by `BETWEEN_DOCUMENTS`.
    A message has at most 256 KiB, a bundle at most 256 documents; one with more is refused whole, and nobody hears
    which numbers were in it. A document has no raw line break inside: a bundle is cut wherever `}`, a line break and
    `{` follow each other, which no single JSON text can have in it (`}` is never followed by `{`, and a line break in a
    text is written as an escape). Each document is dealt with as if it had come alone: in the order of the lines, a bad one
    without its neighbours, and repeats need not be bundled as before. Documents may be of several batches of one user:
    on the subject `subjects.bundle_subject` of any, on a numbered partition of those that belong there.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    v: Annotated[int, Strict()]
    producer_id: ProducerId | None = None
    retention_class: Annotated[RetentionClass, Field(alias="class")]
    first_seq: Count | None = None
    """`seq` of `events[0]`; the others follow without a hole. None with a foreign sender."""
    events: Annotated[list[Any], Field(min_length=1, max_length=MAX_EVENTS_PER_MESSAGE)]


class Stored(BaseModel):
    """Published on `argus.stored.<workspace>.<user>` after a commit: what a producer need not keep any more.

    A message there is one of these as a JSON object; or a list of at most 200 of them, each of another producer or class,
    which only who sends bundles needs to understand: other producers are told of in objects.
    Every `seq` below `next_seq` of this producer and class is in the log or in `dead_letters`; above it `ranges`
    lists further ones that are ([first, last] pairs, both inclusive, ascending).
    """

    producer_id: ProducerId
    retention_class: Annotated[RetentionClass, Field(alias="class")]
    next_seq: Count
    ranges: list[tuple[Count, Count]] = []

    model_config = ConfigDict(populate_by_name=True, frozen=True)
