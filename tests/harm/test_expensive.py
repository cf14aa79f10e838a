"""O5, W8: questions that would be expensive, and words that mean something to a database: one clear answer each, soon, and nobody
else waits."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest

from argus_testkit import LocalStack, eventually

SOON_S = 60.0
"""A net for a machine that does other things, too; the statement timeout behind it is 5 s."""

GREEDY = {
    "runs": ("/api/batches?limit=1000000000", 422),
    "no runs": ("/api/batches?limit=0", 422),
    "jobs": ("/api/batches/{run}/jobs?limit=1000000000", 422),
    "lines": ("/api/batches/{run}/log-lines?limit=1000000000", 422),
    "points": ("/api/batches/{run}/jobs/j/series?max_points=1000000000", 422),
    "a point": ("/api/batches/{run}/jobs/j/series?max_points=1", 422),
    "a far end": ("/api/batches/{run}/jobs/j/series?from=-1e308&to=1e308", 200),
    "no end": ("/api/batches/{run}/jobs/j/series?to=1e400", 422),
    "many curves": ("/api/batches/{run}/jobs/j/series?keys=" + ",".join(f"k{n}" for n in range(2000)), 422),
    "500 topics": ("/api/stream?topics=" + ",".join(f"batch:b{n}" for n in range(500)), 422),
    "10,000 topics": ("/api/stream?topics=" + ",".join(f"batch:b{n}" for n in range(10_000)), 414),
    "200 KB": ("/api/batches?search=" + "x" * 200_000, 414),
    "a long search": ("/api/batches?search=" + "x" * 5_000, 422),
    "a far position": (f"/api/batches?after={2**60}", 422),
    "a wait": (f"/api/batches?after={2**50}", 200),
    "a cursor of nobody": ("/api/batches?cursor=" + "A" * 1500, 422),
    "deep JSON in a cursor": ("/api/batches?cursor=W1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tb", 422),
}


@pytest.fixture(scope="module")
def run(stack: LocalStack) -> Iterator[str]:
    """A run with a job of 4,000 lines that are as hard to search as lines can be, and names of LIKE's own letters."""
    batch_id = f"greedy-{uuid.uuid4().hex[:8]}"

    def event(kind: str, job_id: str | None, data: dict[str, Any]) -> dict[str, Any]:
        return {"event_id": str(uuid.uuid4()), "kind": kind, "batch_id": batch_id, "job_id": job_id,
                "occurred_at": "2026-11-21T03:00:00Z", "data": data}  # fmt: skip

    with stack.client() as client:
        jobs = [event("job_start", name, {"name": name}) for name in ("j", "100%_done", "100xxdone", "a\\b", "it's")]
        assert (
            client.post("/api/events/batch", json=[event("batch_start", None, {"name": "50%_greedy"}), *jobs]).json()[
                "rejected"
            ]
            == 0
        )
        for _ in range(40):
            lines = [event("log_line", "j", {"line": "a" * 2_000 + "%_" * 100, "stream": "stdout"}) for _ in range(100)]
            assert client.post("/api/events/batch", json=lines).json()["accepted"] == 100
        eventually(lambda: len(lines_of(client, batch_id, limit=200)[1]) == 200, 120)
    yield batch_id


def lines_of(client: httpx.Client, batch_id: str, **parameters: Any) -> tuple[int, list[Any]]:
    answer = client.get(f"/api/batches/{batch_id}/log-lines", params={"job_id": "j", **parameters})
    return answer.status_code, answer.json().get("lines", [])


@pytest.mark.parametrize(("path", "status"), GREEDY.values(), ids=GREEDY.keys())
def test_a_greedy_question_has_one_clear_answer(
    client: httpx.Client, stack: LocalStack, run: str, path: str, status: int
) -> None:
    answer = asked(stack, client, path.format(run=run))
    assert answer[0] == status, answer
    if status != 200:
        assert answer[1] == "application/problem+json"
        assert orjson.loads(answer[2])["detail"]


def asked(stack: LocalStack, client: httpx.Client, path: str) -> tuple[int, str, bytes]:
    """Status, media type and body. By hand where the address is longer than client libraries let it be."""
    if len(path) < 60_000:
        answer = client.get(path)
        return answer.status_code, answer.headers["content-type"], answer.content
    from http.client import HTTPConnection

    connection = HTTPConnection("127.0.0.1", stack.port, timeout=SOON_S)
    connection.request("GET", path, headers={"Authorization": client.headers["Authorization"]})
    response = connection.getresponse()
    try:
        return response.status, response.headers["content-type"], response.read()
    finally:
        connection.close()


def answer_of(client: httpx.Client, path: str, parameters: dict[str, Any]) -> httpx.Response:
    """The first answer but 503, which only says that the machine is busy; each of them comes soon."""

    def ask() -> httpx.Response:
        answer = client.get(path, params=parameters, timeout=SOON_S)
        assert answer.status_code != 503, answer.text
        return answer

    return eventually(lambda: (ask(),), 2 * SOON_S, path)[0]


STORMS = [
    "%" * 200,
    "_" * 200,
    "%a" * 100,
    "a%" * 99 + "b",
    "(a+)+$",
    "\\" * 199,
    "[" * 200,
    "((((" * 40,
    "a" * 200,
    "{" * 200,
    ".*" * 100,
]


