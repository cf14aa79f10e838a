"""Z3: nobody learns that something exists which they may not see: not from ids, lists, counts, texts, streams or times."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from typing import Any

import pytest

RUN_ROUTES = ("", "/jobs", "/jobs/j", "/jobs/j/series", "/log-lines", "/stop-requested", "/cost")
ONLOOKERS = ("member", "key", "full key", "ws admin", "cluster admin", "former", "admin key")


def telling(answer: Any) -> tuple[int, dict[str, str], Any]:
    """All of an answer that could tell two answers apart."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
        if body.pop("position", None) is not None:  # moves while others work: decision 13
            headers.pop("content-length", None)
    return answer.status_code, headers, body


def request(world: Any, who: str, method: str, path: str, **options: Any) -> Any:
    headers = {"X-Argus-CSRF": world.csrf.get(who, ""), **options.pop("headers", {})}
    return world.clients[who].request(method, path, headers=headers, **options)


@pytest.mark.parametrize("who", ONLOOKERS)
def test_a_foreign_thing_answers_letter_by_letter_like_a_missing_one(world, who):
    foreigner = world.people["foreigner"].name
    there, nowhere = world.runs[foreigner], "z-" + uuid.uuid4().hex[:10]
    assert len(there) == len(nowhere)
    pairs = [("GET", f"/api/batches/{{}}{route}", there, nowhere, {}) for route in RUN_ROUTES]
    pairs += [("GET", f"/api/batches/{{}}/log-lines?search={there}", there, nowhere, {})]
    if who != "key":
        pairs += [
            ("DELETE", "/api/keys/{}", world.new_key(foreigner, world.abroad), uuid.uuid4().hex[:12], {}),
            ("PUT", f"/api/workspaces/{{}}/members/{foreigner}", world.abroad, "w" + uuid.uuid4().hex[:10], {"json": {"role": "admin"}}),
            ("DELETE", f"/api/workspaces/{{}}/members/{foreigner}", world.abroad, "w" + uuid.uuid4().hex[:10], {}),
            ("POST", "/api/keys?{}", world.abroad, "w" + uuid.uuid4().hex[:10], "workspace"),
            ("PATCH", "/api/users/{}", foreigner, "u" + uuid.uuid4().hex[:10], {"json": {"password": "x" * 12}}),
        ]  # fmt: skip
    if who == "admin key":  # may see every user, key and workspace; runs only where the key is bound to
        pairs = pairs[: len(RUN_ROUTES) + 1]
    pairs += [
        ("GET", "/api/producers/p/stored?workspace={}", world.abroad, "w" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/producers/stored?ids=p,q&workspace={}", world.abroad, "w" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/batches?workspace={}", world.abroad, "w" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/prices?workspace={}", world.abroad, "w" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/batches?user={}", foreigner, "u" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/batches?project={}", world.secret, "foreign" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/batches?label={}", world.secret, "foreign" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/batches?search={}", world.secret, "foreign" + uuid.uuid4().hex[:10], {}),
        ("GET", "/api/batches?search={}", there, nowhere, {}),
    ]
    for method, path, real, unreal, options in pairs:
        said = []
        for value in (real, unreal):
            more = {"json": {"name": "x", "workspace": value}} if options == "workspace" else options
            said.append(telling(request(world, who, method, path.format(value), **more)))
        assert said[0] == said[1], (method, path)
        assert real not in json.dumps(said[0][2]), (method, path)


@pytest.mark.parametrize("who", ONLOOKERS)
def test_lists_filters_and_counts_know_of_visible_rows_only(world, who):
    """However the list is asked, filtered or paged: own workspace's runs, all of them, and no number that counts others."""
    mine = {world.runs[world.people[name].name] for name in world.people if name != "foreigner"}
    visible = set() if who == "former" else mine
    found: list[str] = []
    cursor = None
    while True:  # page by page, as small as pages are
        answer = request(
            world, who, "GET", "/api/batches", params={"limit": 2, **({"cursor": cursor} if cursor else {})}
        ).json()
        found += [item["batch_id"] for item in answer["items"]]
        assert set(answer) == {"position", "items", "next_cursor"}  # no total
        cursor = answer["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == sorted(visible)
    facets = request(world, who, "GET", "/api/facets").json()
    people = {world.people[name].name for name in world.people if name != "foreigner"}
    assert set(facets["users"]) == (people if visible else set())
    assert set(facets["workspaces"]) == ({world.home} if visible else set())
    assert world.secret not in json.dumps(facets)
    hosts = request(world, who, "GET", "/api/hosts").text
    assert world.secret not in hosts
    if who == "former":
        assert request(world, who, "GET", "/api/hosts").json()["items"] == []


def test_a_cursor_of_somebody_elses_list_opens_nothing(world):
    theirs = request(world, "admin", "GET", "/api/batches", params={"limit": 1}).json()["next_cursor"]
    answer = request(world, "member", "GET", "/api/batches", params={"limit": 200, "cursor": theirs})
    assert answer.status_code == 200
    assert not [word for word in world.foreign_words() if word in answer.text]


def test_a_stream_says_the_same_about_foreign_and_missing_topics(world, event):
    """Frames of both streams, while something happens in the foreign run: the same kinds, nothing of the run in either."""
    foreigner = world.people["foreigner"]
    there, nowhere = world.runs[foreigner.name], "z-" + uuid.uuid4().hex[:10]
    client = world.clients["member"]
    heard: dict[str, str] = {}
    for batch in (there, nowhere):
        topics = f"batch:{batch},job:{batch}/j"
        with client.stream("GET", "/api/stream", params={"topics": topics, "last_event_id": "0"}, timeout=60) as answer:
            lines = answer.iter_lines()
            text = [next(lines) for _ in range(4)]
            foreigner.post("/api/events", json=event("log_line", there, job_id="j", data={"line": world.secret}))
            until = time.monotonic() + 3
            while time.monotonic() < until:
                text.append(next(lines))
        heard[batch] = "\n".join(text)
    assert not [word for word in world.foreign_words() for said in heard.values() if word in said.replace(there, "")]
    kinds = [{line for line in said.splitlines() if line.startswith("event:")} for said in heard.values()]
    assert kinds[0] == kinds[1]


def test_posting_for_a_foreign_run_looks_like_posting_for_ones_own(world, event):
    """The door takes both; the log refuses the foreign one, and the sender's own watermark is all that the sender hears."""
    there = world.runs[world.people["foreigner"].name]
    said = [
        telling(
            request(
                world,
                "key",
                "POST",
                "/api/events/batch",
                json=[event("log_line", batch, job_id="j", data={"line": "x"})],
            )
        )
        for batch in (there, "z-" + uuid.uuid4().hex[:10])
    ]
    for status, _, body in said:
        assert (status, body["accepted"], body["rejected"]) == (200, 1, 0)


def test_a_foreign_thing_takes_as_long_as_a_missing_one(world):
    """Asked in turn, so that the machine's load falls on both, and again where it did not: what we tell, we tell every time.
    Goal: medians within 20 ms."""
    there = world.runs[world.people["foreigner"].name]

    def difference_ms() -> float:
        took: dict[bool, list[float]] = {True: [], False: []}
        for n in range(60):
            batch = there if n % 2 else "z-" + uuid.uuid4().hex[:10]
            started = time.perf_counter()
            assert request(world, "member", "GET", f"/api/batches/{batch}/jobs/j").status_code == 404
            took[bool(n % 2)].append(time.perf_counter() - started)
        difference = 1000 * abs(statistics.median(took[True]) - statistics.median(took[False]))
        print(f"foreign and missing differ by {difference:.1f} ms in the median of 30 (goal 20 ms)")
        return difference

    assert any(difference_ms() < 100 for _ in range(5))
