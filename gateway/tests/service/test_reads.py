"""Questions go to query and come back; what is not yours does not exist."""

from __future__ import annotations

import uuid

import httpx
import orjson
import pytest
import zstandard

from argus_contracts.queries.jobs import JobAnswer, JobList
from argus_contracts.queries.live import HostList, Positions
from argus_contracts.queries.logs import LogLines
from argus_contracts.queries.runs import Facets, RunAnswer, RunList
from argus_contracts.queries.series import SeriesAnswer
from argus_testkit.waiting import eventually

JOB = "fold/1 50% a+b?"


@pytest.fixture(scope="session")
def run(door, event):
    """A run with one job of an awkward name, posted by a person of the workspace main; projected."""
    person = door.new_person()
    key = door.client(door.key_of(person))
    batch = f"run-{uuid.uuid4().hex[:10]}"
    events = [event("batch_start", batch, data={"name": "My run", "project": "digits", "labels": ["first"]})]
    events += [event("job_start", batch, job_id=JOB, data={"model": "mlp", "host": "node1"})]
    events += [event("job_epoch", batch, job_id=JOB, data={"epoch": n, "metrics": {"train_loss": 1 / (n + 1), "acc,top": n}}) for n in range(20)]  # fmt: skip
    events += [event("log_line", batch, job_id=JOB, data={"line": f"line <b>{n}</b>", "line_no": n}) for n in range(30)]
    assert key.post("/api/events/batch", json=events).json()["accepted"] == len(events)
    eventually(lambda: key.get(f"/api/batches/{batch}/log-lines").json().get("lines", [])[29:], within=60)
    jobs = f"/api/batches/{batch}/jobs"
    eventually(lambda: [job["epoch"] for job in key.get(jobs).json().get("items", [])] == [19], within=60)
    return {"batch": batch, "person": person, "key": key}


def job_path(run, rest: str = "") -> str:
    return f"/api/batches/{run['batch']}/jobs/fold%2F1%2050%25%20a%2Bb%3F{rest}"


def test_every_read_answers_in_the_shape_of_the_contract(door, run):
    key, base = run["key"], f"/api/batches/{run['batch']}"
    for path, shape in (
        ("/api/batches", RunList), (base, RunAnswer), (f"{base}/jobs", JobList), (job_path(run), JobAnswer),
        (job_path(run, "/series"), SeriesAnswer), (f"{base}/log-lines", LogLines), ("/api/facets", Facets),
        ("/api/hosts", HostList), ("/api/position", Positions),
    ):  # fmt: skip
        answer = key.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "application/json"
        shape.model_validate_json(answer.content)


@pytest.mark.parametrize("accepted", ["zstd", "gzip, deflate, br, zstd", "ZSTD;q=0.5, gzip"])
def test_a_long_answer_comes_packed_to_who_takes_zstd(door, run, accepted):
    path = f"/api/batches/{run['batch']}/log-lines"
    packed = _raw(run["key"], path, accepted)
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("zstd", "Accept-Encoding")
    said = zstandard.ZstdDecompressor().decompress(b"".join(packed.iter_raw()))
    assert len(LogLines.model_validate_json(said).lines) == 30
    plain = _raw(run["key"], path, "identity")
    assert "content-encoding" not in plain.headers
    assert orjson.loads(b"".join(plain.iter_raw())) == orjson.loads(said)


@pytest.mark.parametrize("accepted", ["gzip", "zstd;q=0, gzip", "gzip;q=1.0, zstd; q=0.000"])
def test_who_refuses_zstd_gets_gzip(door, run, accepted):
    path = f"/api/batches/{run['batch']}/log-lines"
    answer = run["key"].get(path, headers={"Accept-Encoding": accepted})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.json()["lines"]) == 30


def test_short_answers_and_problems_are_never_packed(door, run):
    for path, status in (("/api/position", 200), (f"/api/batches/{uuid.uuid4().hex}", 404)):
        answer = _raw(run["key"], path, "zstd")
        assert answer.status_code == status and "content-encoding" not in answer.headers
        orjson.loads(b"".join(answer.iter_raw()))


def _raw(client, path: str, accepted: str) -> httpx.Response:
    """The answer with its body as it came, not unpacked."""
    return client.send(client.build_request("GET", path, headers={"Accept-Encoding": accepted}), stream=True)


