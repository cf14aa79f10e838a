"""What was said is on disk when the call returns, each event with its number."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from argus import folders
from argus import outbox as outboxes
from argus.spool import CLASSES
from argus_contracts.quantities import RETENTION_CLASSES
from argus_testkit.spools import CAP, Spooled, numbers, payload, send_all


def test_the_classes_are_those_of_the_contract() -> None:
    assert CLASSES == RETENTION_CLASSES


def test_what_was_said_is_on_disk_when_the_call_returns(producer: Spooled) -> None:
    producer.say(1, 2, 3)
    raw = b"".join(path.read_bytes() for path in producer.spool.folder.glob("metrics.*.seg"))
    assert all(payload(number) in raw for number in (1, 2, 3))


def test_folder_and_files_belong_to_their_owner_only(producer: Spooled) -> None:
    producer.say(1)
    producer.outbox.form(1)
    producer.outbox.stored("metrics", 1, [])
    producer.outbox.tidy(CAP)
    assert stat.S_IMODE(producer.spool.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(producer.spool.root.stat().st_mode) == 0o700
    files = list(producer.spool.folder.iterdir())
    assert {path.name.split(".")[0] for path in files} >= {"lock", "meta", "metrics", "bounds", "stored"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_two_threads_and_the_roll_lose_and_double_nothing(producer: Spooled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outboxes, "SEGMENT_BYTES", 30_000)
    threads = [threading.Thread(target=producer.say, args=range(k, 20_000, 2)) for k in range(2)]
    for thread in threads:
        thread.start()
    sent: list[dict[str, Any]] = []
    alive: Callable[[], bool] = lambda: any(thread.is_alive() for thread in threads)  # noqa: E731
    while alive():
        sent += send_all(producer.outbox)
        producer.outbox.tidy(CAP)
    producer.outbox.tidy(CAP)  # however the threads were scheduled, it has rolled
    producer.say(20_000)
    sent += send_all(producer.outbox)
    assert sorted(numbers(sent)) == list(range(20_001))
    assert [event["seq"] for message in sent for event in message["events"]] == list(range(20_001))
    assert len(list(producer.spool.folder.glob("metrics.*.seg"))) >= 2


def test_a_folder_that_is_used_again_says_whose_it_is_now(tmp_path: Path) -> None:
    """Also where what it said before was longer; and nothing of what was in it is left."""
    give_back = partial(folders.give_back, tmp_path, used_again=["lifecycle.0000000000000000.seg"], mark=b"mark")
    give_back("a", folders.make(tmp_path, "a", orjson.dumps({"batch_id": "long" * 300})))
    lock_fd = folders.make(tmp_path, "b", orjson.dumps({"batch_id": "b"}))
    assert orjson.loads((tmp_path / "b" / "meta.json").read_bytes()) == {"batch_id": "b"}
    assert names(tmp_path) == ["b"]
    (tmp_path / "b" / "lifecycle.0000000000000000.seg").write_bytes(b"what was said")
    (tmp_path / "b" / "metrics.0000000000000123.seg").write_bytes(b"x")
    give_back("b", lock_fd)
    assert names(tmp_path / ".b.new") == ["lifecycle.0000000000000000.seg", "lock", "meta.json"]
    assert (tmp_path / ".b.new" / "lifecycle.0000000000000000.seg").read_bytes() == b"mark"
    folders.remove_spares()
    assert names(tmp_path) == []


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
