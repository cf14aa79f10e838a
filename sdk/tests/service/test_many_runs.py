"""Many runs in one process: one thread, one connection, no waiting; and whatever happens, all of them arrive once."""

from __future__ import annotations

from typing import Any

import orjson

MANY = """
def one(number):
    with argus.init(batch_id=f"run-{number}", resource_interval_s=0) as run, run.job("a") as job:
        job.epoch(0, loss=float(number))
"""
THREADS = "sorted(t.name for t in threading.enumerate() if t.name.startswith('argus'))"


def arrived(far_end: Any) -> list[str]:
    """The runs that are there whole, in the order of their names; each once."""
    started = [event["batch_id"] for event in far_end.events("batch_start")]
    done = [event["batch_id"] for event in far_end.events("batch_done")]
    points = [event["batch_id"] for event in far_end.events("job_epoch")]
    described = [event["batch_id"] for event in far_end.events("env_snapshot")]
    assert sorted(started) == sorted(done) == sorted(points) == sorted(described)
    assert len(set(started)) == len(started)
    return sorted(started)


def test_runs_of_a_process_share_one_thread_and_one_connection(broker: Any, far_end: Any, scripts: Any) -> None:
    code, out, err = scripts.run(
        "import threading\n"
        + MANY
        + f"""
live = [argus.init(batch_id=f"live-{{n}}", resource_interval_s=0) for n in range(5)]
for number in range(40):
    one(number)
print(argus.flush(60), {THREADS})
for run in live:
    with run.job("a") as job:
        job.epoch(0, loss=1.0)
    run.finish()
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0, err
    assert out == "True ['argus-sampler', 'argus-sender']\n"
    scripts.settle(broker.url)
    assert len(arrived(far_end)) == 45
    text = (broker.folder / "nats.log").read_text()
    assert "error" not in text.lower()
    bundled = [subject for subject in far_end.subjects if subject.endswith(".any")]
    assert bundled, "messages of several runs travel together"
    assert scripts.producers() == []


def test_the_end_of_a_run_waits_for_no_network(broker: Any, scripts: Any, far_end_of: Any) -> None:
    broker.kill()
    code, out, err = scripts.run(
        "import threading\n"
        + MANY
        + """
waited = []
def note(name, _):
    if name.startswith("socket.") and name != "socket.gethostname" and threading.current_thread() is threading.main_thread():
        waited.append(name)
one(0)  # the machine is described once
sys.addaudithook(note)
for number in range(1, 30):
    one(number)
print(argus.flush(0), waited)
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0, err
    assert out == "False []\n"
    assert "events are not sent yet" in err
    assert len(scripts.producers()) == 30
    broker.start()
    far_end = far_end_of(broker)
    scripts.settle(broker.url)
    assert len(arrived(far_end)) == 30


def test_more_ended_runs_than_a_process_carries_wait_in_their_folders(
    broker: Any, scripts: Any, far_end_of: Any, until: Any
) -> None:
    broker.kill()
    process = scripts.start(
        "import argus.sender\nargus.sender.MAX_ENDED = 4\n"
        + MANY
        + """
for number in range(25):
    one(number)
sys.stdin.readline()
print(argus.flush(60))
""",
        ARGUS_URL=broker.url,
    )
    assert until(lambda: len(scripts.producers()) == 25)
    broker.start()
    far_end = far_end_of(broker)
    out, err = process.communicate("\n", timeout=120)
    assert (process.returncode, out) == (0, "True\n"), err
    assert len(arrived(far_end)) == 25
    assert scripts.producers() == []


def test_ended_runs_leave_the_files_that_a_process_may_open_to_the_training(
    broker: Any, scripts: Any, far_end_of: Any
) -> None:
    broker.kill()
    code, _, err = scripts.run(
        """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
"""
        + MANY
        + """
for number in range(100):
    one(number)
    open(os.devnull).close()
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0, err
    assert "open files" not in err
    assert "lost" not in err
    assert len(scripts.producers()) == 100
    broker.start()
    far_end = far_end_of(broker)
    scripts.settle(broker.url)
    assert len(arrived(far_end)) == 100


def test_a_folder_is_used_again_and_none_is_left(broker: Any, far_end: Any, scripts: Any) -> None:
    code, out, err = scripts.run(
        MANY
        + """
inodes = set()
for number in range(6):
    with argus.init(batch_id=f"run-{number}", resource_interval_s=0) as run, run.job("a") as job:
        job.epoch(0, loss=float(number))
        inodes.add(os.stat(os.path.join(os.environ["ARGUS_SPOOL_DIR"], run.producer_id)).st_ino)
    assert argus.flush(60)
print(len(inodes))
""",
        ARGUS_URL=broker.url,
    )
    assert code == 0, err
    assert (
        int(out) < 6
    )  # usually 1; where a run begins before the folder of the last one is ready again, it has its own
    assert len(arrived(far_end)) == 6
    assert list(scripts.spool.iterdir()) == []


def test_what_was_in_a_folder_before_is_not_said_again_after_a_kill(
    broker: Any, far_end: Any, scripts: Any, until: Any
) -> None:
    code, _, err = scripts.run(
        """
with argus.init(batch_id="first", resource_interval_s=0) as run, run.job("a") as job:
    for number in range(500):
        job.epoch(number, loss=float(number))
        job.log("a line")
assert argus.flush(60)
run = argus.init(batch_id="second", resource_interval_s=0)
run.job("a").epoch(0, loss=1.0)
os.kill(os.getpid(), 9)
""",
        ARGUS_URL=broker.url,
    )
    assert code == -9, err
    assert len(scripts.producers()) == 1
    scripts.settle(broker.url)
    told = [event["batch_id"] for event in far_end.events("job_epoch", "log_line")]
    assert (told.count("first"), told.count("second")) == (1000, 1)


def test_threads_end_when_nothing_is_left_to_do(broker: Any, far_end: Any, scripts: Any) -> None:
    code, out, err = scripts.run(
        "import threading\nimport argus.sampler, argus.sender\nargus.sampler.IDLE_S = argus.sender.IDLE_S = 0.2\n"
        + MANY
        + f"""
one(0)
deadline = time.monotonic() + 60
while {THREADS} and time.monotonic() < deadline:
    time.sleep(0.05)
print({THREADS})
one(1)
""",
        ARGUS_URL=broker.url,
    )
    assert (code, out) == (0, "[]\n"), err
    scripts.settle(broker.url)
    assert arrived(far_end) == ["run-0", "run-1"]


def test_flush_waits_for_what_was_said_before_it(broker: Any, far_end: Any, scripts: Any) -> None:
    code, out, err = scripts.run(
        """
run = argus.init(batch_id="live", resource_interval_s=0)
job = run.job("a")
for number in range(100):
    job.epoch(number, loss=1.0)
print(argus.flush(60), flush=True)
os.kill(os.getpid(), 9)
""",
        ARGUS_URL=broker.url,
    )
    assert (code, out) == (-9, "True\n"), err
    assert len(far_end.events("job_epoch")) == 100


def test_flush_waits_for_a_run_that_began_a_moment_ago(scripts: Any) -> None:
    code, out, err = scripts.run(
        """
import argus.sender
argus.sender.Sender._is_due = lambda self, producer: time.monotonic() - producer.born_at >= 2
run = argus.init(batch_id="new", resource_interval_s=0)
print(argus.flush(4))
""",
        ARGUS_URL="http://127.0.0.1:1",
    )
    assert (code, out) == (0, "False\n"), err


def test_flush_waits_for_the_folders_that_wait_for_room(broker: Any, scripts: Any, far_end_of: Any, until: Any) -> None:
    broker.kill()
    process = scripts.start(
        "import argus.sender\nargus.sender.MAX_ENDED = 4\n"
        + MANY
        + """
for number in range(25):
    one(number)
def is_parked():
    return any(len(sender._parked) == 21 for sender in argus.senders._senders.values())
while not is_parked():
    time.sleep(0.01)
print("parked", flush=True)
sys.stdin.readline()
flushed = argus.flush(60)
left = [name for name in os.listdir(os.environ["ARGUS_SPOOL_DIR"]) if not name.startswith(".")]
print(flushed, left, flush=True)
os.kill(os.getpid(), 9)
""",
        ARGUS_URL=broker.url,
    )
    assert process.stdout.readline() == "parked\n"
    broker.start()
    far_end = far_end_of(broker)
    out, err = process.communicate("\n", timeout=120)
    assert out == "True []\n", err
    assert len(arrived(far_end)) == 25


def test_a_forked_child_that_only_trains_has_sent_its_runs_when_it_ends(
    broker: Any, far_end: Any, scripts: Any
) -> None:
    code, out, err = scripts.run(
        MANY
        + """
import multiprocessing
def fails():
    argus.init(batch_id="run-9", resource_interval_s=0)
    raise ValueError("no such data")
def has_ended(child):
    child.start()
    child.join()
    return child.exitcode
fork = multiprocessing.get_context("fork")
print([has_ended(child) for child in (fork.Process(target=one, args=(1,)), fork.Process(target=fails))], flush=True)
one(2)
argus.flush(60)
print([has_ended(fork.Process(target=one, args=(3,)))], flush=True)
os.kill(os.getpid(), 9)
""",
        ARGUS_URL=broker.url,
    )
    assert (code, out) == (-9, "[0, 1]\n[0]\n"), err
    done = [event["batch_id"] for event in far_end.events("batch_done")]
    assert sorted(done) == ["run-1", "run-2", "run-3"]
    (failed,) = far_end.events("batch_failed")
    assert (failed["batch_id"], failed["data"]["reason"]) == ("run-9", "ValueError: no such data")


def test_the_end_of_a_run_waits_for_what_no_disk_takes(broker: Any, far_end: Any, scripts: Any) -> None:
    """Nothing of it would be left, if the process were killed right afterwards."""
    (scripts.folder / "no-folder").write_text("")
    code, _, err = scripts.run(
        MANY + "one(0)\nos.kill(os.getpid(), 9)\n",
        ARGUS_URL=broker.url,
        ARGUS_SPOOL_DIR=str(scripts.folder / "no-folder" / "spool"),
    )
    assert code == -9
    assert "cannot write" in err
    assert arrived(far_end) == ["run-0"]


def test_sync_of_more_folders_than_files_may_be_open(broker: Any, scripts: Any, far_end_of: Any) -> None:
    broker.kill()
    code, _, err = scripts.run(MANY + "for number in range(60):\n    one(number)\n", ARGUS_URL=broker.url)
    assert code == 0, err
    assert len(scripts.producers()) == 60
    broker.start()
    far_end = far_end_of(broker)
    done = scripts.command("sync", "--json", open_files=64, ARGUS_URL=broker.url)
    assert done.returncode == 0, done.stderr + done.stdout
    counts = orjson.loads(done.stdout)
    assert (counts["producers"], counts["left"], counts["foreign"]) == (60, 0, 0)
    assert len(arrived(far_end)) == 60
    assert scripts.producers() == []
