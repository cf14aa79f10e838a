"""Nothing that stands in the table of decisions ends the process."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from argus_deleter import outbox
from argus_deleter.outbox import Outbox


async def test_an_odd_decision_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ODD_S", 0.01)
    one = Outbox(cast("Any", None), cast("Any", None))
    tries: list[int] = []

    async def say_some() -> bool:
        tries.append(1)
        if len(tries) < 4:
            raise TypeError("str is not valid UTF-8: surrogates not allowed")
        return False

    monkeypatch.setattr(one, "say_some", say_some)
    task = asyncio.create_task(one.run())
    while len(tries) < 4:
        await asyncio.wait({task}, timeout=0.01)
        assert not task.done()
    task.cancel()
