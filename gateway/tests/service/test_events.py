"""Posted events are durable when the answer comes, and stand in the log under the poster's own name."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import orjson
import zstandard

from argus_testkit.waiting import eventually as eventually_within

eventually = functools.partial(eventually_within, within=100)  # a message whose pull was lost comes again after 30 s


def logged(door, batch_id: str) -> list[dict]:
    """The events of a batch as they stand in the log, in order."""
    rows = door.sql("SELECT payload FROM log.record_batches WHERE batch_id = %s ORDER BY first_position", batch_id)
    decoder = zstandard.ZstdDecompressor()
    return [
        event
        for (payload,) in rows
        for event in orjson.loads(decoder.decompress(payload, max_output_size=2**24))["events"]
    ]


def owner(door, batch_id: str) -> set[tuple[str, str]]:
    rows = door.sql("SELECT DISTINCT workspace, user_name FROM log.record_batches WHERE batch_id = %s", batch_id)
    return set(rows)


def old(event_type: str, batch_id: str, **more) -> dict:
    return {
        "event_id": str(uuid.uuid4()), "schema_version": "1.1", "event_type": event_type, "timestamp": "2026-11-21T03:00:00Z",
        "batch_id": batch_id, "job_id": None if event_type.startswith("batch") else "j1", "source": {"project": "p"},
        "data": {}, **more,
    }  # fmt: skip


def test_one_event_of_each_form_is_in_the_log_under_the_name_of_the_key(door, event):
    person = door.new_person()
    key = door.client(door.key_of(person))
    start = event(user="somebody-else", workspace="elsewhere")
    answer = key.post("/api/events", json=start)
    assert (answer.status_code, answer.json()) == (200, {"event_id": start["event_id"], "status": "accepted"})
    batch = start["batch_id"]
    epoch = old("job_epoch", batch, data={"epoch": 1, "train_loss": 0.5})
    assert key.post("/api/events", json=epoch).status_code == 200
    events = eventually(lambda: (found := logged(door, batch)) and len(found) == 2 and found)
    stored = {one["event_id"]: one for one in events}
    assert stored.keys() == {start["event_id"], epoch["event_id"]}
    assert stored[epoch["event_id"]]["data"]["metrics"] == {"train_loss": 0.5}
    assert owner(door, batch) == {("main", person.name)}


def test_a_repeat_is_a_success_that_changes_nothing(door, event):
    key = door.client(door.key_of(door.new_person()))
    start = event()
    for _ in range(3):
        assert key.post("/api/events", json=start).status_code == 200
    end = event("batch_done", start["batch_id"])
    key.post("/api/events", json=end)

    def both() -> list[dict]:
        found = logged(door, start["batch_id"])
        assert {one["event_id"] for one in found} == {start["event_id"], end["event_id"]}
        return found

    events = eventually(both)
    assert len(events) == 2


def test_a_wrong_schema_version_is_415_and_a_bad_event_422_with_the_reason(door, event):
    key = door.client(door.key_of(door.new_person()))
    answer = key.post("/api/events", json=old("batch_start", "b", schema_version="1.0"))
    assert (answer.status_code, answer.json()["code"]) == (415, "wrong_schema_version")
    for bad, code in (
        (event("no_such_kind"), "unknown_kind"), (event(attempt=-1), "malformed"), (event(batch_id="a b"), "malformed"),
        (event(version=99), "newer_version"), ([], "malformed"), (None, "malformed"), ("x", "malformed"),
    ):  # fmt: skip
        answer = key.post("/api/events", json=bad)
        assert (answer.status_code, answer.json()["code"]) == (422, code), bad
    forged = event("stop_requested", data={"reason": "x"})
    assert key.post("/api/events", json=forged).json()["code"] == "not_yours_to_say"


def test_a_batch_of_both_forms_has_a_result_per_event(door, event):
    key = door.client(door.key_of(door.new_person()))
    batch = f"b-{uuid.uuid4().hex[:10]}"
    events = [
        event(batch_id=batch),
        old("job_start", batch),
        {"kind": "x"},
        old("log_line", batch, data={"line": "hi"}),
    ]
    for body in (events, {"events": events}):
        answer = key.post("/api/events/batch", json=body)
        assert answer.status_code == 200
        said = answer.json()
        assert (said["accepted"], said["rejected"], said["stored"]) == (3, 1, None)
        assert [one["status"] for one in said["results"]] == ["accepted", "accepted", "rejected", "accepted"]
        assert said["results"][0]["event_id"] == events[0]["event_id"]
    assert eventually(lambda: len(logged(door, batch)) == 3)


def test_bare_nan_tokens_of_the_older_form_are_kept_as_data(door):
    key = door.client(door.key_of(door.new_person()))
    batch = f"b-{uuid.uuid4().hex[:10]}"
    body = json.dumps(old("job_epoch", batch, data={"epoch": 1, "val_loss": float("nan"), "lr": float("inf")}))
    assert "NaN" in body
    assert key.post("/api/events", content=body, headers={"Content-Type": "application/json"}).status_code == 200
    (one,) = eventually(lambda: logged(door, batch))
    assert one["data"]["metrics"] == {"val_loss": "NaN", "lr": "Infinity"}


def test_a_browser_session_posts_with_its_csrf_token_and_names_its_workspace(door, event):
    workspace = door.new_workspace()
    person = door.new_person(workspace)
    start = event()
    assert person.post("/api/events", json=start).status_code == 200
    assert eventually(lambda: owner(door, start["batch_id"])) == {(workspace, person.name)}
    door.client(door.admin["token"]).put(f"/api/workspaces/main/members/{person.name}", json={"role": "member"})
    unclear = person.post("/api/events", json=event())
    assert (unclear.status_code, unclear.json()["code"]) == (422, "bad_request")
    chosen = event()
    assert person.post("/api/events", json=chosen, headers={"X-Argus-Workspace": "main"}).status_code == 200
    assert eventually(lambda: owner(door, chosen["batch_id"])) == {("main", person.name)}
    assert person.post("/api/events", json=event(), params={"workspace": "not-mine"}).status_code == 404


def test_a_numbered_message_is_told_stored_once_it_is_in_the_log(door, event):
    key = door.client(door.key_of(door.new_person()))
    batch, producer = f"b-{uuid.uuid4().hex[:10]}", f"p{uuid.uuid4().hex[:10]}"
    events = [event("batch_heartbeat", batch, seq=n) for n in range(3)]
    message = {"v": 2, "producer_id": producer, "class": "lifecycle", "first_seq": 0, "events": events}

    def post() -> dict:
        """Once more where the log took longer than the answer may wait: a repeat changes nothing."""
        answer = key.post("/api/events/batch", json=message, params={"wait_stored_ms": 2000})
        assert answer.status_code == 200, answer.text
        return answer.json()

    said = eventually(lambda: (found := post())["stored"] and found)
    assert said["accepted"] == 3
    assert said["stored"] == {"producer_id": producer, "class": "lifecycle", "next_seq": 3, "ranges": []}
    assert key.get(f"/api/producers/{producer}/stored").json() == [said["stored"]]
    assert len(logged(door, batch)) == 3
    other = door.client(door.key_of(door.new_person()))
    assert other.get(f"/api/producers/{producer}/stored").json() == []


def test_bad_events_of_a_numbered_message_leave_no_gap(door, event):
    key = door.client(door.key_of(door.new_person()))
    batch, producer = f"b-{uuid.uuid4().hex[:10]}", f"p{uuid.uuid4().hex[:10]}"
    events = [
        event("batch_heartbeat", batch, seq=0),
        {**event("nonsense", batch), "seq": 1},
        event("batch_done", batch, seq=2),
    ]
    message = {"v": 2, "producer_id": producer, "class": "lifecycle", "first_seq": 0, "events": events}
    said = key.post("/api/events/batch", json=message, params={"wait_stored_ms": 2000}).json()
    assert [one["status"] for one in said["results"]] == ["accepted", "rejected", "accepted"]
    stored = f"/api/producers/{producer}/stored"
    assert eventually(lambda: key.get(stored).json())[0]["next_seq"] == 3
    assert [one["kind"] for one in logged(door, batch)] == ["batch_heartbeat", "batch_done"]
    dead = door.sql("SELECT code FROM log.dead_letters WHERE position(%s in raw) > 0", batch.encode())
    assert dead == [("unknown_kind",)]


def test_another_users_events_for_my_run_do_not_reach_the_log(door, event):
    mine, other = (door.client(door.key_of(door.new_person())) for _ in range(2))
    start = event()
    mine.post("/api/events", json=start)
    eventually(lambda: logged(door, start["batch_id"]))
    other.post("/api/events", json=event("batch_done", start["batch_id"]))
    mine.post("/api/events", json=event("batch_heartbeat", start["batch_id"]))
    events = eventually(lambda: (found := logged(door, start["batch_id"])) and len(found) >= 2 and found)
    assert [one["kind"] for one in events] == ["batch_start", "batch_heartbeat"]


def test_limits_of_posting(door, event):
    key = door.client(door.key_of(door.new_person()))
    many = key.post("/api/events/batch", json=[event() for _ in range(501)])
    assert (many.status_code, many.json()["code"]) == (413, "too_large")
    large = key.post("/api/events/batch", content=b"[" + b" " * (1024 * 1024) + b"]")
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    assert key.post("/api/events/batch", content=b"x", headers={"Content-Encoding": "gzip"}).status_code == 415
    assert key.post("/api/events/batch", json=[]).json() == {
        "accepted": 0,
        "rejected": 0,
        "results": [],
        "stored": None,
    }


_TRAINING = """
import os, sys
from argus import Reporter
with Reporter("stock", experiment_type="forecast", source_project="lab", n_total=2, monitor_url=os.environ["URL"],
              token=os.environ["TOKEN"], heartbeat=False, resource_snapshot=False) as r:
    print(r.batch_id)
    for name in ("j1", "j2"):
        with r.job(name, model="mlp", dataset="digits") as job:
            for epoch in range(30):
                job.epoch(epoch, train_loss=1.0 / (epoch + 1), val_loss=2.0 / (epoch + 1), lr=0.1)
                job.log(f"epoch {epoch}")
            job.metrics({"MSE": 0.25})