@pytest.mark.parametrize("storm", STORMS, ids=lambda storm: storm[:4])
def test_a_storm_of_wildcards_means_itself(client: httpx.Client, run: str, storm: str) -> None:
    for path, parameters in (
        ("/api/batches", {}), (f"/api/batches/{run}/jobs", {}), (f"/api/batches/{run}/log-lines", {"job_id": "j", "limit": 200}),
    ):  # fmt: skip
        answer = answer_of(client, path, {"search": storm, **parameters})
        assert answer.status_code == 200, answer.text
        found = answer.json().get("items", answer.json().get("lines", []))
        assert all(storm.casefold() in orjson.dumps(one).decode().casefold() for one in found), path
        assert bool(found) == (storm == "a" * 200 and "log-lines" in path), path


def test_wildcards_find_their_own_letters_and_nothing_else(client: httpx.Client, run: str) -> None:
    def jobs(search: str) -> list[str]:
        answer = client.get(f"/api/batches/{run}/jobs", params={"search": search})
        return sorted(job["job_id"] for job in answer.json()["items"])

    assert jobs("%_d") == ["100%_done"]
    assert jobs("100_") == []
    assert jobs("\\") == ["a\\b"]
    assert jobs("'") == ["it's"]
    assert jobs("100") == ["100%_done", "100xxdone"]


SQL = [
    "' OR '1'='1", "'; DROP TABLE read.runs; --", "1; SELECT pg_sleep(30)", "') UNION SELECT password_hash FROM identity.users --",
    "x' AND (SELECT pg_sleep(30)) IS NOT NULL --", "%' ESCAPE '", "$$; SELECT pg_sleep(30) $$", "\\'; SELECT pg_sleep(30) --", "{pg_sleep(30)}",
    "%(x)s", "%s%s%s", "{0.__class__}", "ARRAY[1]", "NULL", "now()", "\r\nSet-Cookie: x=1", "${jndi:ldap://127.0.0.1/x}",
]  # fmt: skip


def test_words_of_sql_in_every_parameter_are_words(client: httpx.Client, inside: Any, run: str) -> None:
    document = client.get("/api/openapi.json").json()
    n_runs = inside.sql("SELECT count(*) FROM read.runs")
    asked_of: list[str] = []
    for path, methods in document["paths"].items():
        if "get" not in methods or path in ("/api/stream", "/readyz"):
            continue
        for parameter in methods["get"].get("parameters", []):
            for word in SQL:
                filled = path.replace("{batch_id}", run).replace("{job_id}", "j")
                query = {}
                if parameter["in"] == "path":
                    filled = path.replace(f"{{{parameter['name']}}}", quote(word, safe=""))
                    filled = filled.replace("{batch_id}", run).replace("{job_id}", "j")
                elif parameter["in"] == "query":
                    query = {parameter["name"]: word}
                answer = answer_of(client, filled, query)
                assert answer.status_code in (200, 400, 403, 404, 422), (filled, query, answer.text)
                assert "set-cookie" not in answer.headers
                # What is asked for may be named: as it was said, or (names of runs) word by word.
                said = answer.content.replace(word.encode(), b"")
                assert said.count(b"password_hash") <= said.count(b'"password_hash"') * (
                    "password_hash" in word.split()
                )
        asked_of.append(path)
    assert len(asked_of) >= 10
    assert inside.sql("SELECT count(*) FROM read.runs") >= n_runs


def test_others_are_answered_meanwhile(client: httpx.Client, stack: LocalStack, run: str) -> None:
    """Eight people search hard; each question of somebody else's is answered, none is a fault."""
    over, statuses = threading.Event(), set[int]()

    def search() -> None:
        with stack.client() as greedy:
            while not over.is_set():
                answer = greedy.get(
                    f"/api/batches/{run}/log-lines", params={"search": "%_b", "limit": 200, "job_id": "j"}
                )
                statuses.add(answer.status_code)

    searchers = [threading.Thread(target=search) for _ in range(8)]
    for searcher in searchers:
        searcher.start()
    try:
        took: list[float] = []
        for _ in range(10):
            started = time.monotonic()
            assert client.get("/api/batches", params={"limit": 5}).status_code == 200
            took.append(time.monotonic() - started)
    finally:
        over.set()
        for searcher in searchers:
            searcher.join()
    print(f"others: median {sorted(took)[5] * 1000:.0f} ms, worst {max(took) * 1000:.0f} ms; searches: {statuses}")
    assert statuses <= {200, 503}


def test_what_people_write_forges_no_line_of_a_log(client: httpx.Client, stack: LocalStack) -> None:
    mark = f"forged-{uuid.uuid4().hex[:8]}"
    lines = f"x\r\n2026-11-21 03:00:00,000 ERROR argus_gateway: {mark}\n\x1b[2J"
    with httpx.Client(base_url=stack.url, timeout=30) as anybody:
        anybody.post("/api/auth/login", json={"username": lines, "password": lines})
    client.post("/api/events", json={"kind": lines, "event_type": lines, "batch_id": lines})
    client.post("/api/events/batch", content=lines.encode(), headers={"Content-Type": "application/json"})
    client.get("/api/batches", params={"search": lines, "cursor": lines, "project": lines})
    client.get("/api/batches/" + quote(lines, safe="") + "/jobs/" + quote(lines, safe=""))
    client.post("/api/workspaces", json={"name": lines})
    client.get("/api/stream", params={"topics": lines})
    for program in ("gateway", "query", "ingest", "nats", "postgres"):
        forged = [line for line in stack.log(program).splitlines() if mark in line and not line.startswith(("\t", " "))]
        assert all(line.find(mark) > 60 for line in forged), (program, forged)
        assert not [line for line in forged if line.startswith("2026-11-21 03:00:00,000 ERROR")], program
