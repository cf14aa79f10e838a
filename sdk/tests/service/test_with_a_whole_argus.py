"""The SDK and its command line against a real Argus: key, gateway, broker, ingest, query."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import httpx
import pytest

from argus_testkit.stack import LocalStack

TRAINING = """
import pathlib
with argus.init(project="sdk", name="whole", batch_id=sys.argv[1], capture_output=True, resource_interval_s=0.3) as run:
    with run.job("a/b", model="mlp", epochs=3, params={"lr": 0.1}) as job:
        for epoch in range(3):
            job.epoch(epoch, val_loss=1.0 / (epoch + 1))
            print("epoch", epoch)
        for percent in range(50):
            print(f"\\r{percent} %", end="")
        print()
        job.log("careful", level="WARNING")
        sampled = lambda: sum(p.stat().st_size for p in pathlib.Path(os.environ["ARGUS_SPOOL_DIR"]).glob("*/snapshots*"))
        before, deadline = sampled(), time.monotonic() + 60
        while sampled() == before and time.monotonic() < deadline:  # the machine decides how long the first sample takes
            time.sleep(0.1)
        time.sleep(0.5)
    print(run.url)
"""


@pytest.fixture(params=["http", "nats", "ws"])
def address(request: pytest.FixtureRequest, stack: LocalStack) -> str:
    nats = stack.facts.nats
    return {"http": stack.url, "nats": nats.url, "ws": nats.websocket_url}[request.param]


def everything_is_projected(stack: LocalStack, batch_id: str, scripts: Any, until: Any, address: str) -> dict[str, Any]:
    """All that was said, of every class, is in the answers; and here is the run."""
    scripts.settle(address, ARGUS_TOKEN=stack.credentials.token)
    with stack.database() as database:

        def position(query: LiteralString) -> int:
            return database.execute(query).fetchall()[0][0]

        end = position("SELECT next_position - 1 FROM log.head")
        assert until(lambda: position("SELECT position FROM read.projection_positions") >= end)
    with stack.client() as client:
        return client.get(f"/api/batches/{batch_id}").json()["run"]


def test_by_either_way_the_run_is_there_and_the_spool_is_gone(
    stack: LocalStack, address: str, scripts: Any, until: Any
) -> None:
    batch_id = f"sdk-{uuid4().hex[:8]}"
    code, out, err = scripts.run(
        TRAINING.replace("sys.argv[1]", repr(batch_id)), ARGUS_URL=address, ARGUS_TOKEN=stack.credentials.token
    )
    assert (code, scripts.complaints(err)) == (0, [])
    run = everything_is_projected(stack, batch_id, scripts, until, address)
    assert run["status"] == "succeeded"
    assert run["environment"]["command"][-1].endswith(".py")
    assert run["gaps"] == []
    with stack.client() as client:
        job = client.get(f"/api/batches/{batch_id}/jobs/a%2Fb").json()["job"]
        lines = client.get(f"/api/batches/{batch_id}/log-lines").json()["lines"]
    assert (job["status"], job["epoch"], job["model"], job["loss"]) == ("succeeded", 2, "mlp", pytest.approx(1 / 3))
    assert job["rss_bytes"] > 1_000_000
    assert 0 < job["memory_used_bytes"] < job["memory_total_bytes"]
    by_job = [line["line"] for line in lines if line["job_id"] == "a/b"]
    assert [line for line in by_job if line.startswith("epoch")] == ["epoch 0", "epoch 1", "epoch 2"]
    assert 1 <= len([line for line in by_job if line.endswith("%")]) <= 10  # of 50: one a second, and the last
    assert "49 %" in by_job
    assert "careful" in by_job
    if address.startswith("http"):
        assert f"{stack.url}/runs/{batch_id}" in out
    assert scripts.producers() == []


def test_a_wrong_key_is_one_clear_line_and_everything_stays(stack: LocalStack, address: str, scripts: Any) -> None:
    code, _, err = scripts.run_until_told(
        "with argus.init() as run, run.job('a') as job:\n    job.epoch(1, loss=1.0)\n    sys.stdin.readline()",
        "does not accept",
        ARGUS_URL=address,
        ARGUS_TOKEN="ak_nobody_wrongwrongwrong",
    )
    assert code == 0
    trouble, left = [line for line in err.splitlines() if "cannot reach" not in line]  # a busy machine may be slow, too
    assert trouble.startswith("argus: ")
    assert "does not accept this ARGUS_TOKEN" in trouble
    assert "events are not sent yet" in left
    assert len(scripts.producers()) == 1


def test_sync_sends_nothing_of_another_user_even_with_all(stack: LocalStack, scripts: Any, until: Any) -> None:
    batch_id = f"others-{uuid4().hex[:8]}"
    name = f"amy-{uuid4().hex[:8]}"
    with stack.client() as client:
        client.post("/api/users", json={"username": name, "password": "long-enough-for-a-test"}).raise_for_status()
        client.put(f"/api/workspaces/main/members/{name}", json={"role": "member"}).raise_for_status()
    with httpx.Client(base_url=stack.url, headers={"Origin": stack.url}) as session:
        said = {"username": name, "password": "long-enough-for-a-test"}
        session.headers["X-Argus-CSRF"] = session.post("/api/auth/login", json=said).json()["csrf_token"]
        token = session.post("/api/keys", json={"name": "k", "workspace": "main"}).json()["token"]
    ours = stack.credentials.token
    code, _, err = scripts.run(
        f"""