def test_a_job_with_slashes_and_percent_signs_is_found_under_its_encoded_name(door, run):
    assert run["key"].get(job_path(run)).json()["job"]["job_id"] == JOB
    assert run["key"].get(f"/api/batches/{run['batch']}/jobs/fold%252F1").status_code == 404
    assert run["key"].get(f"/api/batches/{run['batch']}/jobs/fold/1").status_code == 404


def test_curves_are_asked_for_by_name(door, run):
    def keys(**params):
        return [series["key"] for series in run["key"].get(job_path(run, "/series"), params=params).json()["series"]]

    assert keys() == ["train_loss"]
    assert keys(keys="train_loss,none") == ["train_loss"]
    assert keys(keys=["acc,top", ""]) == ["acc,top"]
    part = run["key"].get(job_path(run, "/series"), params={"from": 5, "to": 9}).json()["series"][0]
    assert (part["step"][0], part["step"][-1]) == (5, 9)


def test_filters_reach_the_question_and_markup_stays_text(door, run):
    found = run["key"].get(
        "/api/batches", params={"search": "my RUN", "status": "running,queued", "label": "first", "limit": 1}
    )
    assert [item["batch_id"] for item in found.json()["items"]] == [run["batch"]]
    assert run["key"].get("/api/batches", params={"status": ["failed", "aborted"]}).json()["items"] == []
    lines = run["key"].get(f"/api/batches/{run['batch']}/log-lines", params={"job_id": JOB, "limit": 2}).json()["lines"]
    assert [line["line"] for line in lines] == ["line <b>28</b>", "line <b>29</b>"]


def test_members_see_the_workspace_and_others_see_nothing(door, run):
    mate = door.new_person()
    assert mate.get(f"/api/batches/{run['batch']}").status_code == 200
    stranger = door.new_person(door.new_workspace())
    ours, nowhere = stranger.get(f"/api/batches/{run['batch']}"), stranger.get("/api/batches/run-0000000000")
    assert (ours.status_code, nowhere.status_code) == (404, 404)
    assert {**ours.json(), "request_id": ""} == {**nowhere.json(), "request_id": ""}
    for path in ("/jobs", "/log-lines", "/stop-requested"):
        assert stranger.get(f"/api/batches/{run['batch']}{path}").status_code == 404
    for rest in ("", "/series"):
        assert stranger.get(job_path(run, rest)).status_code == 404
    assert stranger.get("/api/batches").json()["items"] == []
    assert stranger.get("/api/facets").json()["projects"] == []
    assert stranger.get("/api/hosts").json()["items"] == []
    assert door.administrator().get(f"/api/batches/{run['batch']}").status_code == 200
    workspace = door.new_workspace()
    door.client(door.admin["token"]).put(f"/api/workspaces/{workspace}/members/admin", json={"role": "admin"})
    elsewhere = door.client(door.key_of(door.administrator(), workspace=workspace))
    assert elsewhere.get(f"/api/batches/{run['batch']}").status_code == 404  # a key sees its workspace only


def test_nobody_asked_this_run_to_stop(door, run):
    said = run["key"].get(f"/api/batches/{run['batch']}/stop-requested").json()
    assert said == {"requested": False, "stop_requested": False, "requested_at": None, "requested_by": None}


@pytest.mark.parametrize(
    "params",
    [{"limit": 0}, {"limit": 10**9}, {"limit": "x"}, {"status": "nonsense"}, {"cursor": "\x00"}, {"cursor": "not-a-cursor"},
     {"after": -1}, {"after": 10**30}, {"type": "other"}, {"search": "x" * 10_000}, {"search": "\x00"}],
)  # fmt: skip
def test_nonsense_is_a_problem_with_the_field(door, run, params):
    answer = run["key"].get("/api/batches", params=params)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "bad_request"


def test_odd_ids_do_not_exist(door, run):
    for batch in ("a%20b", "%00", "a%2Fb", "..%2F..%2Fetc", "x" * 200, "%F0%9F%98%80", "%ff", "'%20OR%201=1--"):
        for rest in ("", "/jobs", "/jobs/x", "/jobs/x/series", "/log-lines", "/stop-requested"):
            assert run["key"].get(f"/api/batches/{batch}{rest}").status_code == 404, (batch, rest)
    for job in ("%00", "%0a", "x" * 300, "%ff"):
        assert run["key"].get(f"/api/batches/{run['batch']}/jobs/{job}").status_code == 404, job


def test_a_read_after_a_position_waits_for_it(door, run, event):
    before = run["key"].get("/api/position").json()["log"]
    answer = run["key"].get("/api/batches", params={"after": before})
    assert answer.json()["position"] >= before
