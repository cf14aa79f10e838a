"""A real deleter on a real S3: exactly the manifest goes, and nothing else."""

from __future__ import annotations

import time
from typing import Any

import pytest

from argus_local.servers import S3Server
from argus_testkit.s3_stores import Call, FaultyS3, s3_client

OF_A_DELETION = ["requested", "planned", "started", "finished"]


async def test_exactly_what_is_below_the_folder_goes(rig: Any) -> None:
    """L1: names that look alike, as folders and as objects."""
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    mine = {f"lab/run-1/{name}" for name in ("a", "b/c", "b/d e+%20", "ü", "run-1/x", "x.run-1")}
    others = {
        "lab/run-10/a", "lab/run-1.bak/a", "lab/Run-1/a", "lab/run-１/a", "lab/run-1-x/a", "lab/run-1%2F/a", "run-1/a",
        "lab/run-1.txt", "lab/x/run-1/a", "lab/run-/a",
    }  # fmt: skip
    rig.put(*mine, *others)
    rest = rig.canary(without="lab/run-1/")
    rig.start()
    preview = await rig.preview(run)
    assert (preview.objects, preview.bytes, preview.complete) == (6, 60, True)
    decision = await rig.delete(run)
    assert decision.outcome == "accepted"
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert end["outcome"] == "deleted", str(end)
    assert (end["objects"], end["objects_deleted"], end["bytes_freed"], end["remaining_objects"]) == (6, 6, 60, 0)
    assert rig.keys("lab/run-1/") == set()
    assert rig.canary() == rest
    assert rig.keys() == others
    assert await rig.kinds("run-1") == OF_A_DELETION


DANGEROUS = {
    "empty": "", "slash": "/", "dot": ".", "dots": "..", "bucket": "s3://outputs", "root": "s3://outputs/lab",
    "root2": "s3://outputs/lab/", "above": "s3://outputs/", "elsewhere": "s3://secrets/lab/run-1",
    "traversal": "s3://outputs/lab/a/../b", "backslash": "s3://outputs/lab/..\\b", "space": "s3://outputs/lab/a ",
    "nul": "s3://outputs/lab/a\x00", "parent": "s3://outputs/lab/parent", "child": "s3://outputs/lab/parent/child",
    "twin-1": "s3://outputs/lab/twin/", "twin-2": "s3://outputs/lab/twin", "works": "s3://outputs/lab/works",
}  # fmt: skip


async def test_dangerous_places_are_refused_before_the_store_is_asked(around: Any, s3_server: S3Server) -> None:
    """L2 and L3."""
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        runs = [rig.query.add(name, output_dir) for name, output_dir in DANGEROUS.items()]
        rig.query.add("worker", None)
        rig.query.work_dirs["worker"] = "s3://outputs/lab/works/tmp"
        rig.start()
        proxy.calls.clear()
        decision = await rig.delete(*runs)
        assert decision.outcome == "refused"
        assert {one.skipped for one in decision.results} == {"refused", "no_output_dir"}
        assert [one.batch_id for one in decision.results if one.skipped == "no_output_dir"] == ["empty"]
        assert not (await rig.preview(*runs)).n_runs
        assert proxy.calls == []
        assert await rig.facts("root") == []


async def test_encoded_traversal_is_a_name_like_any_other(rig: Any) -> None:
    """L3: nothing is decoded, not even once."""
    odd = ["%2e%2e%2fb", "%252e%252e%252fb", ";..", "%00", "a%20"]
    runs = [rig.query.add(f"odd-{i}", f"s3://outputs/lab/x/{name}") for i, name in enumerate(odd)]
    rig.put(*(f"lab/x/{name}/o" for name in odd), "lab/b/o", "lab/x/b/o", "lab/x/a /o")
    rest = rig.canary(without="lab/x/")
    rig.start()
    decision = await rig.delete(*runs)
    for run, result in zip(runs, decision.results, strict=True):
        assert (await rig.end_of(result.deletion_id, run.batch_id))["objects_deleted"] == 1
    assert rig.keys("lab/x/") == {"lab/x/b/o", "lab/x/a /o"}
    assert rig.keys("lab/x/b/")
    assert rig.canary(without="lab/x/") == rest


