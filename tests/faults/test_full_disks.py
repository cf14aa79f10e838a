"""F1, F2, F3: the disk of the broker, of the database, of a training machine is full. Nothing that was acknowledged is lost,
training goes on, and all is well again soon after there is space."""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from argus_testkit import LocalStack, eventually
from argus_testkit.faults import SOON_AGAIN, Said, Workload, check, pick, seeded, settle
from argus_testkit.faults.observe import in_the_log, stream_state
from argus_testkit.faults.payloads import POINT
from argus_testkit.proxy import FaultProxy
from argus_testkit.volumes import SmallVolume, can_mount, without_room

pytestmark = pytest.mark.rare
BACK_WITHIN_S = 180.0
"""The goal is 10 s; the figures are printed."""
MB = 2**20
SMALL_STREAM_BYTES = 2 * MB
MAX_CALL_P50_US = pick(20_000, 300)
"""In the short form only a net, for a machine that does other things, too: no call waits for a disk or the network."""


class Disks:
    """A stack whose broker and database have small disks of their own, where that can be had."""

    def __init__(self, home: Path, entered: ExitStack) -> None:
        home.mkdir(mode=0o700)
        self.nats = self.postgres = None
        if can_mount():
            self.nats = entered.enter_context(SmallVolume(home / "nats", 64 * MB))
            self.postgres = entered.enter_context(SmallVolume(home / "postgres", 320 * MB))
        self.stack = LocalStack(home, {"ARGUS_EVENTS_MAX_BYTES": str(SMALL_STREAM_BYTES), **SOON_AGAIN})


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disks]:
    with ExitStack() as entered:
        made = Disks(tmp_path_factory.mktemp("disks") / "home", entered)
        entered.enter_context(made.stack)
        yield made


@pytest.fixture
def work(disks: Disks, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workload]:
    made = Workload(disks.stack, tmp_path / "work", seeded(request.node.name), n_jobs=2, events_per_s=200)
    yield made
    made.kill()


def wait_serving(stack: LocalStack, work: Workload, what: str) -> None:
    """What is said from now on is on its page."""
    began, said = time.monotonic(), work.said()
    work.wait_for_more(20)
    newest = [key for key in work.said().ok if key not in said.ok][-1]

    def arrived() -> bool:
        with suppress(psycopg.Error):
            return newest in {seen.key for seen in in_the_log(stack, [newest.batch_id])}
        return False

    eventually(arrived, BACK_WITHIN_S, f"{what}: events arrive")
    stack.wait_ready(BACK_WITHIN_S)
    print(f"{what}: serving again after {time.monotonic() - began:.1f} s")


def finish_and_check(disks: Disks, work: Workload) -> Said:
    said = work.finish()
    settle(disks.stack)
    check(disks.stack, said).require()
    return said


def test_a_stream_at_its_limit_refuses_and_forgets_nothing(disks: Disks, work: Workload) -> None:
    """F1, as it is on every machine: the stream has reached its size (2 MiB here), and ingest is away."""
    stack = disks.stack
    work.start(2, line_bytes=2_000)
    work.start_raw("http")
    work.wait_for_more(100)
    stack.put_down("ingest")
    eventually(lambda: "cannot take events now" in work.words(), 180, "the broker refuses, and the SDK says so")
    held = stream_state(stack)["first_seq"]
    work.wait_for_more(200)
    assert stream_state(stack)["first_seq"] == held, "nothing old was discarded for something new"
    stack.put_up("ingest")
    wait_serving(stack, work, "the stream has room again")
    finish_and_check(disks, work)


def test_the_disk_of_the_broker_is_full(disks: Disks, work: Workload) -> None:
    """F1. It is also killed and started meanwhile; it forgets nothing, and works again without anybody's hand."""
    stack, disk = disks.stack, disks.nats
    if disk is None:
        pytest.skip("no disk of its own can be mounted here; the stream at its limit is tested everywhere")
    work.start(2)
    work.start_raw("http")
    work.wait_for_more(100)
    stack.put_down("ingest")  # so that the broker has something to lose
    work.wait_for_more(100)
    eventually(lambda: stream_state(stack)["messages"], what="the broker has something to lose")
    disk.fill()
    eventually(lambda: not _broker_is_healthy(stack), 180, "the broker notices")
    stack.kill("nats")
    time.sleep(pick(3.0, 60.0))
    work.wait_for_more(100)
    disk.free()
    stack.put_up("ingest")
    wait_serving(stack, work, "the broker's disk has space again")
    finish_and_check(disks, work)


