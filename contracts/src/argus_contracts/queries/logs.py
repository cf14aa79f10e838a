"""The log of a job or a run."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from argus_contracts.queries.common import Answer, Asked


class ListLogLines(Asked):
    """Without `before` and `after_line`: the newest lines. Lines always come oldest first within an answer."""

    batch_id: str
    job_id: str | None = None
    """None: the lines of the batch itself and of all its jobs."""
    before: str | None = None
    """The `cursor` of a line: answer the lines that stand just before it."""
    after_line: str | None = None
    """The `cursor` of a line: answer the lines that follow it."""
    limit: Annotated[int, Field(ge=1, le=2000)] = 200
    level: list[str] = []
    search: str | None = None
    """A substring; letter case does not matter. At most the newest 200,000 lines are looked at."""


class LogEntry(BaseModel):
    """One line. Its text is text: never markup."""

    cursor: str
    job_id: str | None
    attempt: int
    line_no: int | None
    stream: Literal["stdout", "stderr", "log"]
    level: str | None
    line: str
    occurred_at: datetime
    missing_before: int
    """How many line numbers are missing between the line before and this one (0 with foreign senders)."""


class LogLines(Answer):
    lines: list[LogEntry]
    before: str | None
    """Cursor for the older page, null where this is the beginning."""
    after: str | None
    """Cursor of the newest line, null where there is none."""
    dropped: int
    """How many lines the sender says it had to drop."""
