"""The stream ARGUS_COMMANDS and the durable that the deleter reads it by: made, or brought to what this build expects."""

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

from argus_contracts.subjects import COMMANDS_STREAM, COMMANDS_SUBJECTS
from argus_deleter.settings import Settings

DURABLE = "deleter-outputs"
FILTER = "argus.commands.deleter.*"
MAX_COMMAND_BYTES = 1024 * 1024
AT_ONCE = 16
STREAM_FIELDS = ("subjects", "discard", "max_bytes", "max_msg_size", "num_replicas")
DURABLE_FIELDS = ("ack_wait", "max_deliver", "max_ack_pending", "filter_subject")
"""What is compared: the rest cannot be changed, or means nothing to us."""
logger = logging.getLogger(__name__)


def stream_config(settings: Settings) -> StreamConfig:
    """A command that its service has acknowledged is decided and leaves the broker. A full stream refuses."""
    return StreamConfig(
        name=COMMANDS_STREAM,
        subjects=[COMMANDS_SUBJECTS],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=settings.commands_max_bytes,
        max_msg_size=MAX_COMMAND_BYTES,
        num_replicas=settings.commands_replicas,
        duplicate_window=120,
    )


def consumer_config(settings: Settings) -> ConsumerConfig:
    """Redelivered for ever: the deleter itself decides when a command is hopeless."""
    return ConsumerConfig(
        name=DURABLE,
        durable_name=DURABLE,
        ack_policy=AckPolicy.EXPLICIT,
        deliver_policy=DeliverPolicy.ALL,
        ack_wait=settings.commands_ack_wait_s,
        max_deliver=-1,
        max_ack_pending=AT_ONCE * 16,
        filter_subject=FILTER,
    )


async def ensure_stream_and_consumer(
    jetstream: JetStreamContext, settings: Settings
) -> tuple[StreamInfo, ConsumerInfo]:
    """Both exist with this build's configuration. Errors of the broker are raised: the caller tries again."""
    wanted = stream_config(settings)
    try:
        stream = await jetstream.stream_info(COMMANDS_STREAM)
    except NotFoundError:
        stream = await jetstream.add_stream(wanted)
        logger.warning("made the stream %s", COMMANDS_STREAM)
    if drift := _drift(stream.config, wanted, STREAM_FIELDS):
        logger.warning("stream %s was changed by somebody: %s; set back", COMMANDS_STREAM, drift)
        stream = await jetstream.update_stream(wanted)
    durable = consumer_config(settings)
    try:
        consumer = await jetstream.consumer_info(COMMANDS_STREAM, DURABLE)
    except NotFoundError:
        consumer = await jetstream.add_consumer(COMMANDS_STREAM, durable)
        logger.warning("made the durable %s", DURABLE)
    if drift := _drift(consumer.config, durable, DURABLE_FIELDS):
        logger.warning("durable %s was changed by somebody: %s; set back", DURABLE, drift)
        consumer = await jetstream.add_consumer(COMMANDS_STREAM, durable)
    return stream, consumer


def _drift(found: Any, wanted: Any, names: Sequence[str]) -> str:
    """Where the two differ, in words; '' where they do not."""
    different = (name for name in names if getattr(found, name) != getattr(wanted, name))
    return "; ".join(f"{name} {getattr(found, name)!r}, not {getattr(wanted, name)!r}" for name in different)
