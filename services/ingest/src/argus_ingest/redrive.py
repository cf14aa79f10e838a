"""Dead letters through acceptance again, after a fix or an upgrade: what can be accepted now goes into the log, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from psycopg import AsyncConnection, Rollback
from psycopg.rows import DictRow, dict_row

from argus_contracts.errors import Refused
from argus_contracts.registry import retention_class
from argus_ingest.accept import Buried, Incoming, accept
from argus_ingest.json_bytes import decode
from argus_ingest.log import LogAppender
from argus_ingest.sql import statements

SQL = statements("log")
LETTERS_AT_ONCE = 100


@dataclass(slots=True)
class Redriven:
    """What became of the dead letters that were looked at."""

    n_letters: int = 0
    """Went into the log, all or in part; a bad event of a message that was buried whole has a letter of its own now."""
    n_events: int = 0
    n_repeats: int = 0
    """Events that the log had already: their sender said them again."""
    still_refused: Counter[str] = field(default_factory=Counter[str])
    """By the code under which they were buried."""


async def redrive(
    connection: AsyncConnection[Any], codes: Sequence[str] | None = None, *, dry_run: bool = False
) -> Redriven:
    """Every dead letter (of these codes) has been judged again by this build, in the order of their arrival.

    A letter and its events change in one transaction, so a kill at any time, a second redrive beside this one, or a sender
    that says the same events again, neither lose nor double one. dry_run: nothing is changed.
    """
    outcome, appender, after = Redriven(), LogAppender(), 0
    while True:
        async with connection.transaction():
            cursor = connection.cursor(row_factory=dict_row)
            asked = {"after": after, "codes": list(codes) if codes else None, "limit": LETTERS_AT_ONCE}
            letters = await (await cursor.execute(SQL["letters_to_redrive"], asked)).fetchall()
            if letters:
                await _append(connection, appender, letters, outcome)
            if dry_run:
                appender.forget()
                raise Rollback
        if not letters:
            return outcome
        after = letters[-1]["dead_letter_id"]


async def _append(
    connection: AsyncConnection[Any], appender: LogAppender, letters: list[DictRow], outcome: Redriven
) -> None:
    hopeful: list[tuple[DictRow, list[Incoming | Buried]]] = []
    for letter in letters:
        judged = accept(letter["subject"], _as_message(letter["raw"]))
        if _n_events(judged):
            hopeful.append((letter, judged))
        else:
            outcome.still_refused[letter["code"]] += 1
    for letter, _ in hopeful:
        if letter["seqs"] is not None:
            await connection.execute(SQL["release_numbers"], {**letter, "user": letter["user_name"]})
    appended = await appender.append(connection, [document for _, judged in hopeful for document in judged])
    done: list[int] = []
    for letter, judged in hopeful:
        if _n_events(judged):  # the owner check takes a stranger's away
            done.append(letter["dead_letter_id"])
        else:
            outcome.still_refused[letter["code"]] += 1
    await connection.execute(SQL["mark_redriven"], {"ids": done})
    outcome.n_letters += len(done)
    outcome.n_events += appended.n_events
    outcome.n_repeats += appended.n_repeats


def _n_events(judged: Sequence[Incoming | Buried]) -> int:
    return sum(document.n_events for document in judged if isinstance(document, Incoming))


def _as_message(raw: bytes) -> bytes:
    """A letter is a bundle, a document, or one event of one: that travels as a foreign sender's, recognised by its id."""
    try:
        value, _ = decode(raw)
        fields = cast("dict[str, Any]", value)
        if isinstance(value, dict) and not isinstance(fields.get("events"), list):
            place = retention_class(str(fields.get("kind")))
            return b'{"v":2,"class":"' + place.encode() + b'","events":[' + raw + b"]}"
    except Refused:
        pass
    return raw
