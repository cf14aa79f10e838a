"""The sentences of the README, on the whole stack: what a training script says is on the page, once, and only its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from argus_testkit import eventually
from argus_testkit.pages import await_projected, positions
from argus_testkit.stack import LocalStack

TRAINING = """
    import sys, argus
    batch_id, n = sys.argv[1], int(sys.argv[2])
    with argus.init(project="e2e", name="a run", params={"lr": 0.1}, batch_id=batch_id) as run:
        for j in range(2):
            with run.job(f"job-{j}", model="mlp", dataset="digits", epochs=n) as job:
                for epoch in range(n):
                    job.epoch(epoch, train_loss=1 / (epoch + 1), val_loss=float("nan") if epoch == 3 else 2 / (epoch + 1))
                    job.log(f"epoch {epoch} <b>done</b>")
"""


def train(stack: LocalStack, url: str, folder: Path, batch_id: str, n: int = 50) -> None:
    environment = {
        **os.environ,
        "ARGUS_URL": url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(folder),
    }
    script = textwrap.dedent(TRAINING)
    subprocess.run([sys.executable, "-c", script, batch_id, str(n)], env=environment, check=True, timeout=120)
    send_what_is_left(environment)


def send_what_is_left(environment: dict[str, str]) -> None:
    """A script waits for 3 s at its end: too short for a machine that is busy, and nobody else sends what stays then."""
    if any(Path(environment["ARGUS_SPOOL_DIR"]).rglob("*.seg")):
        subprocess.run([sys.executable, "-m", "argus.cli", "sync", "--all"], env=environment, check=True, timeout=120)


def get(client: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(client: httpx.Client, batch_id: str, status: str = "succeeded") -> dict[str, Any]:
    """The run, once it has ended and all that is in the log by then is projected: its end may stand before its last lines there."""

    def look() -> dict[str, Any] | None:
        answer = client.get(f"/api/batches/{batch_id}")
        run = answer.json()["run"] if answer.status_code == 200 else {}
        return run if run.get("status") == status else None

    eventually(look)
    await_projected(client)
    return eventually(look)


@pytest.mark.parametrize("door", ["nats", "http"])
def test_what_a_script_says_is_on_the_page_once(stack: LocalStack, tmp_path: Path, door: str) -> None:
    batch_id = f"e2e-{uuid4().hex[:8]}"
    train(stack, stack.facts.nats.url if door == "nats" else stack.url, tmp_path, batch_id)
    with stack.client() as client:
        run = ended(client, batch_id)
        assert (run["name"], run["project"], run["params"], run["user"]) == ("a run", "e2e", {"lr": 0.1}, "admin")
        assert run["jobs"]["succeeded"] == run["jobs"]["total"] == 2
        assert run["environment"]["command"][0]
        assert run["gaps"] == []
        assert run["because"][-1]["kind"] == "batch_done"
        answer = get(client, f"/api/batches/{batch_id}/jobs/job-0")
        job = answer["job"]
        assert (job["status"], job["epoch"], job["progress"]) == ("succeeded", 49, 1.0)
        assert {s["key"]: s["n_points"] for s in job["series"] if s["family"] == "metric"} == {
            "train_loss": 50,
            "val_loss": 50,
        }
        curves = get(client, f"/api/batches/{batch_id}/jobs/job-0/series")["series"]
        by_key = {curve["key"]: curve for curve in curves}
        assert by_key["train_loss"]["value"] == [1 / (epoch + 1) for epoch in range(50)]
        assert by_key["train_loss"]["step"] == list(range(50))
        assert by_key["val_loss"]["value"][3] is None
        assert [(mark["step"], mark["value"]) for mark in by_key["val_loss"]["not_finite"]] == [(3, "NaN")]
        lines = get(client, f"/api/batches/{batch_id}/log-lines", job_id="job-0", limit=100)["lines"]
        assert [line["line"] for line in lines] == [f"epoch {epoch} <b>done</b>" for epoch in range(50)]
        listed = get(client, "/api/batches", search=batch_id)["items"]
        assert [item["batch_id"] for item in listed] == [batch_id]


def test_a_crash_says_why(stack: LocalStack, tmp_path: Path) -> None:
    batch_id = f"e2e-{uuid4().hex[:8]}"
    script = "import argus, sys\nwith argus.init(batch_id=sys.argv[1]) as run, run.job('j') as job:\n    job.epoch(1, loss=1)\n    1 / 0\n"
    environment = {
        **os.environ,
        "ARGUS_URL": stack.url,
        "ARGUS_TOKEN": stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, batch_id], env=environment, check=False, capture_output=True, timeout=120
    )
    assert done.returncode == 1
    send_what_is_left(environment)
    with stack.client() as client:
        run = ended(client, batch_id, "failed")
        assert "ZeroDivisionError" in run["reason"]
        job = get(client, f"/api/batches/{batch_id}/jobs/j")["job"]
        assert job["status"] == "failed"
        assert "line 4" in job["traceback"]


def test_the_live_read_models_equal_the_rebuilt_ones(stack: LocalStack, tmp_path: Path) -> None:
    batch_id = f"e2e-{uuid4().hex[:8]}"
    train(stack, stack.facts.nats.url, tmp_path, batch_id, n=3000)
    with stack.client() as client:
        ended(client, batch_id)
        paths = [
            f"/api/batches/{batch_id}",
            f"/api/batches/{batch_id}/jobs",
            f"/api/batches/{batch_id}/jobs/job-1",
            f"/api/batches/{batch_id}/jobs/job-1/series?max_points=100",
            f"/api/batches/{batch_id}/log-lines?job_id=job-1&limit=2000",
        ]
        live = [_without_position(get(client, path)) for path in paths]
        environment = {**os.environ, **stack.environment_of("query")}
        for name in ("runs", "series", "all"):
            subprocess.run(
                [Path(sys.executable).parent / "argus-query", "rebuild", name], env=environment, check=True, timeout=120
            )
            assert [_without_position(get(client, path)) for path in paths] == live


def _without_position(answer: dict[str, Any]) -> str:
    answer.pop("position")
    return json.dumps(answer, sort_keys=True)


def test_another_user_can_neither_see_nor_extend_my_run(stack: LocalStack, tmp_path: Path) -> None:
    batch_id = f"e2e-{uuid4().hex[:8]}"
    train(stack, stack.url, tmp_path, batch_id, n=5)
    with stack.client() as admin:
        ended(admin, batch_id)
        token = a_new_user(admin, f"eve-{uuid4().hex[:6]}", f"ws-{uuid4().hex[:6]}")
        before = get(admin, f"/api/batches/{batch_id}")
        with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}) as eve:
            missing = eve.get("/api/batches/there-is-none")
            hidden = eve.get(f"/api/batches/{batch_id}")
            assert (missing.status_code, hidden.status_code) == (404, 404)
            assert {**missing.json(), "request_id": ""} == {**hidden.json(), "request_id": ""}
            for kind, job_id in (("batch_failed", None), ("job_epoch", "job-0")):
                event = {
                    "event_id": str(uuid4()), "kind": kind, "batch_id": batch_id, "job_id": job_id,
                    "occurred_at": "2026-11-21T03:00:00Z", "data": {"metrics": {"train_loss": 666}} if job_id else {},
                }  # fmt: skip
                eve.post("/api/events", json=event)
        with stack.database() as database:
            count = "SELECT count(*) FROM log.dead_letters WHERE code = 'not_the_owner' AND raw LIKE %s"
            eventually(lambda: database.execute(count, (f"%{batch_id}%".encode(),)).fetchone() == (2,))
        after = get(admin, f"/api/batches/{batch_id}")
        assert after["run"] == before["run"]


def a_new_user(admin: httpx.Client, username: str, workspace: str) -> str:
    """The API key of a new user, member of a new workspace."""
    assert admin.post("/api/workspaces", json={"name": workspace}).status_code in (200, 201)
    password = uuid4().hex
    made = admin.post("/api/users", json={"username": username, "password": password})
    assert made.status_code in (200, 201), made.text
    put = admin.put(f"/api/workspaces/{workspace}/members/{username}", json={"role": "member"})
    assert put.status_code in (200, 201, 204), put.text
    with httpx.Client(base_url=str(admin.base_url)) as eve:
        signed_in = eve.post("/api/auth/login", json={"username": username, "password": password}).json()
        headers = {"X-Argus-CSRF": signed_in["csrf_token"], "Origin": str(admin.base_url).rstrip("/")}
        key = eve.post("/api/keys", json={"name": "test", "workspace": workspace}, headers=headers)
        assert key.status_code in (200, 201), key.text
        return key.json()["token"]


def test_a_live_stream_that_breaks_off_misses_nothing_and_repeats_nothing(stack: LocalStack, tmp_path: Path) -> None:
    batch_id = f"e2e-{uuid4().hex[:8]}"
    train(stack, stack.url, tmp_path, batch_id, n=1)
    with stack.client() as client:
        ended(client, batch_id)
        start = positions(client).projected
        other = f"{batch_id}-2"
        train(stack, stack.url, tmp_path, other, n=400)
        ended(client, other)
        end = positions(client).projected
        topics = f"job:{other}/job-0"
        whole = _stream(client, topics, start, end)
        assert [event["data"]["epoch"] for event in whole if event["kind"] == "job_epoch"] == list(range(400))
        pieces: list[dict[str, Any]] = []
        cursor = start
        while cursor < end:
            piece, cursor = _one_frame(client, topics, cursor)
            pieces += piece
        assert pieces == whole


def _frames(client: httpx.Client, topics: str, since: int) -> Any:
    headers = {"Last-Event-ID": str(since)}
    with client.stream("GET", "/api/stream", params={"topics": topics}, headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        event, data = "", ""
        for line in answer.iter_lines():
            if line.startswith("event:"):
                event = line[6:].strip()
            elif line.startswith("data:"):
                data += line[5:].strip()
            elif not line and data:
                if event == "events":
                    yield json.loads(data)
                event, data = "", ""


def _stream(client: httpx.Client, topics: str, since: int, until: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for frame in _frames(client, topics, since):
        events += frame["events"]
        if frame["position"] >= until:
            break
    return events


def _one_frame(client: httpx.Client, topics: str, since: int) -> tuple[list[dict[str, Any]], int]:
    frame = next(iter(_frames(client, topics, since)))
    return frame["events"], frame["position"]
