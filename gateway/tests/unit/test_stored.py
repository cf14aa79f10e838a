"""What the gateway remembers of what ingest has stored, though nobody may ask for it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from nats.aio.msg import Msg
from pydantic import TypeAdapter

from argus_contracts.envelope import Stored
from argus_contracts.subjects import stored_subject
from argus_gateway.stored import Watermarks

_MARKS = TypeAdapter(list[Stored])
KEPT_UNREAD = 1 << 20


def heard(*words: Stored) -> Msg:
    return Msg(
        _client=cast(Any, None), subject=stored_subject("lab", "ada"), data=_MARKS.dump_json(list(words), by_alias=True)
    )


def word(producer_id: str, next_seq: int) -> Stored:
    return Stored.model_validate({"producer_id": producer_id, "class": "metrics", "next_seq": next_seq, "ranges": []})


async def test_what_was_heard_before_anybody_asked_is_known() -> None:
    marks = Watermarks()
    await marks._hear(heard(word("p", 3), word("q", 1)))
    await marks._hear(heard(word("p", 7)))
    await marks._hear(heard(word("p", 5)))  # came late
    assert [mark.next_seq for mark in marks.of("lab", "ada", "p")] == [7]
    assert marks.of("lab", "eve", "p") == []


async def test_of_what_nobody_asks_for_the_newest_mebibyte_is_kept() -> None:
    marks, size = Watermarks(), len(heard(word("p000000", 1)).data)
    n = 2 * KEPT_UNREAD // size
    for number in range(n):
        await marks._hear(heard(word(f"p{number:06}", 1)))
    assert sum(len(message.data) for message in marks._unread) <= KEPT_UNREAD
    known = [number for number in range(n) if marks.of("lab", "ada", f"p{number:06}")]
    assert known == list(range(n - KEPT_UNREAD // size, n))


async def test_who_waits_is_told_at_once() -> None:
    marks, producer = Watermarks(), ("lab", "ada", "p", "metrics")
    waiting = asyncio.create_task(marks.wait_for(producer, 4, within_s=30))
    await asyncio.sleep(0)
    for number in range(KEPT_UNREAD // 50):  # more than is kept of what nobody asks for
        await marks._hear(heard(word("other", number)))
    await marks._hear(heard(word("p", 5)))
    stored = await asyncio.wait_for(waiting, 5)
    assert stored is not None
    assert stored.next_seq == 5
