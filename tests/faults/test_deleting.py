"""L1, L5, L6, P1, P5, X3 for deleting: everything is real, and every neighbour dies while objects are being deleted.

`services/deleter/tests` ask step by step, with a table that answers in place of `query`; here it is asked of the whole.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from argus_local.ports import free_port
from argus_local.servers import S3Server
from argus_testkit import LocalStack, ServiceProcess, eventually
from argus_testkit.http_sender import Sender
from argus_testkit.s3_stores import Call, FaultyS3, canary, put_objects, s3_client
from argus_testkit.servers import new_s3

pytestmark = pytest.mark.rare
BUCKET, HOME, WITHIN_S = "outputs", "main/admin", 120.0
N_OBJECTS, PER_FOLDER = 3_000, 500
ONCE = ["requested", "planned", "started", "finished"]
Hook = Callable[[Call], None]


class Store:
    """The stack's object store: a server of the test's own, and the proxy by which the deleter talks to it."""

    def __init__(self, folder: Path) -> None:
        self.server: S3Server = new_s3(folder)
        self.server.start()
        self.proxy = FaultyS3(self.server.settings.env())
        self.client = s3_client(self.server.settings.env())

    def keys(self, prefix: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {one["Key"] for page in pages for one in page.get("Contents", ())}

    def all_but(self, folder: str) -> tuple[int, str]:
        """A hash of everything outside of `folder`."""
        return canary(self.client, BUCKET, without=folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(tmp_path_factory.mktemp("store") / "s3")
    try:
        with store.proxy:
            yield store
    finally:
        store.server.stop()


@pytest.fixture(scope="module")
def stack_env(store: Store) -> dict[str, str]:
    return {
        **store.proxy.env(), "ARGUS_OUTPUT_ROOTS": f"s3://{BUCKET}/{{workspace}}/{{user}}/", "ARGUS_DELETION_GRACE_S": "3",
        "ARGUS_DELETION_QUIET_S": "0", "ARGUS_MEASURE_EVERY_S": "3600", "ARGUS_S3_CALLS_AT_ONCE": "1",
    }  # fmt: skip


@pytest.fixture
def client(faulty_stack: LocalStack, store: Store) -> Iterator[httpx.Client]:
    store.proxy.before = lambda call: None
    faulty_stack.wait_ready(120)
    with faulty_stack.client() as client:
        yield client


@pytest.fixture
def sender(client: httpx.Client) -> Sender:
    return Sender(client)


def finished(sender: Sender, store: Store, objects: Sequence[str], folder: str | None = None) -> tuple[str, str]:
    """A run of the admin's that has ended with these objects; its id and its folder (with the slash)."""
    name = f"run-{uuid.uuid4().hex[:8]}"
    folder = folder or f"{HOME}/{name}/"
    put_objects(store.client, BUCKET, [folder + key for key in objects])
    batch_id = sender.end(sender.start(name, output_dir=f"s3://{BUCKET}/{folder}"))
    eventually(lambda: sender.client.get(f"/api/batches/{batch_id}").json().get("run", {}).get("status") == "succeeded")
    return batch_id, folder


def many() -> list[str]:
    return [f"f{i // PER_FOLDER}/o{i:05d}" for i in range(N_OBJECTS)]


def look_alikes(store: Store, folder: str) -> None:
    """L1: what has nearly the same name, beside the folder."""
    bare = folder.rstrip("/")
    name = bare.rpartition("/")[2]
    beside = [
        f"{bare}0/a",
        f"{bare}.bak/a",
        f"{bare}-x/a",
        f"{bare}%2F/a",
        f"{HOME}/{name.upper()}/a",
        f"{name}/a",
        f"{bare}.txt",
    ]
    put_objects(store.client, BUCKET, beside)


def ask(client: httpx.Client, *batch_ids: str, command_id: str | None = None) -> list[dict[str, Any]]:
    """What became of the request, run by run, once that is decided: a busy machine may take longer than the gateway waits."""
    n = len(batch_ids)
    body: dict[str, Any] = {"batch_ids": batch_ids, "confirm": f"delete {n} run{'s' if n > 1 else ''}"}
    body["command_id"] = command_id or str(uuid.uuid4())

    def decided() -> list[dict[str, Any]] | None:
        answer = client.post("/api/outputs/deletions", json=body).raise_for_status().json()
        body["asked_at"] = answer["asked_at"]
        return None if answer["outcome"] == "queued" else answer["results"]

    return eventually(decided, WITHIN_S, "the request is decided", every=0.5)