from pathlib import Path
run = argus.init(batch_id={batch_id!r})
assert argus.flush(60)
while not any('"user"' in path.read_text() for path in Path(os.environ["ARGUS_SPOOL_DIR"]).glob("*/meta.json")):
    time.sleep(0.05)
import argus.sender
argus.sender.Courier._send = lambda _: False
for n in range(20):
    run.log(str(n))
os.kill(os.getpid(), 9)
""",
        ARGUS_URL=stack.url,
        ARGUS_TOKEN=ours,
    )
    assert code == -9, err
    done = scripts.command("sync", "--all", "--json", ARGUS_URL=stack.url, ARGUS_TOKEN=token)
    counts = json.loads(done.stdout)
    assert (done.returncode, counts["stored"], counts["foreign"], counts["other_users"]) == (0, 0, 0, 1)
    assert len(scripts.producers()) == 1
    done = scripts.command("sync", "--json", ARGUS_URL=stack.url, ARGUS_TOKEN=ours)
    assert json.loads(done.stdout)["stored"] >= 20
    assert scripts.producers() == []


@pytest.mark.parametrize("token", ["\u201c{token}\u201d", " {token}\n"])
def test_a_key_that_was_copied_badly_is_not_printed_and_still_fits(
    stack: LocalStack, address: str, scripts: Any, token: str
) -> None:
    given = token.format(token=stack.credentials.token)
    code, _, err = scripts.run(
        "run = argus.init()\nrun.log('x')\nprint(argus.flush(60))", ARGUS_URL=address, ARGUS_TOKEN=given
    )
    assert code == 0
    assert stack.credentials.token not in err
    assert ("characters that no key has" in err) is ("\u201c" in given)
    assert scripts.producers() == []


def test_many_short_runs_travel_together_over_https(stack: LocalStack, scripts: Any) -> None:
    word = uuid4().hex[:8]
    code, out, err = scripts.run(
        f"""
import functools, httpx
asked = []
httpx.Client = functools.partial(httpx.Client, event_hooks={{"request": [lambda request: asked.append(request.method)]}})
for n in range(400):
    with argus.init(project="sdk", batch_id=f"short-{word}-{{n}}", resource_interval_s=0) as run, run.job("a") as job:
        job.epoch(0, loss=float(n))
