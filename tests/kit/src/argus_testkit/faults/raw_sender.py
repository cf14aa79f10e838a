"""A sender without the SDK and without a spool: `python -m argus_testkit.faults.raw_sender '{"door": "http", …}'`.

door `http`: posts messages of numbered events (`numbered` true) or events without numbers, known by their id, to the gateway, and
repeats one until it is answered 200. door `nats`: publishes to the stream and forgets a message as soon as the broker has
acknowledged it. `ok` means just that: the door said yes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import nats
import orjson
from nats.errors import Error as NatsError

from argus_contracts.subjects import event_subject
from argus_testkit.faults.ledger import Ledger
from argus_testkit.faults.payloads import POINT, Key, point_crc, point_metrics

TURN_S = 0.05
GIVE_UP_S = 60.0
Post = Callable[[str, bytes], Awaitable[bool | None]]
"""(batch_id, body): True it is taken, False it is refused for good, None nobody knows."""


async def main(asked: dict[str, Any]) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    ledger, dice = Ledger(Path(asked["ledger"])), random.Random(asked["seed"])
    post = await (_http_door(asked) if asked["door"] == "http" else _nats_door(asked))
    began, said, producer_id = time.monotonic(), 0, f"raw-{uuid.uuid4().hex}"
    while (spent := time.monotonic() - began) < asked["seconds"] and not stopped.is_set():
        due = min(int(spent * asked["events_per_s"]) - said, 400)
        if due:
            told = [_event(asked, said + n, dice) for n in range(due)]
            ledger.intend([(key, crc) for key, crc, _ in told])
            body: dict[str, Any] = {"events": [event for _, _, event in told]}
            if asked.get("numbered", True):
                body |= {"v": 2, "producer_id": producer_id, "class": "metrics", "first_seq": said}
            said += due
            taken = await _until_known(post, asked["batch_id"], orjson.dumps(body), stopped)
            if taken is not None:
                ledger.outcome([key for key, _, _ in told], "ok" if taken else "fail")
        await asyncio.sleep(TURN_S)
    ledger.close()


async def _until_known(post: Post, batch_id: str, body: bytes, stopped: asyncio.Event) -> bool | None:
    until = time.monotonic() + GIVE_UP_S
    while True:
        taken = await post(batch_id, body)
        if taken is not None or (stopped.is_set() and time.monotonic() > until):
            return taken
        await asyncio.sleep(0.2)


def _event(asked: dict[str, Any], number: int, dice: random.Random) -> tuple[Key, int, dict[str, Any]]:
    seq, job = divmod(number, asked["n_jobs"])
    key, value = Key(asked["batch_id"], f"job-{job}", POINT, seq), dice.random()
    event: dict[str, Any] = {
        "event_id": str(uuid.uuid4()), "kind": "job_epoch", "version": 1, "batch_id": key.batch_id,
        "job_id": key.job_id, "attempt": 1, "occurred_at": datetime.now(UTC).isoformat(),
        "data": {"epoch": seq, "step": seq, "metrics": point_metrics(key, value)},
    }  # fmt: skip
    if asked.get("numbered", True):
        event["seq"] = number
    return key, point_crc(key, value), event


async def _http_door(asked: dict[str, Any]) -> Post:
    client = httpx.AsyncClient(
        base_url=asked["url"], headers={"Authorization": f"Bearer {os.environ['ARGUS_TOKEN']}"}, timeout=10
    )

    async def post(_batch_id: str, body: bytes) -> bool | None:
        try:
            answer = await client.post("/api/events/batch", content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError:
            return None
        if answer.status_code == 200:
            return answer.json()["rejected"] == 0
        return None if answer.status_code in (429, 503) else False

    return post


async def _nats_door(asked: dict[str, Any]) -> Post:
    token = os.environ["ARGUS_TOKEN"]
    client = await nats.connect(
        asked["url"], token=token, inbox_prefix=f"_INBOX_{token.split('_')[1]}".encode(), error_cb=_ignore,
        max_reconnect_attempts=-1, reconnect_time_wait=0.2,
    )  # fmt: skip

    async def post(batch_id: str, body: bytes) -> bool | None:
        message = orjson.dumps(
            {"v": 2, "producer_id": None, "class": "metrics", "first_seq": None, **orjson.loads(body)}
        )
        try:
            answer = await client.request(
                event_subject(asked["workspace"], asked["user"], batch_id), message, timeout=5
            )
        except (NatsError, OSError, TimeoutError):
            return None
        return True if orjson.loads(answer.data).get("seq") else None

    return post


async def _ignore(_error: Exception) -> None:
    """Trouble of the connection shows in the outcome of each publish."""


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