async def test_3500_objects_and_a_store_that_refuses_some(around: Any, s3_server: S3Server) -> None:
    """L4: exact counts, and a retry finishes."""
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/c{i % 4}/o{i:04d}" for i in range(3500)), "lab/run-2/a")
        rest = rig.canary(without="lab/run-1/")
        locked = {f"lab/run-1/c{i % 4}/o{i:04d}" for i in range(0, 3500, 25)}
        slow = {f"lab/run-1/c{i % 4}/o{i:04d}": 1 for i in range(7, 3500, 33)}

        def refuse(key: str) -> str | None:
            if key in locked:
                return "AccessDenied"
            if slow.pop(key, 0):
                return "SlowDown"
            return None

        proxy.refuse = refuse
        service = rig.start()
        proxy.calls.clear()
        first = await rig.delete(run)
        end = await rig.end_of(first.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects"], end["bytes"]) == ("partial", 3500, 35_000), end
        assert (end["objects_deleted"], end["bytes_freed"]) == (3360, 33_600)
        assert (end["remaining_objects"], end["remaining_bytes"]) == (140, 1400)
        assert len(end["errors"]) == 100
        assert {error["code"] for error in end["errors"]} == {"AccessDenied"}
        assert "refused to delete 140" in end["reason"]
        assert rig.keys("lab/run-1/") == locked
        named = [key for call in proxy.deletes for key in call.keys]
        assert len(named) <= 3500 + 110
        assert all(len(call.keys) <= 1000 for call in proxy.deletes)
        with rig.database.connect("deleter") as connection:
            stored = connection.execute("SELECT sum(jsonb_array_length(errors)) FROM deleter.manifest_parts").fetchone()
        assert stored == (140,)

        locked.clear()
        proxy.calls.clear()
        again = await rig.delete(run)
        end = await rig.end_of(again.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects_deleted"], end["remaining_objects"]) == ("deleted", 140, 0)
        assert rig.canary() == rest
        assert service.is_running


async def test_calls_for_many_objects_are_few(around: Any, s3_server: S3Server) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/c{i % 5}/o{i:04d}" for i in range(4000)))
        rig.start(ARGUS_MEASURE_EVERY_S="3600")
        proxy.calls.clear()
        decision = await rig.delete(run)
        await rig.end_of(decision.results[0].deletion_id, "run-1")
        listings = [call for call in proxy.calls if call.method == "GET" and "list-type" in call.query]
        assert len(proxy.deletes) == 5  # one for each page of the manifest
        assert len(listings) <= 15, [call.query for call in listings]


async def test_a_folder_of_many_pages_goes_and_nothing_else(around: Any, s3_server: S3Server) -> None:
    rig = await around(s3_server.settings.env())
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    rig.put(*(f"lab/run-1/o{i:04d}" for i in range(2500)), "lab/run-10/o0001")
    rest = rig.canary(without="lab/run-1/")
    rig.start(ARGUS_MEASURE_EVERY_S="3600")
    decision = await rig.delete(run)
    ended = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert (ended["outcome"], ended["objects_deleted"], ended["remaining_objects"]) == ("deleted", 2500, 0)
    assert rig.canary(without="lab/run-1/") == rest


async def test_a_store_that_is_away_for_a_while(around: Any, s3_server: S3Server) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/o{i:04d}" for i in range(50)))
        rig.start()
        failing = iter(range(6))
        proxy.answer = lambda call: (503, SLOW_DOWN) if next(failing, None) is not None else None
        decision = await rig.delete(run)
        assert (await rig.end_of(decision.results[0].deletion_id, "run-1"))["outcome"] == "deleted"


SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


async def test_what_is_written_meanwhile_stays(around: Any, s3_server: S3Server) -> None:
    """L6: an object that is overwritten behind the manifest, one that is new, one that somebody else deletes."""
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/o{i:02d}" for i in range(20)))
        rig.start()
        listings = 0
        s3 = s3_client(s3_server.settings.env())

        def write(call: Call) -> None:
            nonlocal listings
            listings += call.method == "GET" and "list-type" in call.query
            if listings == 2 and "lab/run-1/" in call.query.get("prefix", ()):  # the fresh look, behind the manifest
                listings += 1
                s3.put_object(Bucket="outputs", Key="lab/run-1/o03", Body=b"another")
                s3.put_object(Bucket="outputs", Key="lab/run-1/new", Body=b"new")
                s3.delete_object(Bucket="outputs", Key="lab/run-1/o04")

        listings = 0
        proxy.before = write
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects"], end["objects_deleted"]) == ("partial", 20, 18), end
        assert {error["key"]: error["code"] for error in end["errors"]} == {
            "lab/run-1/o03": "Changed",
            "lab/run-1/new": "Remains",
        }
        assert rig.keys("lab/run-1/") == {"lab/run-1/o03", "lab/run-1/new"}
        assert (end["remaining_objects"], end["remaining_bytes"]) == (2, 10)


async def test_what_is_written_before_a_further_try_stays(around: Any, s3_server: S3Server) -> None:
    """The store asks for patience, somebody writes, and the further try comes."""
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/o{i}" for i in range(3)))
        rig.start(ARGUS_MEASURE_EVERY_S="3600")
        s3, slow = s3_client(s3_server.settings.env()), {"lab/run-1/o1", "lab/run-1/o2"}

        def refuse(key: str) -> str | None:
            if key not in slow:
                return None
            slow.discard(key)
            if key.endswith("o1"):
                s3.put_object(Bucket="outputs", Key=key, Body=b"another")
            return "SlowDown"

        proxy.refuse = refuse
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects_deleted"], end["bytes_freed"]) == ("partial", 2, 20), end
        assert [(error["key"], error["code"]) for error in end["errors"]] == [("lab/run-1/o1", "Changed")]
        assert rig.keys("lab/run-1/") == {"lab/run-1/o1"}


async def test_what_a_store_tells_no_etag_of_for_a_moment_is_not_called_changed(
    around: Any, s3_server: S3Server
) -> None:
    """As rclone of what it is just deleting."""
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put("lab/run-1/a", "lab/run-1/b")
        there = "".join(
            f"<Contents><Key>lab/run-1/{name}</Key><LastModified>2026-11-22T03:00:00.000Z</LastModified>"
            "<ETag></ETag><Size>10</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for name in "ab"
        )
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        told = f'<ListBucketResult xmlns="{space}"><IsTruncated>false</IsTruncated>{there}</ListBucketResult>'
        listings: list[Call] = []

        def answer(call: Call) -> tuple[int, bytes] | None:
            if call.query.get("prefix") == ["lab/run-1/"] and "uploads" not in call.query:
                listings.append(call)
                return (200, told.encode()) if len(listings) in (2, 3) else None
            return None

        proxy.answer = answer
        rig.start(ARGUS_MEASURE_EVERY_S="3600")
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["objects_deleted"], end["bytes_freed"]) == ("deleted", 2, 20), end
        assert len(listings) == 5  # the manifest, three looks, and the listing that must be empty


async def test_a_run_that_begins_anew_while_it_is_listed_keeps_everything(around: Any, s3_server: S3Server) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/o{i}" for i in range(5)))
        rest = rig.canary()
        rig.start(ARGUS_MEASURE_EVERY_S="3600")

        def resume(call: Call) -> None:
            if "lab/run-1/" in call.query.get("prefix", ()):
                rig.query.change("run-1", status="running")

        proxy.before = resume
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert (end["outcome"], end["reason"]) == ("failed", "checked again: not_terminal")
        assert await rig.kinds("run-1") == ["requested", "planned", "failed"]
        assert proxy.deletes == []
        assert rig.canary() == rest


@pytest.mark.parametrize(
    "change", [{"status": "running"}, {"lifecycle_position": 200}, {"lifecycle_position": 200, "is_active": True}]
)
async def test_a_run_that_begins_anew_while_objects_are_deleted_keeps_the_rest(
    around: Any, s3_server: S3Server, change: dict[str, Any]
) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/c{i % 10}/o{i:04d}" for i in range(6000)))
        upload = rig.s3.create_multipart_upload(Bucket="outputs", Key="lab/run-1/half")
        rig.start(ARGUS_S3_CALLS_AT_ONCE="1", ARGUS_MEASURE_EVERY_S="3600")

        def resume(call: Call) -> None:
            if call.is_delete:
                rig.query.change("run-1", **change)
                time.sleep(0.8)

        proxy.before = resume
        decision = await rig.delete(run)
        end = await rig.end_of(decision.results[0].deletion_id, "run-1")
        assert end["outcome"] == "partial", end
        assert end["reason"].startswith("checked again"), end
        left = rig.keys("lab/run-1/")
        assert len(left) >= 3000
        assert (end["objects_deleted"], end["remaining_objects"]) == (6000 - len(left), len(left))
        assert (end["uploads_aborted"], len(proxy.deletes)) == (0, end["objects_deleted"] / 600)
        rig.s3.list_parts(Bucket="outputs", Key="lab/run-1/half", UploadId=upload["UploadId"])


async def test_every_call_names_the_owner_and_etags_do_no_harm(around: Any, s3_server: S3Server) -> None:
    with FaultyS3(s3_server.settings.env()) as proxy:
        rig = await around(proxy.env())
        run = rig.query.add("run-1", "s3://outputs/lab/run-1")
        rig.put(*(f"lab/run-1/o{i}" for i in range(5)))
        proxy.calls.clear()
        rig.start(ARGUS_S3_BUCKET_OWNER="123456789012", ARGUS_S3_CONDITIONAL_DELETES="true")
        decision = await rig.delete(run)
        assert (await rig.end_of(decision.results[0].deletion_id, "run-1"))["objects_deleted"] == 5
        assert {call.headers.get("x-amz-expected-bucket-owner") for call in proxy.calls} == {"123456789012"}
        assert proxy.deletes[0].body.count(b"<ETag>") == 5