"""


def train(door, argus_reporter: Path, home: Path) -> str:
    """Two jobs of 30 epochs have been reported by the stock client; answers the run's id."""
    token = door.key_of(door.new_person())
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(argus_reporter),
        "HOME": str(home),
        "URL": door.url,
        "TOKEN": token,
    }
    done = subprocess.run(
        [sys.executable, "-c", _TRAINING], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def test_stock_argus_reporter_runs_unchanged(door, argus_reporter, tmp_path):
    batch = train(door, argus_reporter, tmp_path)
    events = eventually(lambda: (found := logged(door, batch)) and len(found) >= 126 and found)
    kinds = [one["kind"] for one in events]
    assert kinds.count("job_epoch") == 60
    assert kinds.count("log_line") == 60
    assert (kinds.count("job_start"), kinds.count("job_done"), kinds.count("batch_start")) == (2, 2, 1)
    lines = [one for one in events if one["kind"] == "log_line" and one["job_id"] == "j1"]
    assert [one["data"]["line"] for one in sorted(lines, key=lambda one: one["data"]["order"])] == [
        f"epoch {n}" for n in range(30)
    ]


def test_a_reporters_spill_of_more_than_500_events_arrives_after_all(door, argus_reporter, tmp_path):
    """The older client posts its whole spill file at once; an answer of 413 would keep it on disk for ever."""
    spill = tmp_path / ".argus-reporter" / "spill-1-1.jsonl"
    spill.parent.mkdir()
    earlier = f"spilled-{uuid.uuid4().hex[:10]}"
    events = [old("batch_start", earlier, data={"experiment_type": "x", "n_total_jobs": 1})]
    events += [old("log_line", earlier, data={"line": f"{n}", "level": "info"}) for n in range(1500)]
    spill.write_text("".join(json.dumps(one) + "\n" for one in events))
    train(door, argus_reporter, tmp_path)
    assert eventually(lambda: len(logged(door, earlier)) == 1501)
    assert not spill.exists()


def test_no_event_is_dropped_for_being_many(door, event):
    """Ten threads post as fast as they can: never 429, and all of it is in the log."""
    token = door.key_of(door.new_person())
    batch = f"b-{uuid.uuid4().hex[:10]}"
    codes: list[int] = []

    def post() -> None:
        client = door.client(token)
        for _ in range(10):
            body = [event("log_line", batch, job_id="j", data={"line": "x"}) for _ in range(50)]
            codes.append(client.post("/api/events/batch", json=body).status_code)

    threads = [threading.Thread(target=post) for _ in range(10)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    assert codes == [200] * 100
    assert eventually(lambda: len(logged(door, batch)) == 5000)
    print(f"{5000 / took:,.0f} posted events/s")


def numbered(batch: str, producer: str, events: list[dict], first_seq: int = 0, **more) -> dict:
    return {"v": 2, "producer_id": producer, "class": "lifecycle", "first_seq": first_seq, "events": events, **more}


def post_bundle(client, *documents: dict | bytes, **options):
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in documents]
    headers = {"Content-Type": "application/x-ndjson", **options.pop("headers", {})}
    return client.post("/api/events/bundle", content=b"\n".join(lines), headers=headers, **options)


def fresh(prefix: str, n: int) -> list[str]:
    return [f"{prefix}-{uuid.uuid4().hex[:10]}" for _ in range(n)]


def test_a_bundle_is_in_the_log_once_and_told_stored_in_one_question(door, event):
    key = door.client(door.key_of(door.new_person()))
    batches, producers = fresh("b", 30), fresh("p", 30)
    documents = [
        numbered(batch, producer, [event("batch_heartbeat", batch, seq=n) for n in range(2)])
        for batch, producer in zip(batches, producers, strict=True)
    ]
    for _ in range(2):  # a repeat changes nothing
        answer = post_bundle(key, *documents)
        assert answer.status_code == 200, answer.text
        assert answer.json()["documents"] == [{"accepted": 2, "rejected": 0, "results": [], "refused": None}] * 30

    def stored() -> list[dict]:
        return key.get("/api/producers/stored", params={"ids": ",".join(producers)}).json()

    assert eventually(lambda: len(found := stored()) == 30 and found)
    assert [(mark["producer_id"], mark["next_seq"], mark["ranges"]) for mark in stored()] == [
        (p, 2, []) for p in producers
    ]
    assert key.get("/api/producers/stored", params={"ids": producers[:2]}).json() == stored()[:2]
    assert key.get(f"/api/producers/{producers[0]}/stored").json() == stored()[:1]
    assert post_bundle(key, documents[3], documents[5]).json()["stored"] == [stored()[3], stored()[5]]
    assert all(len(logged(door, batch)) == 2 for batch in batches)


def test_nobody_hears_of_anothers_producers_by_asking_for_many(door, event):
    workspace = door.new_workspace()
    mine, mate = door.new_person(workspace), door.new_person(workspace)
    (batch,), (producer,) = fresh("b", 1), fresh("p", 1)
    key = door.client(door.key_of(mine))
    post_bundle(key, numbered(batch, producer, [event("batch_start", batch, seq=0)])).raise_for_status()
    asked = {"ids": f"nobody,{producer}"}
    assert eventually(lambda: key.get("/api/producers/stored", params=asked).json())
    for other in (door.client(door.key_of(mate)), mate, door.client(door.key_of(door.new_person()))):
        answer = other.get("/api/producers/stored", params=asked)
        assert (answer.status_code, answer.json()) == (200, [])
    foreign = door.client(door.key_of(door.new_person())).get(
        "/api/producers/stored", params={**asked, "workspace": workspace}
    )
    assert foreign.status_code == 404
    for wrong in ({}, {"ids": ""}, {"ids": "a b"}, {"ids": ",".join(["p"] * 201)}):
        assert key.get("/api/producers/stored", params=wrong).status_code == 422


def test_what_is_bad_in_a_bundle_is_bad_alone(door, event):
    person, other = door.new_person(), door.new_person()
    key = door.client(door.key_of(person))
    (theirs,), batches, producers = fresh("b", 1), fresh("b", 4), fresh("p", 5)
    door.client(door.key_of(other)).post("/api/events", json=event(batch_id=theirs)).raise_for_status()
    eventually(lambda: logged(door, theirs))
    heartbeats = [event("batch_heartbeat", batch, seq=0) for batch in batches]
    mixed = [heartbeats[1], {**event("nonsense", batches[1]), "seq": 1}, event("batch_done", batches[1], seq=2)]
    two_batches = [event("batch_start", batch, seq=n) for n, batch in enumerate(fresh("b", 2))]
    answer = post_bundle(
        key,
        numbered(batches[0], producers[0], [heartbeats[0]]),
        b"no document",
        numbered(batches[1], producers[1], mixed),
        b"",
        numbered(theirs, producers[2], [event("batch_done", theirs, seq=0)]),
        numbered(batches[2], producers[3], two_batches),
        b'[{"kind": "batch_start"}]',
        {"v": 2, "class": "lifecycle", "events": [heartbeats[2], event("no_such", batches[2])]},
        numbered(batches[3], producers[4], [heartbeats[3]]),
        b"",
    )
    assert answer.status_code == 200, answer.text
    documents = answer.json()["documents"]
    assert [(one["accepted"], one["rejected"], (one["refused"] or "").partition(":")[0]) for one in documents] == [
        (1, 0, ""), (0, 0, "malformed"), (2, 1, ""), (1, 0, ""), (0, 0, "malformed"), (0, 0, "malformed"), (1, 1, ""), (1, 0, ""),
    ]  # fmt: skip
    assert [result["error"].partition(":")[0] for one in documents for result in one["results"]] == ["unknown_kind"] * 2
    ids = ",".join(producers)

    def dealt_with() -> dict[str, int]:
        return {
            mark["producer_id"]: mark["next_seq"]
            for mark in key.get("/api/producers/stored", params={"ids": ids}).json()
        }

    wanted = dict(zip([*producers[:3], producers[4]], (1, 3, 1, 1), strict=True))
    assert eventually(lambda: dealt_with() == wanted), dealt_with()
    assert [[one["kind"] for one in logged(door, batch)] for batch in batches] == [
        ["batch_heartbeat"], ["batch_heartbeat", "batch_done"], ["batch_heartbeat"], ["batch_heartbeat"],
    ]  # fmt: skip
    assert [one["kind"] for one in logged(door, theirs)] == ["batch_start"]
    letters = "SELECT code, subject LIKE '%%.any' FROM log.dead_letters WHERE user_name = %s ORDER BY code"
    assert door.sql(letters, person.name) == [("not_the_owner", True), ("unknown_kind", True)]


def test_a_bundle_over_a_limit_is_a_problem_and_nothing_of_it_is_taken(door, event):
    key = door.client(door.key_of(door.new_person()))
    (batch,), (producer,) = fresh("b", 1), fresh("p", 1)
    document = numbered(batch, producer, [event("batch_start", batch, seq=0)])
    large = numbered(batch, producer, [event("batch_start", batch, seq=0, data={"params": {"x": "y" * 60_000}})])
    for answer, status, code in (
        (post_bundle(key, *[document] * 257), 413, "too_large"),
        (post_bundle(key, *[large] * 5), 413, "too_large"),
        (post_bundle(key, b" " * 1024 * 1024, document), 413, "too_large"),
        (post_bundle(key), 422, "malformed"),
        (post_bundle(key, document, headers={"Content-Encoding": "gzip"}), 415, "unsupported_media_type"),
        (door.client().post("/api/events/bundle", content=b"{}"), 401, "not_signed_in"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert post_bundle(key, *[document] * 256).json()["documents"][255]["accepted"] == 1
    assert eventually(lambda: len(logged(door, batch)) == 1)
    assert post_bundle(key, *[large] * 4).status_code == 200


def test_a_browser_session_posts_bundles_by_the_same_rules(door, event):
    workspace = door.new_workspace()
    person = door.new_person(workspace)
    (batch,), (producer,) = fresh("b", 1), fresh("p", 1)
    document = numbered(batch, producer, [event("batch_start", batch, seq=0)])
    headers = {"X-Argus-CSRF": person.csrf}
    assert post_bundle(person.client, document).status_code == 403
    assert (
        post_bundle(person.client, document, headers={**headers, "Content-Type": "application/json"}).status_code == 415
    )
    assert post_bundle(person.client, document, headers=headers, params={"workspace": "not-mine"}).status_code == 404
    assert post_bundle(person.client, document, headers=headers, params={"workspace": workspace}).status_code == 200
    assert eventually(lambda: owner(door, batch)) == {(workspace, person.name)}
