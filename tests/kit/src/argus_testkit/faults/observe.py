"""What the log and the read models say about the events of a workload, and when everything has come to rest."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import orjson
import psycopg
import zstandard

from argus_testkit.faults.payloads import DAMAGED, POINT, Key, Seen, point_crc, seen_event, seen_line
from argus_testkit.faults.scale import pick
from argus_testkit.pages import positions
from argus_testkit.stack import LocalStack
from argus_testkit.waiting import NeverHappened

STEPS_AT_ONCE = 2_000
LINES_AT_ONCE = 2_000


def log_end(stack: LocalStack) -> int:
    """The last position of the log."""
    with stack.database() as database:
        row = database.execute("SELECT next_position - 1 FROM log.head").fetchone()
    return row[0] if row else 0


def in_the_log(stack: LocalStack, batch_ids: Sequence[str]) -> list[Seen]:
    """In the order of their positions. What a record holds counts, whatever number of events it says it has."""
    found: list[Seen] = []
    with stack.database() as database:
        rows = database.execute(
            "SELECT first_position, payload FROM log.record_batches WHERE batch_id = ANY (%s) ORDER BY 1",
            [list(batch_ids)],
        )
        for first, payload in rows:
            for n, event in enumerate(orjson.loads(zstandard.decompress(payload))["events"]):
                seen = seen_event(event, first + n, row=first)
                if seen is not None:
                    found.append(seen)
    return found


def points_of(client: httpx.Client, batch_id: str, job_id: str, curve: str, n_steps: int) -> Iterator[Seen]:
    """The points of a curve as its page gets them: none thinned. curve: `value` or `checksum`."""
    for first in range(0, max(n_steps, 1), STEPS_AT_ONCE):
        last = first + STEPS_AT_ONCE - 1 if first + STEPS_AT_ONCE < n_steps else 10**9
        answer = client.get(
            f"/api/batches/{batch_id}/jobs/{job_id}/series",
            params={"keys": curve, "from": first, "to": last, "max_points": 5_000},
        )
        if answer.status_code == 404:
            return
        for series in answer.raise_for_status().json()["series"]:
            assert not series["bucketed"], "every point was asked for"
            for step, value in zip(series["step"], series["value"], strict=True):
                key = Key(batch_id, job_id, POINT, step)
                crc = point_crc(key, value) if curve == "value" else int(value if value is not None else DAMAGED)
                yield Seen(key, crc)


def lines_of(client: httpx.Client, batch_id: str, job_id: str) -> list[Seen]:
    """The log of a job as its page gets it, oldest first."""
    pages: list[list[dict[str, Any]]] = []
    before: str | None = None
    while True:
        asked = {"job_id": job_id, "limit": LINES_AT_ONCE, **({"before": before} if before else {})}
        answer = client.get(f"/api/batches/{batch_id}/log-lines", params=asked)
        if answer.status_code == 404:
            break
        said = answer.raise_for_status().json()
        pages.insert(0, said["lines"])
        before = said["before"]
        if not before or not said["lines"]:
            break
    found = (seen_line(batch_id, job_id, entry["line"]) for page in pages for entry in page)
    return [seen for seen in found if seen is not None]


def settle(stack: LocalStack, within: float = 300.0) -> float:
    """Everything is at rest: no message in the broker, everything projected, for a few seconds. Answers after how many
    seconds the rest began. `NeverHappened` says what still moved."""
    began, quiet_since, before = time.monotonic(), None, None
    quiet_s = pick(1.0, 5.0)
    state: object = None
    with stack.client() as client:
        while True:
            try:
                state = _state(stack, client)
            except (httpx.HTTPError, psycopg.Error, OSError, ValueError, LookupError) as error:
                state = f"{type(error).__name__}: {error}"
            now = time.monotonic()
            if isinstance(state, tuple) and state[0] == 0 and state[1] == state[2]:
                if state != before or quiet_since is None:
                    quiet_since = now
                elif now - quiet_since >= quiet_s:
                    return quiet_since - began
            else:
                quiet_since = None
            before = state
            if now - began > within:
                raise NeverHappened(f"not at rest after {within:g} s: (messages, log, projected) are {state}")
            time.sleep(0.2)


def _state(stack: LocalStack, client: httpx.Client) -> tuple[int, int, int]:
    """Messages in the broker, end of the log, what is projected."""
    now = positions(client)
    return stream_state(stack)["messages"], now.log, now.projected


def stream_state(stack: LocalStack) -> dict[str, Any]:
    """`state` of the stream of events, as the broker's monitoring says it; OSError while the broker or the stream is away."""
    return _stream(stack)["state"]


def redeliveries(stack: LocalStack) -> int:
    """How many messages the broker has delivered to ingest a further time, since its durable was made."""
    durable = {known["name"]: known for known in _stream(stack)["consumer_detail"]}["ingest-log"]
    return durable["delivered"]["consumer_seq"] - durable["delivered"]["stream_seq"]


def _stream(stack: LocalStack) -> dict[str, Any]:
    monitor = f"http://127.0.0.1:{stack.facts.nats.monitor_port}"
    try:
        said = json.loads(httpx.get(f"{monitor}/jsz?streams=1&accounts=1&consumers=1", timeout=30).text)
    except httpx.HTTPError as error:
        raise OSError(f"the broker does not answer: {error}") from error
    streams = [stream for account in said.get("account_details", []) for stream in account.get("stream_detail", [])]
    for stream in streams:
        if stream["name"] == "ARGUS_EVENTS":
            return stream
    raise OSError("the broker has no stream of events")


def dead_letters(stack: LocalStack) -> int:
    with stack.database() as database:
        row = database.execute("SELECT count(*) FROM log.dead_letters").fetchone()
    return row[0] if row else 0


def projection_failures(stack: LocalStack) -> int:
    with stack.database() as database:
        row = database.execute("SELECT count(*) FROM read.projection_failures").fetchone()
    return row[0] if row else 0
