"""Limits and types of the values on the wire. Units stand in the names."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, Strict, StringConstraints

WIRE_VERSION = 2
MAX_EVENTS_PER_MESSAGE = 500
MAX_MESSAGE_BYTES = 256 * 1024
"""Of one message of the broker, whether it is one document or a bundle of them."""
MAX_DOCUMENTS_PER_BUNDLE = 256
MAX_WATERMARKS_PER_MESSAGE = 200
MAX_EVENT_BYTES = 64 * 1024
MAX_LOG_LINE_BYTES = 16 * 1024
MAX_METRICS_PER_EVENT = 1_000
MAX_JSON_DEPTH = 32
MAX_INT = 2**53  # the largest whole number that every JSON reader, browsers included, keeps exactly
N_PARTITIONS = 64

_BATCH_ID = r"^[A-Za-z0-9._:\-]{1,128}$"
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)
BATCH_ID_PATTERN = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
OF_NO_RUN = "argus:"
"""How the `batch_id` of a fact begins that is about no run. No user's run may be named so: whoever had the name could have
all that is said under it purged."""
PRICES: Final = "argus:prices"
"""The `batch_id` of all prices."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the text has characters that cannot be printed")
    return text


BatchId = Annotated[str, StringConstraints(pattern=_BATCH_ID)]
JobId = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_printable)]
ProducerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]
Occurred = Annotated[AwareDatetime, Field(ge=_EARLIEST, lt=_LATEST)]
Count = Annotated[int, Strict(), Field(ge=0, le=MAX_INT)]
"""A whole number from 0 to 2**53."""
Integer = Annotated[int, Strict(), Field(ge=-MAX_INT, le=MAX_INT)]
Attempt = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Percent = Annotated[float, Strict(), Field(ge=0, le=100_000, allow_inf_nan=False)]
"""0 to 100 for one unit; the CPU time of a process on n cores goes up to n * 100."""
Metric = Number | Literal["NaN", "Infinity", "-Infinity"]
"""A measured value. NaN and infinity are data and travel as text, because JSON has no token for them."""
Short = Annotated[str, StringConstraints(max_length=1024)]
Text = Annotated[str, StringConstraints(max_length=48 * 1024)]
MetricKey = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Json = Any
RetentionClass = Literal["lifecycle", "metrics", "snapshots", "log_lines"]
RETENTION_CLASSES: tuple[RetentionClass, ...] = ("lifecycle", "metrics", "snapshots", "log_lines")
