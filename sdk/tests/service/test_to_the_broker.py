from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest


def test_a_training_run_arrives_whole_and_leaves_no_spool(broker: Any, far_end: Any, scripts: Any) -> None:
    code, _, err = scripts.run(
        """
with argus.init(project="digits", name="sweep", params={"lr": 0.1, "api_key": "s3cr3t-value"}, labels=["ci"]) as run:
    with run.job("a", model="mlp", dataset="digits", epochs=3) as job:
        for epoch in range(3):
            job.epoch(epoch, train_loss=1.0 / (epoch + 1), val_loss=float("nan"))
        job.metrics({"lr/now": 0.5}, step=7)
        job.log("hello \\u2603", level="WARNING")
    run.log("over")
""",
        ARGUS_URL=broker.url,
    )
    assert (code, scripts.complaints(err)) == (0, [])
    scripts.settle(broker.url)
    kinds = [event["kind"] for event in far_end.events()]
    for kind in ("batch_start", "job_start", "env_snapshot", "job_done", "batch_done"):
        assert kinds.count(kind) == 1, (kind, kinds)
    points = far_end.events("job_epoch")
    assert [point["data"]["metrics"] for point in points] == [
        {"train_loss": 1.0, "val_loss": "NaN"},
        {"train_loss": 0.5, "val_loss": "NaN"},
        {"train_loss": 1 / 3, "val_loss": "NaN"},
        {"lr/now": 0.5},
    ]
    assert [line["data"]["line"] for line in far_end.events("log_line")] == ["hello ☃", "over"]
    assert {event["batch_id"] for event in far_end.events()} == {points[0]["batch_id"]}
    start = far_end.events("batch_start")[0]["data"]
    assert (start["name"], start["project"], start["labels"], start["params"]["lr"]) == ("sweep", "digits", ["ci"], 0.1)
    assert b"s3cr3t-value" not in b"".join(far_end.raw)


def test_what_was_said_while_the_broker_is_away_arrives_once_when_it_is_back(
    broker: Any, far_end: Any, scripts: Any, until: Any, far_end_of: Any
) -> None:
    process = scripts.start(
        """
run = argus.init(project="p")
job = run.job("a")
for step in range(400):
    job.epoch(step=step, loss=1.0)
    time.sleep(0.01)
run.finish()
""",
        ARGUS_URL=broker.url,
    )
    assert until(lambda: len(far_end.events("job_epoch")) > 20)
    far_end.stop()
    broker.kill()
    time.sleep(1.0)  # the script speaks on meanwhile
    broker.start()
    again = far_end_of(broker)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0
    scripts.settle(broker.url)
    assert [event["data"]["step"] for event in again.events("job_epoch")] == list(range(400)), err
    assert len(again.events("batch_done")) == 1


def test_finish_with_a_dead_broker_takes_at_most_three_seconds_and_sync_sends_the_rest(
    broker: Any, scripts: Any, far_end_of: Any
) -> None:
    broker.kill()
    code, out, err = scripts.run_until_told(
        scripts.ticks
        + """
run = argus.init(project="p")
run.job("a").epoch(1, loss=2.0)
sys.stdin.readline()
ticks = Ticks()
run.finish()
print(ticks.seconds())
""",
        "cannot reach",
        ARGUS_URL=broker.url,
    )
    assert code == 0
    assert float(out) <= 6.0, "3 s are promised; a busy machine may take as long again"
    trouble, left = err.splitlines()
    assert "cannot reach" in trouble
    n_left = int(left.removeprefix("argus: ").split()[0])
    assert left.endswith("; the next run sends them, or `argus sync`")
    assert len(scripts.producers()) == 1
    broker.start()
    far_end = far_end_of(broker)
    first = scripts.command("sync", "--json", ARGUS_URL=broker.url)
    assert first.returncode == 0, first.stderr
    counts = json.loads(first.stdout)
    stored = [event["kind"] for event in far_end.events()]
    # How many samples of the host fit into the script's seconds is the machine's affair.
    kinds = sorted(kind for kind in stored if kind != "resource_snapshot")
    assert kinds == ["batch_done", "batch_start", "env_snapshot", "job_done", "job_epoch", "job_start"]
    assert (counts["producers"], counts["stored"], counts["left"]) == (1, len(stored), 0)
    assert n_left == len(stored)
    assert scripts.producers() == []
    again = json.loads(scripts.command("sync", "--json", ARGUS_URL=broker.url).stdout)
    assert (again["producers"], again["stored"], again["left"]) == (0, 0, 0)