def receipt(client: httpx.Client, deletion_id: str) -> dict[str, Any]:
    """When it has ended."""

    def ended() -> dict[str, Any] | None:
        found = client.get(f"/api/outputs/deletions/{deletion_id}").raise_for_status().json()["deletion"]
        return found if found["state"] not in ("requested", "planned", "running") else None

    return eventually(ended, WITHIN_S, f"{deletion_id} has ended")


def kinds(deletion: dict[str, Any]) -> list[str]:
    """Of its facts in the log, but for those that only tell how far it is."""
    names = [one["kind"].removeprefix("outputs_deletion_") for one in deletion["history"]]
    return [name for name in names if name != "progressed"]


@contextmanager
def meanwhile(store: Store, folder: str, what: Callable[[], None]) -> Iterator[threading.Event]:
    """`what` happens while the second delete call in `folder` is on its way, and the event is set then; it must be at the end."""
    seen, done = 0, threading.Event()
    lock = threading.Lock()

    def hook(call: Call) -> None:
        nonlocal seen
        if not (call.is_delete and call.keys and call.keys[0].startswith(folder)):
            return
        with lock:
            seen += 1
            mine = seen == 2
        if mine:
            what()
            done.set()

    store.proxy.before = hook
    yield done
    assert done.is_set(), "no second delete call was made"
    store.proxy.before = lambda call: None


def process_of(stack: LocalStack, name: str) -> psutil.Process:
    """The projector is the child of query."""
    if name != "projector":
        return psutil.Process(stack.pid(name))
    return psutil.Process(stack.pid("query")).children()[0]


@pytest.mark.parametrize("victim", ["deleter", "query", "projector", "gateway", "nats", "postgres", "s3"])
def test_a_neighbour_dies_while_objects_are_deleted(
    faulty_stack: LocalStack, store: Store, client: httpx.Client, sender: Sender, victim: str
) -> None:
    """L5, P1. Nobody's hand is needed; exactly the manifest goes, is counted exactly, and told of once."""
    batch_id, folder = finished(sender, store, many())
    look_alikes(store, folder)
    rest, command_id = store.all_but(folder), str(uuid.uuid4())

    def kill() -> None:
        if victim == "s3":
            store.server.kill()
        else:
            process_of(faulty_stack, victim).kill()

    with meanwhile(store, folder, kill):
        (asked,) = ask(client, batch_id, command_id=command_id)
        if victim == "s3":  # nobody supervises it
            eventually(lambda: not store.server.is_running)
            time.sleep(2)
            store.server.start()
        told = receipt(client, asked["deletion_id"])
    counts = [told[name] for name in ("state", "objects", "objects_deleted", "bytes_freed", "remaining_objects")]
    assert counts == ["deleted", N_OBJECTS, N_OBJECTS, 10 * N_OBJECTS, 0], told
    assert kinds(told) == ONCE
    assert store.keys(folder) == set()
    assert store.all_but(folder) == rest
    faulty_stack.wait_ready(120)
    (again,) = ask(client, batch_id, command_id=command_id)
    assert (again["deletion_id"], again["skipped"]) == (asked["deletion_id"], None), "the same request, the same answer"
    (fresh,) = ask(client, batch_id)
    assert fresh["skipped"] == "already_deleted"


@pytest.fixture
def double(faulty_stack: LocalStack, stack_env: dict[str, str], tmp_path: Path) -> Iterator[ServiceProcess]:
    """A second deleter beside that of the stack."""
    own = {**faulty_stack.environment_of("deleter"), **stack_env, "ARGUS_HEALTH_PORT": str(free_port())}
    process = ServiceProcess("argus-deleter", own, tmp_path)
    try:
        process.start(120)
        yield process
    finally:
        process.stop()


