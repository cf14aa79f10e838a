"""A spool and its outbox, as a live run has them, without a sender: what tests say, form and send by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from argus.outbox import Outbox
from argus.spool import Spool, new_producer_id
from argus_contracts.quantities import MAX_MESSAGE_BYTES

CAP = 2 * 1024**3
NOW = 1000.0
"""It stands still: what was handed over is not due again, however long a test takes."""


def payload(number: int, size: int = 0) -> bytes:
    return orjson.dumps({"kind": "job_epoch", "n": number, "pad": "x" * size})


class Spooled:
    """One producer's."""

    def __init__(self, root: Path) -> None:
        self.spool = Spool(root, new_producer_id(), {"batch_id": "b", "url": None, "key_id": ""})
        self.outbox = Outbox(self.spool.folder, self.spool.producer_id, "b", self.spool)

    def say(self, *numbers: int, name: Any = "metrics", size: int = 0) -> None:
        for number in numbers:
            self.spool.lanes[name].append(payload(number, size))

    def adopted(self) -> Outbox:
        """The same folder after the death of the process: read from the disk alone."""
        self.spool.close()
        self.outbox.close()
        return Outbox(self.spool.folder, self.spool.producer_id, "b")


def send_all(outbox: Outbox) -> list[dict[str, Any]]:
    """Every message that is due, as the wire has it; the broker takes them all."""
    sent: list[dict[str, Any]] = []
    while True:
        outbox.form(100)
        due = outbox.due(NOW, 100)
        if not due:
            return sent
        for message in due:
            body = outbox.body_of(message)
            assert len(body) <= MAX_MESSAGE_BYTES
            sent.append(orjson.loads(body))
            message.tried(NOW, taken=True)


def numbers(messages: list[dict[str, Any]]) -> list[int]:
    return [event["n"] for message in messages for event in message["events"]]
