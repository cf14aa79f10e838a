"""What all questions and answers share: who asks, how far the read models are, and the words for a status."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

RunStatus = Literal["queued", "running", "stopping", "succeeded", "failed", "aborted"]
JobStatus = Literal["queued", "running", "succeeded", "failed", "aborted", "cached"]
Limit = Annotated[int, Field(ge=1, le=200)]


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Viewer(Question):
    """Who asks, as the gateway has checked it. Rows outside are as if they did not exist."""

    user: str
    workspaces: list[str] = []
    """Whose runs the viewer may see."""
    all_workspaces: bool = False
    """A global admin sees every workspace."""


class Asked(Question):
    """Base of every question."""

    viewer: Viewer
    after: int | None = None
    """Wait up to 2 s until this log position is projected (read your own writes)."""


class Answer(BaseModel):
    """Base of every answer."""

    model_config = ConfigDict(extra="forbid")

    position: int
    """The log position up to which everything is projected into this answer."""


class Because(BaseModel):
    """A fact that led to a status."""

    event_id: str
    kind: str
    occurred_at: datetime
    position: int


class Problem(BaseModel):
    """What `query` answers where it cannot answer the question; the gateway maps `code` to a status.

    Codes: `not_found`, `bad_question`, `unavailable`.
    """

    code: str
    detail: str


ACCEPT_ENCODING, CONTENT_ENCODING, ZSTD = "Accept-Encoding", "Content-Encoding", "zstd"
"""Headers of a NATS message, as HTTP has them. A question that accepts `zstd` may be answered with content in that encoding:
the `answer` of the envelope alone, packed. So a long answer is packed once, and is passed on as it is to who asked for it."""


class Envelope(BaseModel):
    """Every NATS reply: either `answer` or `problem`; or, under the header above, a packed answer."""

    answer: Any = None
    problem: Problem | None = None
