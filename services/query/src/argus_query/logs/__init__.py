"""The lines that jobs and runs have written, and their tail."""

from __future__ import annotations

from argus_query.logs.cursors import BadCursor
from argus_query.logs.projection import LogsReadModel
from argus_query.logs.reads import LogLinesFields, count_log_lines, read_log_lines

__all__ = ["BadCursor", "LogLinesFields", "LogsReadModel", "count_log_lines", "read_log_lines"]