def _broker_is_healthy(stack: LocalStack) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{stack.facts.nats.monitor_port}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_disk_of_the_database_is_full(disks: Disks, work: Workload) -> None:
    """F2. PostgreSQL gives up (PANIC) for want of room for its WAL, again and again, until there is some. The stack has said
    so before: at 80 %."""
    stack, disk = disks.stack, disks.postgres
    work.start(2)
    work.start_raw("http")
    work.wait_for_more(100)
    if disk is not None:

        def is_told() -> bool:
            disk.fill_to(0.85)  # again and again: PostgreSQL gives old WAL back meanwhile
            return re.search(alarm, stack.output.read_text()) is not None

        alarm = re.escape(f"the disk of {stack.home / 'postgres'} is ") + r"[89]\d% full"
        eventually(is_told, what="the stack tells of a disk that is nearly full")
        assert not _refuses_to_commit(stack), "it told in time"
    with _no_room(disks):
        eventually(lambda: _refuses_to_commit(stack), 180, "the database cannot commit")
        time.sleep(pick(3.0, 60.0))
        work.wait_for_more(100)
    wait_serving(stack, work, "the database's disk has space again")
    finish_and_check(disks, work)


def _no_room(disks: Disks) -> AbstractContextManager[None]:
    return _filled(disks.postgres) if disks.postgres else _limited(disks.stack)


@contextmanager
def _filled(disk: SmallVolume) -> Iterator[None]:
    disk.fill()
    try:
        yield
    finally:
        disk.free()


@contextmanager
def _limited(stack: LocalStack) -> Iterator[None]:
    """No file of the server can grow: what the kernel says then is what it says of a full disk. Its next start is free of it."""
    server = psutil.Process(stack.pid("postgres"))
    for process in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            process.rlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            server.kill()


def _refuses_to_commit(stack: LocalStack) -> bool:
    """Asks for a new file of the WAL meanwhile, so that the end of the old one need not be waited for."""
    try:
        with stack.database() as database:
            database.execute("CREATE TABLE IF NOT EXISTS public.fill (n int)")
            database.execute("INSERT INTO public.fill SELECT generate_series(1, 20000)")
            database.execute("SELECT pg_switch_wal()")
    except psycopg.Error as error:
        print(f"the database says: {' '.join(str(error).split())[:150]}")
        return True
    return False


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_the_disk_of_a_training_machine_is_full(kind: str, disks: Disks, tmp_path: Path) -> None:
    """F3. Training goes on, with one warning a minute; lines go first and are counted; at the end no loss is silent."""
    stack = disks.stack
    with ExitStack() as entered:
        proxy = entered.enter_context(FaultProxy(stack.facts.nats.port))
        spool = tmp_path / "work" / "spool"
        spool.mkdir(parents=True)
        wrapped: list[str] = [] if can_mount() else without_room(0 if kind == "read-only" else 65_536)
        if can_mount():
            disk = entered.enter_context(SmallVolume(spool, MB // 2))
            if kind == "read-only":
                disk.protect()
        work = Workload(
            stack, tmp_path / "work", seeded(f"spool {kind}"), n_jobs=2, events_per_s=200,
            url=f"nats://127.0.0.1:{proxy.port}", wrapped=wrapped,
        )  # fmt: skip
        entered.callback(work.kill)
        work.start(1, line_bytes=500)
        work.wait_for_more(100)
        proxy.refuse()
        began = time.monotonic()
        eventually(lambda: "keeping events in memory" in work.words(), 180, "the SDK says that the disk refuses")
        time.sleep(pick(3.0, 150.0))
        work.wait_for_more(200)
        minutes = (time.monotonic() - began) / 60
        assert work.words().count("keeping events in memory") <= 1 + minutes
        said = work.said()
        proxy.heal()
        eventually(lambda: not _missing_points(stack, said), 180, "all points that were said have arrived")
        proxy.refuse()
        work.wait_for_more(100)
        work.senders[f"{work.name}-0"].terminate()
        work.senders[f"{work.name}-0"].wait(120)
        if kind == "read-only":
            told = re.search(r"(\d+) events are lost", work.words())
            assert told, work.words()
            in_vain = len(work.said().ok) - len(said.ok)
            print(f"{told[0]}; {in_vain} events of the ledger were said since the link was whole")
        (figures,) = work.figures()
        print(f"{kind}: {figures}")
        assert figures["call_p50_us"] <= MAX_CALL_P50_US


def _missing_points(stack: LocalStack, said: Said) -> int:
    stored = {seen.key for seen in in_the_log(stack, said.batch_ids)}
    return sum(key.stream == POINT and key not in stored for key in said.ok)
