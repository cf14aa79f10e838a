"""A bucket that keeps versions (moto, or MinIO): all versions and markers go, locked ones stay and are told of."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from argus_testkit import eventually
from argus_testkit.failpoints import Failpoints
from argus_testkit.s3_stores import s3_client
from argus_testkit.servers import minio_asked_for

COLD, LOCKED = ("REDUCED_REDUNDANCY", "InvalidRequest") if minio_asked_for() else ("GLACIER_IR", "AccessDenied")
"""A storage class that the store knows, beside the usual one; and what it says of a version that is locked."""


@pytest.fixture
def store_env(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of a store that can keep versions."""
    if minio_asked_for():
        return request.getfixturevalue("s3_server").settings.env()
    return request.getfixturevalue("moto_server").client_env()


@pytest.fixture
async def versioned(around: Any, store_env: dict[str, str]) -> Any:
    s3 = s3_client(store_env)
    if s3.list_buckets()["Buckets"]:
        s3.delete_bucket(Bucket="outputs")  # a bucket can hold locks only from its beginning
    s3.create_bucket(Bucket="outputs", ObjectLockEnabledForBucket=True)
    s3.put_bucket_versioning(Bucket="outputs", VersioningConfiguration={"Status": "Enabled"})
    return await around(store_env)


def versions(rig: Any, prefix: str = "") -> list[tuple[str, bool]]:
    found = rig.s3.list_object_versions(Bucket="outputs", Prefix=prefix)
    return sorted(
        [(one["Key"], False) for one in found.get("Versions", ())]
        + [(one["Key"], True) for one in found.get("DeleteMarkers", ())]
    )


async def test_all_versions_and_markers_go(versioned: Any) -> None:
    rig = versioned
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    for body in (b"1", b"22", b"333"):
        rig.put("lab/run-1/a", "lab/run-1/b", "lab/run-10/a", body=body)
    rig.s3.delete_object(Bucket="outputs", Key="lab/run-1/b")
    rig.s3.put_object(Bucket="outputs", Key="lab/run-1/cold", Body=b"4444", StorageClass=COLD)
    upload = rig.s3.create_multipart_upload(Bucket="outputs", Key="lab/run-1/half + %41")
    others = versions(rig, "lab/run-10/")
    rig.start()
    preview = await rig.preview(run)
    assert (preview.objects, preview.bytes, preview.runs[0].versioned) == (8, 16, True)
    assert preview.runs[0].by_storage_class == {"STANDARD": 12, COLD: 4}
    decision = await rig.delete(run)
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects"], end["objects_deleted"], end["bytes_freed"]) == ("deleted", 8, 8, 16), end
    assert end["uploads_aborted"] == 1
    assert versions(rig) == others
    with pytest.raises(rig.s3.exceptions.ClientError):
        rig.s3.list_parts(Bucket="outputs", Key="lab/run-1/half + %41", UploadId=upload["UploadId"])


async def test_locked_versions_stay_and_are_told_of(versioned: Any) -> None:
    rig = versioned
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put(*(f"lab/run-1/o{i}" for i in range(10)))
    until = datetime.now(UTC) + timedelta(days=30)
    rig.s3.put_object(
        Bucket="outputs", Key="lab/run-1/locked", Body=b"12345", ObjectLockMode="COMPLIANCE", ChecksumAlgorithm="SHA256",
        ObjectLockRetainUntilDate=until,
    )  # fmt: skip
    rig.start()
    decision = await rig.delete(run)
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"], end["bytes_freed"]) == ("partial", 10, 100), end
    assert [(error["key"], error["code"]) for error in end["errors"]] == [("lab/run-1/locked", LOCKED)]
    assert end["errors"][0]["version_id"]
    assert (end["remaining_objects"], end["remaining_bytes"]) == (1, 5)


async def test_a_new_version_written_meanwhile_stays(versioned: Any) -> None:
    rig = versioned
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a")
    rig.start(ARGUS_DELETION_GRACE_S="0")
    decision = await rig.delete(run)
    assert (await rig.end_of(decision.results[0].deletion_id, "run-1"))["outcome"] == "deleted"
    rig.put("lab/run-1/a", body=b"again")
    assert versions(rig) == [("lab/run-1/a", False)]
    assert (await rig.delete(run)).results[0].skipped == "already_deleted"
    rig.query.change("run-1", last_seen_at=datetime.now(UTC), lifecycle_position=200)
    again = await rig.delete(run)
    assert (await rig.end_of(again.results[0].deletion_id, "run-1"))["bytes_freed"] == 5
    rig.put("lab/run-1/a", body=b"by somebody else")
    assert (await rig.delete(run)).results[0].skipped == "already_deleted"
    rig.query.change("run-1", bytes=16, objects=1, measured_at=datetime.now(UTC))  # somebody has had it listed again
    assert (await rig.preview(run)).bytes == 16
    third = await rig.delete(run)
    assert (await rig.end_of(third.results[0].deletion_id, "run-1"))["bytes_freed"] == 16


async def test_versions_that_a_killed_call_has_deleted_are_counted(versioned: Any, tmp_path: Path) -> None:
    """And the run goes on by the time the next deleter comes."""
    rig, point = versioned, "argus_deleter.object_store:ObjectStore._delete_once"
    failpoints = Failpoints(tmp_path / "failpoints", [point])
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put("lab/run-1/a", "lab/run-1/b")
    rig.put("lab/run-1/a")
    first = rig.start(**failpoints.environment)
    failpoints.arm(point, "after")
    decision = await rig.delete(run)
    await asyncio.to_thread(failpoints.wait_fired, 60)
    await asyncio.to_thread(eventually, lambda: not first.is_running)
    rig.query.change("run-1", status="running")
    rig.start()
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (end["outcome"], end["objects_deleted"], end["bytes_freed"], end["remaining_objects"]) == (
        "partial", 3, 30, 0,
    ), end  # fmt: skip
