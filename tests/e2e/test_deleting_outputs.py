"""The sentences of the README about outputs: measured when a run ends, deleted on request, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from botocore.config import Config

import argus
from argus_local.s3 import OUTPUTS_BUCKET
from argus_testkit import eventually
from argus_testkit.stack import LocalStack

GIB = 2**30
HOME = "main/admin"
"""Where the admin's runs in this workspace may have outputs: the roots of the stack on one machine."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One that deletes at once: no grace time, and no waiting for late events."""
    env = {"ARGUS_DELETION_GRACE_S": "0", "ARGUS_DELETION_QUIET_S": "0"}
    with LocalStack(tmp_path_factory.mktemp("deleting") / "home", env) as whole:
        yield whole


@pytest.fixture(scope="module")
def bucket(stack: LocalStack) -> Any:
    settings = stack.facts.s3
    session = boto3.session.Session(settings.access_key, settings.secret_key, region_name="us-east-1")
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    return session.resource("s3", endpoint_url=settings.url, config=config).Bucket(OUTPUTS_BUCKET)


def train(stack: LocalStack, bucket: Any, name: str, objects: dict[str, bytes], owner: str | None = None) -> str:
    """A run that has written `objects` into its folder, and has ended."""
    batch_id = f"{name}-{uuid4().hex[:6]}"
    code = f"""
import argus
with argus.init(project="e2e", name={name!r}, batch_id={batch_id!r}, labels=["cleanup"],
                output_dir="s3://{OUTPUTS_BUCKET}/{HOME}/{batch_id}", resource_interval_s=0) as run, run.job("a") as job:
    job.epoch(1, loss=0.5)
assert argus.flush(60)
"""
    for key, body in objects.items():
        bucket.put_object(Key=f"{HOME}/{batch_id}/{key}", Body=body)
    environment = {
        **os.environ, "ARGUS_URL": stack.url, "ARGUS_TOKEN": owner or stack.credentials.token,
        "ARGUS_SPOOL_DIR": str(stack.home.with_suffix(".spool")),
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=120)
    return batch_id


