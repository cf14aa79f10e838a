"""The whole of query as real processes, on a real Postgres and NATS: from the log to the answers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest
from nats.aio.client import Client

from argus_contracts.subjects import LIVE_OF_MANY, ask_subject
from argus_local.servers import NatsServer
from argus_query.hints import MANY
from argus_testkit import Database, ServiceProcess, eventually_async
from argus_testkit.nats import nats_client, settled

Event = Callable[..., dict[str, Any]]
ADA = {"user": "ada", "workspaces": ["lab"]}


def env(nats_server: NatsServer, database: Database) -> dict[str, str]:
    return nats_server.settings.env_for("query") | {"ARGUS_DATABASE_URL": database.query_url}


@pytest.fixture
async def nats(nats_server: NatsServer) -> AsyncIterator[Client]:
    async with nats_client(nats_server) as client:
        yield client


@pytest.fixture
def query(
    start_service: Callable[..., ServiceProcess], nats_server: NatsServer, database: Database, log: Any
) -> ServiceProcess:
    return start_service("argus-query", env(nats_server, database))


async def ask(nats: Client, name: str, **fields: Any) -> dict[str, Any]:
    reply = await nats.request(ask_subject(name), orjson.dumps({"viewer": ADA, **fields}), timeout=60)
    return orjson.loads(reply.data)


async def projected(nats: Client, position: int) -> None:
    """The live tables are as far as `position`: an answer itself waits for it for 2 s only."""

    async def is_there() -> bool:
        reply = await nats.request(ask_subject("get_position"), b"{}", timeout=60)
        return orjson.loads(reply.data)["answer"]["projected"] >= position

    await eventually_async(is_there, what=f"position {position} is projected")


async def test_a_training_run_shows_in_every_answer(
    query: ServiceProcess, nats: Client, log: Any, event: Event
) -> None:
    position = log.append([
        event("batch_start", "b1", name="digits", project="demo", labels=["a"], params={"lr": 0.1}, n_jobs_expected=1),
        event("env_snapshot", "b1", command=["python", "t.py"], host="h1", git={"commit": "abc"}),
        event("job_start", "b1", "lr=0.1", at=1, model="mlp", n_epochs_expected=10, host="h1"),
        *[event("job_epoch", "b1", "lr=0.1", at=2 + i, epoch=i, metrics={"train_loss": 1 / (i + 1)}) for i in range(5)],
        event("resource_snapshot", "b1", "lr=0.1", at=8, gpus=[{"index": 0, "util_pct": 50.0, "memory_used_bytes": 7}]),
        event("log_line", "b1", "lr=0.1", at=9, line="hello", line_no=0),
    ])  # fmt: skip
    await projected(nats, position)
    runs = (await ask(nats, "list_runs", after=position))["answer"]
    assert [run["name"] for run in runs["items"]] == ["digits"]
    assert runs["position"] == position
    run = (await ask(nats, "get_run", batch_id="b1"))["answer"]["run"]
    assert run["status"] == "running"
    assert run["environment"]["command"] == ["python", "t.py"]
    assert run["jobs"]["running"] == 1
    jobs = (await ask(nats, "list_jobs", batch_id="b1"))["answer"]
    assert jobs["total"] == 1
    assert jobs["items"][0]["progress"] == 0.5
    answer = (await ask(nats, "get_job", batch_id="b1", job_id="lr=0.1"))["answer"]
    job = answer["job"]
    assert (job["loss_key"], job["loss"], job["gpu_util_pct"], job["gpu_memory_peak_bytes"]) == (
        "train_loss",
        0.2,
        50.0,
        7,
    )
    assert job["n_log_lines"] == 1
    assert job["sparkline"]["steps"] == [0, 1, 2, 3, 4]
    series = (await ask(nats, "get_series", batch_id="b1", job_id="lr=0.1"))["answer"]["series"]
    assert series[0]["value"] == pytest.approx([1, 0.5, 1 / 3, 0.25, 0.2])
    lines = (await ask(nats, "list_log_lines", batch_id="b1"))["answer"]["lines"]
    assert [line["line"] for line in lines] == ["hello"]
    hosts = (await ask(nats, "list_hosts"))["answer"]["items"]
    assert [(host["host"], host["running_jobs"]) for host in hosts] == [("h1", 1)]
    facets = (await ask(nats, "get_facets"))["answer"]
    assert (facets["projects"], facets["labels"], facets["users"]) == (["demo"], ["a"], ["ada"])
    replayed = (await ask(nats, "replay", topics=["job:b1/lr=0.1", "dashboard", "batch:other"], since=0))["answer"]
    assert replayed["position"] == position
    assert replayed["refused"] == ["batch:other"]
    kinds = [e["kind"] for e in replayed["events"] if e["topic"].startswith("job:")]
    assert len(kinds) == 10
    assert [e["kind"] for e in replayed["events"] if e["topic"] == "dashboard"] == ["batch_start", "env_snapshot"]
    where = orjson.loads((await nats.request(ask_subject("get_position"), b"{}", timeout=60)).data)["answer"]
    assert (where["projected"], where["lag_events"]) == (position, 0)


async def test_listeners_are_told_which_runs_moved_and_operators_how_far_it_is(
    query: ServiceProcess, nats: Client, log: Any, event: Event
) -> None:
    hints = await nats.subscribe("argus.live.>")
    await settled(nats)
    position = 0
    message = None
    while message is None:  # the projector may still be on its way to the broker
        position = log.append([event("batch_start", "a.b")])
        with contextlib.suppress(TimeoutError):
            message = await hints.next_msg(timeout=2)
    assert message.subject == "argus.live.a=2Eb"
    assert orjson.loads(message.data)["batch_id"] == "a.b"
    many = [f"m{n}" for n in range(MANY + 8)]
    position = log.append([event("batch_start", batch_id) for batch_id in many])
    while message.subject != LIVE_OF_MANY:
        message = await hints.next_msg(timeout=60)
    assert sorted(orjson.loads(message.data)) == sorted(many)
    await projected(nats, position)
    async with httpx.AsyncClient(timeout=60) as http:
        ready = (await http.get(f"{query.url}/readyz")).json()
        metrics = (await http.get(f"{query.url}/metrics")).text
    assert (ready["ready"], ready["projected"], ready["failures"]) == (True, position, {})
    assert f"argus_projection_position {float(position)}" in metrics
    assert "argus_projection_lag_events 0.0" in metrics
