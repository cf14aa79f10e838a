"""What the object store's errors mean. Pure but for the time."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from botocore.exceptions import ClientError

CLOCK_IS_OFF, CLOCK_OFF_S = "RequestTimeTooSkewed", 880.0
"""A store takes no signature that is 15 minutes old or young; a refusal under a clock that is off by less has another reason."""
TOO_FAST = {
    "SlowDown", "503", "429", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded",
    "TooManyRequests", "BandwidthLimitExceeded",
}  # fmt: skip
"""The store asks for fewer calls."""
PASSING = TOO_FAST | {
    "InternalError",
    "500",
    "502",
    "504",
    "RequestTimeout",
    CLOCK_IS_OFF,
    "OperationAborted",
}
"""The same call may succeed a little later."""
UNKNOWN_TO_IT = {"NotImplemented", "MethodNotAllowed", "501", "405"}


def code_of(error: ClientError) -> str:
    """S3's name of it; else the status."""
    code = str(error.response.get("Error", {}).get("Code") or "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status == 403 and abs(_clock_ahead_s(error)) > CLOCK_OFF_S:
        return CLOCK_IS_OFF  # stores have several names for it, and none in an answer to HEAD, which has no body
    return "503" if status == 503 and code not in PASSING else code or str(status)


def message_of(error: ClientError, code: str) -> str:
    """What the store says, and of a clock that is off by how much."""
    said = str(error.response.get("Error", {}).get("Message", ""))
    ahead_s = _clock_ahead_s(error) if code == CLOCK_IS_OFF else 0.0
    if not ahead_s:
        return said
    return f"{said}: this machine's clock is {abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0 else 'behind'} the store's"


def _clock_ahead_s(error: ClientError) -> float:
    """Of the store's clock, by the date of its answer; 0 where that has none."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return (datetime.now(UTC) - parsedate_to_datetime(headers.get("date", ""))).total_seconds()
    except (TypeError, ValueError):
        return 0.0