def command(
    stack: LocalStack, *arguments: str, token: str | None = None, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ARGUS_URL": stack.url, "ARGUS_TOKEN": token or stack.credentials.token}
    return subprocess.run(
        [sys.executable, "-m", "argus.cli", *arguments], env=environment, input=typed, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def get(client: httpx.Client, path: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def measured(client: httpx.Client, batch_id: str) -> dict[str, Any]:
    """The run, once its outputs were listed."""

    def look() -> dict[str, Any] | None:
        answer = client.get(f"/api/batches/{batch_id}")
        run = answer.json()["run"] if answer.status_code == 200 else {}
        return run if run.get("output_bytes") is not None else None

    return eventually(look, within=60, what=f"the outputs of {batch_id} are measured")


def everything_in(bucket: Any) -> dict[str, str]:
    """A digest of each object's content, by key."""
    return {one.key: hashlib.sha256(one.get()["Body"].read()).hexdigest() for one in bucket.objects.all()}


def test_outputs_are_measured_and_deleted_and_nothing_else_is(stack: LocalStack, bucket: Any) -> None:
    batch_id = train(stack, bucket, "run", {"model.bin": b"x" * 3000, "plots/a.png": b"png", "plots/b.png": b""})
    for neighbour in (f"{batch_id}0/model.bin", f"{batch_id}.bak/model.bin", f"{batch_id.upper()}/model.bin", "x"):
        bucket.put_object(Key=f"{HOME}/{neighbour}", Body=neighbour.encode())
    bucket.put_object(Key=f"{batch_id}/model.bin", Body=b"in nobody's folder")
    before = everything_in(bucket)
    with stack.client() as client:
        run = measured(client, batch_id)
        assert (run["output_bytes"], run["output_objects"], run["outputs_deleted_at"]) == (3003, 3, None)
        summary = get(client, "/api/dashboard/summary", search=batch_id)
        assert (summary["n_runs"], summary["bytes"], summary["objects"]) == (1, 3003, 3)
        assert summary["storage_usd_max"] == pytest.approx(3003 / GIB * 0.276)

        there = json.loads(
            command(stack, "outputs", "info", f"s3://{OUTPUTS_BUCKET}/{HOME}/{batch_id}/plots/", "--json").stdout
        )
        assert [one["batch_id"] for one in there] == [batch_id]
        forecast = command(stack, "outputs", "delete", batch_id, "--dry-run", "--json")
        assert forecast.returncode == 0, forecast.stderr
        preview = json.loads(forecast.stdout)
        assert (preview["n_runs"], preview["objects"], preview["bytes"]) == (1, 3, 3003)
        assert everything_in(bucket) == before

        wrong = command(stack, "outputs", "delete", batch_id, typed="yes\n")
        assert wrong.returncode == 1
        assert "nothing was deleted" in wrong.stderr
        done = command(stack, "outputs", "delete", batch_id, "--wait", "--timeout", "60", typed="delete 1 run\n")
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert "deleted: 3 objects, 2.9 KiB freed" in done.stdout
        mine = {key for key in before if key.startswith(f"{HOME}/{batch_id}/")}
        assert everything_in(bucket) == {key: digest for key, digest in before.items() if key not in mine}

        strip = get(client, "/api/dashboard/deletions")
        told = next(one for one in strip["items"] if one["batch_id"] == batch_id)
        receipt = get(client, f"/api/outputs/deletions/{told['deletion_id']}")["deletion"]
        assert (receipt["state"], receipt["objects_deleted"], receipt["bytes_freed"]) == ("deleted", 3, 3003)
        assert (receipt["objects"], receipt["bytes"]) == (preview["objects"], preview["bytes"])
        assert (receipt["remaining_objects"], receipt["requested_by"], receipt["owner"]) == (0, "admin", "admin")
        assert len(receipt["manifest_sha256"]) == 64
        assert receipt["history"][0]["kind"] == "outputs_deletion_requested"
        assert get(client, f"/api/batches/{batch_id}")["run"]["outputs_deleted_at"] is not None
        assert get(client, "/api/dashboard/summary", search=batch_id)["bytes"] == 0
        assert command(stack, "outputs", "status", told["deletion_id"], "--wait").returncode == 0
        listed = command(stack, "outputs", "deletions").stdout
        row = next(line for line in listed.splitlines() if line.startswith(told["deletion_id"]))
        assert row.split()[1:4] == [batch_id, "admin", "deleted"]
        assert "3 objects, 2.9 KiB freed" in listed

    again = command(stack, "outputs", "delete", batch_id, "--yes", "--json")
    assert again.returncode == 0
    assert json.loads(again.stdout)[0]["skipped"] == "already_deleted"


def test_runs_that_a_condition_finds_are_deleted_at_once(stack: LocalStack, bucket: Any) -> None:
    word = uuid4().hex[:8]
    found = [train(stack, bucket, f"{word}-{n}", {"a": b"a" * n}) for n in range(1, 4)]
    with stack.client() as client:
        for batch_id in found:
            measured(client, batch_id)
    kept = command(stack, "outputs", "delete", "--where", f"search={word}", "--where", "older-than=1d", "--yes")
    assert kept.stdout == "no run with outputs fits\n"
    done = command(
        stack, "outputs", "delete", "--where", f"search={word}", "--where", "label=cleanup", "--yes", "--wait", "--json"
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    ended = {one["batch_id"]: one["deletion"] for one in json.loads(done.stdout)}
    assert {run: receipt["bytes_freed"] for run, receipt in ended.items()} == dict(zip(found, (1, 2, 3), strict=True))
    assert not [one for one in bucket.objects.all() if one.key.startswith(f"{HOME}/{word}")]


def test_waiting_for_a_deleter_that_is_away(stack: LocalStack, bucket: Any) -> None:
    """124 while nobody decides; and the same request, made again until somebody has, says what became of each run."""
    gone, there = (train(stack, bucket, name, {"a": b"a"}) for name in ("gone", "there"))
    with stack.client() as client:
        measured(client, gone), measured(client, there)
    assert command(stack, "outputs", "delete", gone, "--yes", "--wait").returncode == 0
    stack.put_down("deleter")
    try:
        late = command(stack, "outputs", "delete", there, "--yes", "--wait", "--timeout", "3")
        assert late.returncode == 124, (late.stdout, late.stderr)
        environment = {**os.environ, "ARGUS_URL": stack.url, "ARGUS_TOKEN": stack.credentials.token}
        arguments = ["outputs", "delete", there, gone, "--yes", "--wait", "--timeout", "90", "--json"]
        waiting = subprocess.Popen(
            [sys.executable, "-m", "argus.cli", *arguments], env=environment, stdout=subprocess.PIPE, text=True
        )
    finally:
        stack.put_up("deleter")
    told, _ = waiting.communicate(timeout=100)
    assert waiting.returncode == 0, told
    by_run = {one["batch_id"]: one for one in json.loads(told)}
    assert by_run[gone]["skipped"] == "already_deleted"
    assert by_run[there]["skipped"] in ("in_flight", "already_deleted", None), (
        "the request that gave up was decided first"
    )
    unknown = command(stack, "outputs", "status", str(uuid4()), "--wait", "--timeout", "2")
    assert unknown.returncode == 1, unknown.stderr


def test_a_request_that_is_made_again_is_of_its_first_time(stack: LocalStack, bucket: Any) -> None:
    """Whoever made it cannot have known what the run has written since."""
    batch_id = train(stack, bucket, "again", {"a": b"a"})
    with stack.client() as client:
        measured(client, batch_id)
        body = {"batch_ids": [batch_id], "confirm": "delete 1 run"}
        before = {**body, "asked_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
        answer = client.post("/api/outputs/deletions", json=before).json()
        assert [one["skipped"] for one in answer["results"]] == ["not_terminal"], answer
        fresh = client.post("/api/outputs/deletions", json=body).json()
        assert fresh["results"][0]["skipped"] is None, fresh
        assert fresh["position"] is not None, "the log has it when it is answered"
        assert datetime.fromisoformat(fresh["asked_at"]) > datetime.fromisoformat(before["asked_at"])


def test_nobody_deletes_what_is_not_theirs(stack: LocalStack, bucket: Any) -> None:
    """A mate sees the run, and is told the same of its outputs as of a run that does not exist; the refusal stands in the audit."""
    batch_id = train(stack, bucket, "mine", {"a": b"a"})
    name = f"mate-{uuid4().hex[:6]}"
    with stack.client() as client:
        measured(client, batch_id)
        client.post("/api/users", json={"username": name, "password": "long-enough-for-a-test"}).raise_for_status()
        client.put(f"/api/workspaces/main/members/{name}", json={"role": "member"}).raise_for_status()
    with httpx.Client(base_url=stack.url) as mate:
        csrf = mate.post("/api/auth/login", json={"username": name, "password": "long-enough-for-a-test"}).json()[
            "csrf_token"
        ]
        headers = {"X-Argus-CSRF": csrf}
        weak = mate.post("/api/keys", json={"name": "weak"}, headers=headers).json()["token"]
        full = mate.post("/api/keys", json={"name": "full", "full_rights": True}, headers=headers).json()["token"]
    with argus.Reader(stack.url, full) as reader:
        assert reader.run(batch_id)["batch_id"] == batch_id
    foreign = command(stack, "outputs", "delete", batch_id, "--yes", token=full)
    missing = command(stack, "outputs", "delete", "no-such-run", "--yes", token=full)
    assert (foreign.returncode, foreign.stderr) == (1, missing.stderr)
    assert "may only send events and read" in command(stack, "outputs", "delete", batch_id, "--yes", token=weak).stderr
    assert [one.key for one in bucket.objects.filter(Prefix=f"{HOME}/{batch_id}/")] == [f"{HOME}/{batch_id}/a"]
    with stack.database() as database:
        rows = database.execute(
            "SELECT result FROM identity.audit_entries WHERE actor = %s AND action = 'delete_outputs'", (name,)
        ).fetchall()
    assert rows == [("refused",), ("refused",)]