print(argus.flush(100), asked.count("POST"))
""",
        ARGUS_URL=stack.url,
        ARGUS_TOKEN=stack.credentials.token,
    )
    assert (code, scripts.complaints(err)) == (0, [])
    flushed, n_posts = out.split()
    assert flushed == "True"
    assert int(n_posts) < 400, "of 800 messages"
    assert scripts.producers() == []
    with stack.database() as database:
        rows = database.execute(
            "SELECT batch_id, class, sum(n_events) FROM log.record_batches WHERE starts_with(batch_id, %s) GROUP BY 1, 2",
            [f"short-{word}-"],
        ).fetchall()
        letters = database.execute(
            "SELECT count(*) FROM log.dead_letters WHERE position(%s in raw) > 0", [word.encode()]
        )
        assert letters.fetchall() == [(0,)]
    assert len(rows) == 800
    assert {(name, n_events) for _, name, n_events in rows} == {("lifecycle", 5), ("metrics", 1)}


def test_login_keeps_the_key_for_its_owner_and_scripts_find_it(stack: LocalStack, scripts: Any, until: Any) -> None:
    done = scripts.command("login", stack.url, "--token", stack.credentials.token)
    assert done.returncode == 0, done.stderr
    path = Path(scripts.environment["XDG_CONFIG_HOME"]) / "argus" / "credentials"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stack.credentials.token not in done.stdout
    batch_id = f"login-{uuid4().hex[:8]}"
    code, _, err = scripts.run(f"with argus.init(batch_id={batch_id!r}) as run:\n    run.log('x')")
    assert (code, scripts.complaints(err)) == (0, [])
    assert everything_is_projected(stack, batch_id, scripts, until, stack.url)["status"] == "succeeded"
    again = scripts.command("login", stack.url, "--token", stack.credentials.token, "--json")
    assert json.loads(again.stdout)["url"] == stack.url
    assert "token" not in json.loads(again.stdout)
    wrong = scripts.command("login", stack.url, "--token", "ak_no_no")
    assert wrong.returncode == 1
    assert "does not accept this key" in wrong.stderr


def test_the_command_shows_what_was_said(stack: LocalStack, scripts: Any, until: Any) -> None:
    batch_id = f"cli-{uuid4().hex[:8]}"
    environment = {"ARGUS_URL": stack.url, "ARGUS_TOKEN": stack.credentials.token}
    scripts.run(TRAINING.replace("sys.argv[1]", repr(batch_id)), **environment)
    everything_is_projected(stack, batch_id, scripts, until, stack.url)

    def ask(*arguments: str) -> str:
        done = scripts.command(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    runs = json.loads(ask("runs", "--search", batch_id, "--json"))["items"]
    assert [run["batch_id"] for run in runs] == [batch_id]
    assert batch_id in ask("runs", "--project", "sdk", "--status", "succeeded")
    assert "a/b" in ask("show", batch_id)
    assert json.loads(ask("show", f"{batch_id}/a/b", "--json"))["job"]["model"] == "mlp"
    assert "val_loss" in ask("show", f"{batch_id}/a/b")
    assert "careful" in ask("tail", batch_id)
    followed = [json.loads(line) for line in ask("tail", f"{batch_id}/a/b", "-f", "--json").splitlines()]
    assert [line["line"] for line in followed].count("careful") == 1
    missing = scripts.command("show", "no-such-run", **environment)
    assert missing.returncode == 1
    assert "`argus runs` shows the ids of runs" in missing.stderr


def test_following_a_log_tells_late_lines_too(stack: LocalStack, scripts: Any, until: Any) -> None:
    """A spool that was cut off sends lines whose place is long past: they are told when they come."""
    batch_id = f"late-{uuid4().hex[:8]}"
    with stack.client() as client, ThreadPoolExecutor(1) as beside:

        def say(kind: str, name: str, first: int, *data: dict[str, Any], minute: int = 0) -> None:
            events = [
                {"event_id": str(uuid4()), "kind": kind, "version": 1, "batch_id": batch_id, "attempt": 1, "data": one,
                 "job_id": None if kind.startswith("batch") else "j", "seq": first + i,
                 "occurred_at": f"2026-11-21T00:{minute:02d}:00Z"}
                for i, one in enumerate(data)
            ]  # fmt: skip
            message = {"v": 2, "producer_id": f"late-{batch_id}", "class": name, "first_seq": first, "events": events}
            assert client.post("/api/events/batch", json=message).json()["rejected"] == 0

        def lines(*numbers: int) -> list[dict[str, Any]]:
            return [{"line_no": n, "stream": "stdout", "line": f"line\u2028{n}"} for n in numbers]

        say("batch_start", "lifecycle", 0, {"name": "late"})
        say("log_line", "log_lines", 0, *lines(0, 1, 9), minute=9)
        assert until(lambda: len(client.get(f"/api/batches/{batch_id}/log-lines").json().get("lines", [])) == 3)
        environment = {"ARGUS_URL": stack.url, "ARGUS_TOKEN": stack.credentials.token}
        streams = "argus_gateway_sse_connections 0.0"
        assert until(lambda: streams in client.get("/metrics").text)  # an earlier one is noticed to have gone
        following = beside.submit(scripts.command, "tail", batch_id, "-f", "--json", **environment)
        assert until(lambda: streams not in client.get("/metrics").text or following.done())
        say("log_line", "log_lines", 3, *lines(2, 3), minute=2)
        say("log_line", "log_lines", 5, *lines(12), minute=10)
        say("batch_done", "lifecycle", 1, {}, minute=11)
        done = following.result(120)
    told = [json.loads(line) for line in done.stdout.strip().split("\n")]
    assert [line["line_no"] for line in told] == [0, 1, 9, 2, 3, 12], done.stderr
    assert [line["missing_before"] for line in told][3:] == [0, 0, 2]
    assert [line["line"] for line in told][-1] == "line\u202812"
    assert {*told[0]} == {*told[-1]}


def test_stop_is_asked_for_over_https_without_blocking(stack: LocalStack, scripts: Any) -> None:
    code, out, err = scripts.run(
        """
def seconds_of_a_look():
    began = time.perf_counter()
    run.stopped
    return time.perf_counter() - began

with argus.init() as run:
    time.sleep(2)  # it is asked for after a second, in the background
    print(run.stopped, min(seconds_of_a_look() for _ in range(100)) < 0.001)  # one undisturbed look is enough
""",
        ARGUS_URL=stack.url,
        ARGUS_TOKEN=stack.credentials.token,
    )
    assert (code, out, scripts.complaints(err)) == (0, "False True\n", [])
