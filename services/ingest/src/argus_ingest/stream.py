"""The stream ARGUS_EVENTS and the durable that ingest reads it by: made, or brought to what this build expects."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import NotFoundError

from argus_contracts.quantities import MAX_MESSAGE_BYTES
from argus_contracts.subjects import EVENTS_STREAM, EVENTS_SUBJECTS
from argus_ingest.settings import Settings

DURABLE = "ingest-log"
STREAM_FIELDS = (
    "subjects", "discard", "max_bytes", "max_msg_size", "num_replicas", "deny_delete", "deny_purge",
)  # fmt: skip
DURABLE_FIELDS = ("ack_wait", "max_deliver", "max_ack_pending", "filter_subject")
"""What is compared: the rest cannot be changed, or means nothing to us."""
_HEADROOM_BYTES = 16 * 1024
_NS = 1_000_000_000
logger = logging.getLogger(__name__)


def stream_config(settings: Settings) -> StreamConfig:
    """Interest ends with ingest: a message that it acknowledged is in Postgres and leaves the broker.

    A full stream refuses (`discard: new`), and so does a purge: what is in it has been promised to its sender. (JetStream
    itself sends its acknowledgement to whatever reply subject a publisher names, unchecked: `$JS.API.STREAM.PURGE.…` too,
    and a server that does not read JSON strictly would take it for a wish.)
    """
    return StreamConfig(
        name=EVENTS_STREAM,
        subjects=[EVENTS_SUBJECTS],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=settings.events_max_bytes,
        max_msg_size=MAX_MESSAGE_BYTES + _HEADROOM_BYTES,
        num_replicas=settings.events_replicas,
        duplicate_window=120,
        allow_rollup_hdrs=False,
        deny_delete=True,
        deny_purge=True,
    )


def consumer_config(settings: Settings) -> ConsumerConfig:
    """Redelivered for ever: ingest itself decides when a message is hopeless."""
    return ConsumerConfig(
        durable_name=DURABLE,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=settings.ingest_ack_wait_seconds,
        max_deliver=-1,
        max_ack_pending=settings.ingest_fetch_messages * 4,
        filter_subject=EVENTS_SUBJECTS,
    )


async def ensure_stream_and_consumer(
    jetstream: JetStreamContext, settings: Settings
) -> tuple[StreamInfo, ConsumerInfo]:
    """Both exist with this build's configuration, and this is how they stand; a difference that was found, or that one was
    missing, is in the log of the process.

    Errors of the broker are raised: the caller tries again.
    """
    wanted = stream_config(settings)
    try:
        stream = await jetstream.stream_info(EVENTS_STREAM)
    except NotFoundError:
        stream = await jetstream.add_stream(wanted)
        logger.warning("made the stream %s", EVENTS_STREAM)
    if drift := _drift(stream.config, wanted, STREAM_FIELDS):
        logger.warning("stream %s was changed by somebody: %s; set back", EVENTS_STREAM, drift)
        stream = await jetstream.update_stream(wanted)
    durable = consumer_config(settings)
    try:
        consumer = await jetstream.consumer_info(EVENTS_STREAM, DURABLE)
    except NotFoundError:
        consumer = await jetstream.add_consumer(EVENTS_STREAM, durable)
        logger.warning("made the durable %s", DURABLE)
    if drift := _drift(consumer.config, durable, DURABLE_FIELDS):
        logger.warning("durable %s was changed by somebody: %s; set back", DURABLE, drift)
        consumer = await jetstream.add_consumer(EVENTS_STREAM, durable)
    return stream, consumer


def _drift(found: Any, wanted: Any, names: Sequence[str]) -> str:
    """Where the two differ, in words; '' where they do not."""
    different = (name for name in names if getattr(found, name) != getattr(wanted, name))
    return "; ".join(f"{name} {getattr(found, name)!r}, not {getattr(wanted, name)!r}" for name in different)