def test_two_deleters_of_which_one_is_frozen(
    faulty_stack: LocalStack, double: ServiceProcess, store: Store, client: httpx.Client, sender: Sender
) -> None:
    """P5, X3, and many clicks: one deletion. Who has lost the lock in its sleep does nothing more when it wakes up."""
    batch_id, folder = finished(sender, store, many())
    rest = store.all_but(folder)
    frozen: list[psutil.Process] = []

    def freeze_the_holder() -> None:
        both = [process_of(faulty_stack, "deleter"), *_family(double.pid)]
        with faulty_stack.database() as database:
            ((pid, port),) = database.execute(
                "SELECT pid, client_port FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE locktype = 'advisory' AND usename = 'argus_deleter'"
            ).fetchall()
            frozen.extend(one for one in both if port in {c.laddr.port for c in one.net_connections()})
            frozen[0].send_signal(signal.SIGSTOP)
            database.execute("SELECT pg_terminate_backend(%s)", (pid,))

    try:
        with meanwhile(store, folder, freeze_the_holder):
            with ThreadPoolExecutor(6) as clicks:
                asked = [one for (one,) in clicks.map(lambda _: ask(client, batch_id), range(6))]
            assert len({one["deletion_id"] for one in asked}) == 1
            assert sorted(str(one["skipped"]) for one in asked) == ["None", *["in_flight"] * 5]
            told = receipt(client, asked[0]["deletion_id"])
        assert len(frozen) == 1
        n_deletes = len(store.proxy.deletes)
        frozen[0].send_signal(signal.SIGCONT)
        faulty_stack.wait_ready(60)
        time.sleep(3)  # longer than a deletion that is somebody else's is left alone
        assert len(store.proxy.deletes) == n_deletes
    finally:
        for one in frozen:
            one.send_signal(signal.SIGCONT)
    assert (told["state"], told["objects_deleted"], told["bytes_freed"]) == ("deleted", N_OBJECTS, 10 * N_OBJECTS), told
    assert kinds(told) == ONCE
    assert store.all_but(folder) == rest


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.parametrize("attempt", [2, 1])
@pytest.mark.parametrize("ends", [False, True])
def test_a_run_that_begins_anew_in_the_grace_time_keeps_everything(
    store: Store, client: httpx.Client, sender: Sender, attempt: int, ends: bool
) -> None:
    """L6. Also where it says the number that it had, and where it is through again before the time has come."""
    batch_id, folder = finished(sender, store, ["a", "b"])
    (asked,) = ask(client, batch_id)
    place = f"s3://{BUCKET}/{folder}"
    sender.say(batch_id, "batch_start", (None, {"name": "again", "output_dir": place}), at_s=70, attempt=attempt)
    if ends:
        sender.say(batch_id, "batch_done", (None, {}), at_s=80, attempt=attempt)
    told = receipt(client, asked["deletion_id"])
    assert (told["state"], told["objects_deleted"]) == ("failed", 0), told
    assert told["reason"].startswith("checked again"), told
    assert len(store.keys(folder)) == 2
    (again,) = ask(client, batch_id)
    if not ends:
        assert again["skipped"] == "not_terminal", again
    else:
        assert receipt(client, again["deletion_id"])["objects_deleted"] == 2


def test_a_run_that_begins_anew_while_a_killed_deleter_is_away_keeps_the_rest(
    faulty_stack: LocalStack, store: Store, client: httpx.Client, sender: Sender
) -> None:
    """L5 with L6."""
    batch_id, folder = finished(sender, store, many())

    def kill_and_begin() -> None:
        faulty_stack.put_down("deleter")
        sender.say(batch_id, "batch_start", (None, {"name": "again", "output_dir": f"s3://{BUCKET}/{folder}"}), at_s=70)

    with meanwhile(store, folder, kill_and_begin) as done:
        (asked,) = ask(client, batch_id)
        assert done.wait(60)
    faulty_stack.put_up("deleter")
    told = receipt(client, asked["deletion_id"])
    left = store.keys(folder)
    assert (told["state"], told["remaining_objects"]) == ("partial", len(left)), told
    assert told["objects_deleted"] == N_OBJECTS - len(left) < N_OBJECTS


def test_what_somebody_writes_meanwhile_stays(store: Store, client: httpx.Client, sender: Sender) -> None:
    """L6. The last folder is written to while an earlier one is deleted."""
    batch_id, folder = finished(sender, store, many())
    last = f"{folder}f{(N_OBJECTS - 1) // PER_FOLDER}/"

    def write() -> None:
        store.client.put_object(Bucket=BUCKET, Key=f"{last}new", Body=b"new")

    with meanwhile(store, folder, write):
        (asked,) = ask(client, batch_id)
        told = receipt(client, asked["deletion_id"])
    assert (told["state"], told["objects_deleted"], told["remaining_objects"]) == ("partial", N_OBJECTS, 1), told
    assert store.keys(folder) == {f"{last}new"}
    assert [(one["key"], one["code"]) for one in told["errors"]] == [(f"{last}new", "Remains")]


def test_a_folder_of_two_runs_is_nobodys_to_delete(store: Store, client: httpx.Client, sender: Sender) -> None:
    outer, folder = finished(sender, store, ["a"])
    inner, _ = finished(sender, store, ["b"], f"{folder}deeper/")
    results = ask(client, outer, inner)
    assert [one["skipped"] for one in results] == ["refused", "refused"], results
    assert all("other runs have outputs" in one["detail"] for one in results)
    assert store.keys(folder) == {f"{folder}a", f"{folder}deeper/b"}
