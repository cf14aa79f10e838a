"""Every way in which a process can end, told apart in real processes."""

from __future__ import annotations

import signal
from typing import Any

import pytest

RUN = "with argus.init(project='p') as run, run.job('a') as job:\n    job.epoch(1, loss=1.0)\n    "
PLAIN = "run = argus.init(project='p')\njob = run.job('a')\njob.epoch(1, loss=1.0)\n"


def ends(far_end: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one end of the job and the one of the batch, with their kinds."""
    jobs = far_end.events("job_done", "job_failed", "job_aborted")
    batches = far_end.events("batch_done", "batch_failed", "batch_aborted")
    assert (len(jobs), len(batches)) == (1, 1)
    return {**jobs[0]["data"], "kind": jobs[0]["kind"]}, {**batches[0]["data"], "kind": batches[0]["kind"]}


@pytest.mark.parametrize("head", [RUN, PLAIN], ids=["with", "plain"])
@pytest.mark.parametrize(
    ("tail", "exit_status", "ended", "reason", "exit_code"),
    [
        ("pass", 0, "done", None, None),
        ("sys.exit(0)", 0, "done", None, 0),
        ("sys.exit(3)", 3, "failed", "sys.exit(3)", 3),
        ("raise ValueError('bad loss')", 1, "failed", "ValueError: bad loss", 1),
        ("raise KeyboardInterrupt", -signal.SIGINT, "aborted", "Ctrl-C", 130),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(5)", -signal.SIGTERM, "aborted", "SIGTERM", 143),
    ],
    ids=["clean", "exit-0", "exit-3", "exception", "ctrl-c", "sigterm"],
)
def test_the_end_of_a_process_is_told(
    broker: Any,
    far_end: Any,
    scripts: Any,
    *,
    head: str,
    tail: str,
    exit_status: int,
    ended: str,
    reason: str,
    exit_code: int,
) -> None:
    code, _, err = scripts.run(head + tail, ARGUS_URL=broker.url)
    assert code == exit_status, err
    scripts.settle(broker.url)
    job, batch = ends(far_end)
    assert (job["kind"], batch["kind"]) == (f"job_{ended}", f"batch_{ended}")
    assert batch.get("reason") == reason
    assert batch.get("exit_code") == exit_code
    if ended == "failed" and "Error" in reason:
        assert "bad loss" in batch["error_report"]
        assert "Traceback" in job["traceback"]
        assert "Traceback" in err, "the script's own traceback must still be printed"
    assert not [line for line in scripts.complaints(err) if "argus:" in line]


def test_a_sigterm_handler_of_the_script_decides_what_happens(broker: Any, far_end: Any, scripts: Any) -> None:
    code, out, _ = scripts.run(
        """
def stop(*_):
    print("saving", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
run = argus.init()
job = run.job("a")
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)
""",
        ARGUS_URL=broker.url,
    )
    assert (code, out) == (7, "saving\n")
    scripts.settle(broker.url)
    assert ends(far_end)[1]["kind"] == "batch_aborted"


def test_sigterm_in_a_storm_of_calls_still_ends_the_run_as_aborted(
    broker: Any, far_end: Any, scripts: Any, until: Any
) -> None:
    process = scripts.start(
        "run = argus.init()\njob = run.job('a')\nwhile True:\n    job.epoch(1, loss=1.0)\n    job.log('x')\n    time.sleep(0.0001)",
        ARGUS_URL=broker.url,
    )
    assert until(lambda: len(far_end.messages) > 5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGTERM
    scripts.settle(broker.url)
    assert len(far_end.events("batch_aborted")) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_signal_in_the_middle_of_finish_does_not_take_the_end_away(
    broker: Any, far_end: Any, scripts: Any, number: signal.Signals, times: int
) -> None:
    code, _, err = scripts.run(
        f"""
import threading
import argus.sampler
argus.sampler.Sampler._environment = lambda *_: time.sleep(60)  # `finish` waits for it for a while
run = argus.init()
run.job("a").epoch(1, loss=1.0)
for n in range({times}):
    threading.Timer(0.3 + n / 10, os.kill, (os.getpid(), {number:d})).start()
run.finish()
""",
        ARGUS_URL=broker.url,
    )
    assert code in (-number, 1), err  # 1: Python's own, where it is interrupted while it says that it was
    scripts.settle(broker.url)
    job, batch = ends(far_end)
    assert (job["kind"], batch["kind"]) == ("job_done", "batch_done")


def test_ctrl_c_right_behind_the_end_of_a_job_does_not_end_it_twice(broker: Any, far_end: Any, scripts: Any) -> None:
    code, _, err = scripts.run(
        """
import argus.spool
write = argus.spool._write
def written(fd, record):
    n = write(fd, record)
    if b'"job_done"' in record:
        os.kill(os.getpid(), signal.SIGINT)
    return n
argus.spool._write = written
with argus.init() as run:
    with run.job("a") as job:
        job.epoch(1, loss=1.0)
    print("not interrupted")
""",
        ARGUS_URL=broker.url,
    )
    assert code == -signal.SIGINT, err
    scripts.settle(broker.url)
    job, batch = ends(far_end)
    assert (job["kind"], batch["kind"]) == ("job_done", "batch_aborted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_child_that_a_thread_forks_meanwhile_hears_signals(
    broker: Any, far_end: Any, scripts: Any, number: signal.Signals
) -> None:
    code, out, err = scripts.run(
        f"""
import threading
import argus.spool
write, forked = argus.spool._write, threading.Event()
def fork():
    child = os.fork()
    if not child:
        try:
            time.sleep(10)
        except KeyboardInterrupt:
            os._exit(7)
        os._exit(0)
    forked.set()
    time.sleep(0.3)
    os.kill(child, {number:d})
    print(os.waitpid(child, 0)[1] != 0, flush=True)
def slow_write(fd, record):
    if b'"job_done"' in record:
        threading.Thread(target=fork).start()
        forked.wait()
    return write(fd, record)
argus.spool._write = slow_write
with argus.init() as run, run.job("a") as job:
    job.epoch(1, loss=1.0)
""",
        ARGUS_URL=broker.url,
    )
    assert (code, out) == (0, "True\n"), err


def test_ctrl_c_while_a_run_begins_ends_it(broker: Any, far_end: Any, scripts: Any) -> None:
    code, _, err = scripts.run(
        """
import argus.senders
carry = argus.senders.carry
def interrupted(*said):
    argus.senders.carry = carry
    os.kill(os.getpid(), signal.SIGINT)
    return carry(*said)
argus.senders.carry = interrupted
run = argus.init()
""",
        ARGUS_URL=broker.url,
    )
    assert code == -signal.SIGINT, err
    scripts.settle(broker.url)
    assert [event["data"]["reason"] for event in far_end.events("batch_aborted")] == ["Ctrl-C"]


def test_a_caught_exit_is_no_end(broker: Any, far_end: Any, scripts: Any) -> None:
    code, _, _ = scripts.run(
        PLAIN + "try:\n    sys.exit(3)\nexcept SystemExit:\n    pass\nrun.log('still here')\n", ARGUS_URL=broker.url
    )
    assert code == 0
    scripts.settle(broker.url)
    assert ends(far_end)[1]["kind"] == "batch_done"


def test_an_exception_in_a_job_that_the_script_survives_fails_the_job_alone(
    broker: Any, far_end: Any, scripts: Any
) -> None:
    code, _, _ = scripts.run(
        """
with argus.init() as run:
    try:
        with run.job("a"):
            raise RuntimeError("diverged")
    except RuntimeError:
        pass
    with run.job("b"):
        pass
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0
    scripts.settle(broker.url)
    assert [(e["job_id"], e["kind"]) for e in far_end.events("job_done", "job_failed")] == [
        ("a", "job_failed"),
        ("b", "job_done"),
    ]
    assert len(far_end.events("batch_done")) == 1


def test_after_a_fork_the_child_is_a_producer_of_its_own_and_ends_nothing(
    broker: Any, far_end: Any, scripts: Any
) -> None:
    code, _, err = scripts.run(
        """
with argus.init(batch_id="forked") as run, run.job("a") as job:
    job.epoch(1, loss=1.0)
    time.sleep(0.3)
    if os.fork() == 0:
        for epoch in range(100, 110):
            job.epoch(epoch, loss=2.0)
        job.log("from the child")
        sys.exit(0)
    os.wait()
    job.epoch(2, loss=1.0)
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0, err
    scripts.settle(broker.url)
    assert len(far_end.events("job_epoch")) == 12
    by_producer: dict[str, dict[int, int]] = {}
    for message in far_end.messages:
        for event in message.events:
            if event["kind"] == "job_epoch":  # by number, because a message may be sent again
                by_producer.setdefault(str(message.producer_id), {})[event["seq"]] = event["data"]["epoch"]
    told = [[epochs[seq] for seq in sorted(epochs)] for epochs in by_producer.values()]
    assert sorted(told) == [[1, 2], list(range(100, 110))]
    assert [len(far_end.events(kind)) for kind in ("batch_start", "job_done", "batch_done")] == [1, 1, 1]
    assert scripts.producers() == []


def test_multiprocessing_children_report_to_the_same_run(broker: Any, far_end: Any, scripts: Any) -> None:
    code, _, err = scripts.run(
        """
import multiprocessing
def work(number):
    job.epoch(number, loss=float(number))
    time.sleep(0.5)
run = argus.init()
job = run.job("a")
pool = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(3)]
[p.start() for p in pool]
[p.join() for p in pool]
run.finish()
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0, err
    scripts.settle(broker.url)
    assert sorted(event["data"]["epoch"] for event in far_end.events("job_epoch")) == [0, 1, 2]
    assert len(far_end.events("batch_done")) == 1


def test_killed_right_after_a_call_everything_said_is_on_disk_and_the_next_run_sends_it(
    broker: Any, far_end: Any, scripts: Any, far_end_of: Any, until: Any
) -> None:
    broker_url = broker.url
    far_end.stop()
    broker.kill()
    code, _, _ = scripts.run(
        "run = argus.init(batch_id='killed')\njob = run.job('a')\nfor i in range(1000):\n    job.epoch(i, loss=1.0)\nos.kill(os.getpid(), 9)",
        ARGUS_URL=broker_url,
    )
    assert code == -9
    assert len(scripts.producers()) == 1
    broker.start()
    again = far_end_of(broker)
    process = scripts.start(
        "import argus.sender\nargus.sender.ADOPT_FIRST_S = 0.1\nrun = argus.init(batch_id='next')\nsys.stdin.readline()\nrun.finish()",
        ARGUS_URL=broker_url,
    )
    assert until(lambda: len(again.events("job_epoch")) == 1000)
    _, err = process.communicate("\n", timeout=120)
    assert process.returncode == 0, err
    scripts.settle(broker_url)
    points = [e for e in again.events("job_epoch") if e["batch_id"] == "killed"]
    assert [point["data"]["epoch"] for point in points] == list(range(1000))


def test_disabled_is_silent_and_leaves_nothing(scripts: Any) -> None:
    code, out, err = scripts.run(
        """
import threading
with argus.init(project="p", capture_output=True) as run, run.job("a", epochs=2) as job:
    job.epoch(1, loss=1.0)
    job.metrics({"x": 1})
    job.log("x")
    run.log("y")
    print(run.stopped, job.stopped, run.url, threading.active_count())
""",
        ARGUS_DISABLE="1",
        ARGUS_URL="nats://127.0.0.1:1",
    )
    assert (code, out, err) == (0, "False False None 1\n", "")
    assert scripts.producers() == []


def test_what_a_forked_child_drops_is_told_and_counts_for_itself_alone(
    broker: Any, scripts: Any, far_end_of: Any
) -> None:
    broker.kill()
    code, _, err = scripts.run(
        """
with argus.init(batch_id="forked", resource_interval_s=0) as run, run.job("a") as job:
    if os.fork() == 0:
        for n in range(2000):
            job.log("x" * 1000)
            if n % 100 == 0:
                time.sleep(0.1)
        sys.exit(0)
    os.wait()
""",
        ARGUS_URL=broker.url,
        ARGUS_SPOOL_MAX_BYTES="300000",
    )
    assert code == 0, err
    broker.start()
    far_end = far_end_of(broker)
    scripts.settle(broker.url)
    told: dict[str, int] = {}
    for message in far_end.messages:
        for event in message.events:
            for count in (event["data"].get("dropped") or {}).values():
                told[str(message.producer_id)] = max(told.get(str(message.producer_id), 0), count)
    lines = len(far_end.events("log_line"))
    assert len(told) == 1, "the parent dropped nothing"
    assert 0 < lines < 2000
    assert lines + sum(told.values()) == 2000
    assert len(far_end.events("batch_done")) == 1