def test_sync_ends_with_one_where_something_is_left(broker: Any, scripts: Any) -> None:
    broker.kill()
    scripts.run("argus.init().finish()", ARGUS_URL=broker.url)
    done = scripts.command("sync", "--timeout", "3", ARGUS_URL=broker.url)
    assert done.returncode == 1
    assert "1 producers" in done.stdout
    assert len(scripts.producers()) == 1


def test_an_unconfirmed_message_is_sent_again_with_the_same_bytes(
    broker: Any, silent_far_end: Any, scripts: Any, until: Any
) -> None:
    process = scripts.start(
        """
import argus.tracks
argus.tracks.RESEND_FIRST_S = 0.5
run = argus.init(project="p")
job = run.job("a")
for step in range(5):
    job.epoch(step=step, loss=1.0)
    time.sleep(0.2)
sys.stdin.readline()
run.finish()
""",
        ARGUS_URL=broker.url,
    )

    def bounds_of(messages: list[Any]) -> list[tuple[str, int, int]]:
        return [(m.retention_class, m.first_seq, len(m.events)) for m in messages]

    def repeated() -> bool:
        bounds = bounds_of(list(silent_far_end.messages))
        return len(bounds) > len(set(bounds))

    assert until(repeated), "nothing was sent again"
    process.communicate("\n", timeout=120)
    messages = list(silent_far_end.messages)  # more may be on their way
    bounds = bounds_of(messages)
    covered = [span for span in set(bounds) if span[0] == "metrics"]
    assert sorted(first for _, first, _ in covered) == [
        sum(size for _, start, size in covered if start < first) for _, first, _ in sorted(covered)
    ], "the bounds of a re-send differ"
    by_bounds = dict[Any, set[bytes]]()
    for message, raw in zip(messages, silent_far_end.raw[: len(messages)], strict=True):
        by_bounds.setdefault((message.retention_class, message.first_seq), set()).add(raw)
    assert all(len(bodies) == 1 for bodies in by_bounds.values())
    assert len(scripts.producers()) == 1, "nothing was confirmed, so nothing may be trimmed"


@pytest.mark.parametrize("scheme", ["nats", "http"])
def test_what_is_left_is_named_though_nobody_has_answered_yet(scripts: Any, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, _, err = scripts.run(
            "with argus.init() as run:\n    run.log('x')", ARGUS_URL=f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        )
    assert code == 0
    assert "4 events are not sent yet and stay in" in err


def test_short_scripts_send_what_a_killed_one_left(broker: Any, far_end: Any, scripts: Any) -> None:
    code, _, _ = scripts.run(
        "run = argus.init(batch_id='killed')\nfor n in range(2000):\n    run.log(str(n))\nos.kill(os.getpid(), 9)",
        ARGUS_URL="nats://127.0.0.1:9",
    )
    assert code == -9
    folder = scripts.producers()[0]
    meta = json.loads((folder / "meta.json").read_text())
    key = {"url": broker.url.replace("alice:alice-pw@", ""), "key_id": "alice"}
    (folder / "meta.json").write_text(json.dumps({**meta, **key}))
    for _ in range(10):  # one is enough, but on a busy machine
        scripts.run("run = argus.init()\nrun.finish()\nargus.flush(60)", ARGUS_URL=broker.url)
        if not scripts.producers():
            break
    assert len([event for event in far_end.events("log_line") if event["batch_id"] == "killed"]) == 2000


@pytest.mark.parametrize("gone", ["rm -rf {spool}", "rm -rf {spool}/*"])
def test_a_spool_that_is_deleted_under_a_run_costs_nothing_while_the_process_lives(
    broker: Any, far_end: Any, scripts: Any, gone: str
) -> None:
    code, _, err = scripts.run(
        f"""
run = argus.init(batch_id="r")
job = run.job("a")
for n in range(1000):
    job.epoch(n, loss=1.0)
os.system("{gone.format(spool=scripts.spool)}")
time.sleep(0.5)
for n in range(1000, 2000):
    job.epoch(n, loss=1.0)
job.log("the first line comes late")
run.finish()
print(argus.flush(60), file=sys.stderr)
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0
    assert "was deleted; what is not sent when this process ends is lost" in err
    assert err.endswith("True\n")
    assert sorted(event["data"]["epoch"] for event in far_end.events("job_epoch")) == list(range(2000))
    assert len(far_end.events("log_line", "batch_done")) == 2


def test_what_was_in_a_deleted_spool_and_could_not_be_sent_is_named_as_lost(scripts: Any) -> None:
    code, _, err = scripts.run(
        f"run = argus.init()\nrun.log('x')\ntime.sleep(0.3)\nos.system('rm -rf {scripts.spool}')\nrun.log('y')",
        ARGUS_URL="nats://127.0.0.1:9",
    )
    assert code == 0
    assert "5 events are lost" in err
