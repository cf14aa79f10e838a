"""The broker is killed, kept away, put back in time, and loses what Argus had made in it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.js import JetStreamContext

from argus_testkit import LocalStack, eventually
from argus_testkit.faults import Trial, pick
from argus_testkit.faults.observe import stream_state
from argus_testkit.faults.watch import Cpu

STREAM, DURABLE = "ARGUS_EVENTS", "ingest-log"
ROLLED_BACK_S = pick(2.5, 10.0)
AWAY_S = pick(15.0, 180.0)
"""nats-py would give up after 60 attempts: 12 s at the 0.2 s between two that every service asks for."""
MAX_CALL_P99_US = pick(1_000_000, 20_000)
"""In the short form only a net: a call that waited for the broker would take seconds."""
N_RESTARTS, RESTARTED_WITHIN_S = pick(3, 20), pick(9.0, 120.0)


def store_of(stack: LocalStack) -> Path:
    return stack.home / "nats" / "jetstream"


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def roll_back(stack: LocalStack, kept: Path, part: str = "") -> None:
    """The broker is killed as by a power cut, and what it has on disk is `kept` again (or only the folders called `part`)."""
    stack.put_down("nats", signal.SIGKILL)
    store = store_of(stack)
    for folder in [store] if not part else list(store.rglob(part)):
        shutil.rmtree(folder)
        copy(kept / folder.relative_to(store.parent), folder)
    stack.put_up("nats")


@contextmanager
def acknowledged_but_not_stored(fault: Trial, kept: Path) -> Iterator[None]:
    """The store is copied to `kept`; meanwhile (in the block) the broker takes more and acknowledges it, while ingest is frozen
    for the second half, so that part of it is nowhere but in the broker."""
    stack = fault.stack
    kept.mkdir()
    stack.send_signal("nats", signal.SIGSTOP)
    copy(store_of(stack), kept)
    stack.send_signal("nats", signal.SIGCONT)
    time.sleep(ROLLED_BACK_S / 2)
    stack.send_signal("ingest", signal.SIGSTOP)
    try:
        time.sleep(ROLLED_BACK_S / 2)
        fault.work.wait_for_more(50)
        before = eventually(lambda: stream_state(stack)["messages"], what="messages wait in the broker")
        print(f"{before} messages wait in the broker")
        yield
    finally:
        stack.send_signal("ingest", signal.SIGCONT)


def test_n1_the_broker_forgets_what_it_acknowledged(
    trial: Callable[..., Trial], faulty_stack: LocalStack, tmp_path: Path
) -> None:
    """N1: the broker's store is put back by some seconds: the spools of the senders still have it, and nothing is lost."""
    with trial(sdk=1, http=1, raw=False) as fault:
        with acknowledged_but_not_stored(fault, tmp_path / "kept"):
            roll_back(faulty_stack, tmp_path / "kept")
        faulty_stack.wait_ready(180)
        print(f"the log grows {fault.wait_for_growth():.1f} s after the broker was ready")
        fault.verdict()


def test_n1_without_the_spool_it_is_lost_and_found_out(
    trial: Callable[..., Trial], faulty_stack: LocalStack, tmp_path: Path
) -> None:
    """N1, the proof that it asks something: the same with the spools thrown away is a loss, and the checker says so."""
    with trial(sdk=1, raw=False) as fault:
        with acknowledged_but_not_stored(fault, tmp_path / "kept"):
            for sender in fault.work.senders.values():
                sender.terminate()
                sender.wait(120)
            shutil.rmtree(fault.work.spool)
            roll_back(faulty_stack, tmp_path / "kept")
        faulty_stack.wait_ready(180)
        verdict = fault.compare(fault.finish())
        assert verdict.places["log"].lost > 0
        assert verdict.places["log"].phantom == verdict.places["log"].doubled == 0


@pytest.mark.rare
def test_n3_the_durable_stands_behind_the_end_of_the_stream(
    trial: Callable[..., Trial], faulty_stack: LocalStack, tmp_path: Path
) -> None:
    """N3: only the messages are put back, not where the durable stands, which is then behind the end of the stream: a server
    that believed it would deliver nothing for long (nats-server#5412). Delivery goes on."""
    with trial(raw=False) as fault:
        with acknowledged_but_not_stored(fault, tmp_path / "kept"):
            faulty_stack.send_signal("ingest", signal.SIGCONT)
            fault.wait_for_growth()
            roll_back(faulty_stack, tmp_path / "kept", part="msgs")
        spent = fault.wait_for_growth()
        print(f"the log grows {spent:.1f} s after the start of the broker")
        assert spent < pick(180, 90)
        fault.verdict()
        assert "past last stream sequence" in faulty_stack.log("nats"), "it really stood there"


def test_n2_the_broker_is_away_for_long(trial: Callable[..., Trial], faulty_stack: LocalStack) -> None:
    """N2: away for longer than a client of NATS tries by itself: every service lives and answers, none burns a processor, and
    afterwards all go on by themselves; training never noticed."""
    with trial(sdk=1, http=1) as fault:
        pids = {name: faulty_stack.pid(name) for name in ("ingest", "query", "gateway")}
        faulty_stack.put_down("nats")
        spent = {name: Cpu(pid) for name, pid in pids.items()}
        slowest = watch_health(faulty_stack, AWAY_S)
        shares = {name: round(cpu.share(), 2) for name, cpu in spent.items()}
        print(f"slowest answer of /healthz {slowest * 1e3:.0f} ms; shares of a processor {shares}")
        assert max(shares.values()) < 0.35
        assert {name: faulty_stack.pid(name) for name in pids} == pids, "nobody had to be started again"
        faulty_stack.put_up("nats")
        print(f"the log grows {fault.wait_for_growth():.1f} s after the start of the broker")
        fault.verdict()
        for figures in fault.work.figures():
            print(f"an SDK call took {figures['call_p50_us']:.0f} us (p99 {figures['call_p99_us']:.0f} us)")
            assert figures["call_p99_us"] < MAX_CALL_P99_US, "no call waits for the broker"


def watch_health(stack: LocalStack, seconds: float) -> float:
    """Every service answers /healthz all the time; answers the slowest answer in seconds."""
    ports = stack.state.ports
    urls = [stack.url, *(f"http://127.0.0.1:{ports[name]}" for name in ("ingest", "query"))]
    until, slowest = time.monotonic() + seconds, 0.0
    with httpx.Client(timeout=60) as client:
        while time.monotonic() < until:
            for url in urls:
                began = time.monotonic()
                assert client.get(f"{url}/healthz").status_code == 200
                slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.3)
    return slowest


@pytest.mark.rare
def test_n4_the_broker_is_restarted_again_and_again(trial: Callable[..., Trial], faulty_stack: LocalStack) -> None:
    """N4: killed at random moments under load; what was acknowledged is delivered soon after each start."""
    with trial() as fault:
        moments = sorted(fault.dice.uniform(0, RESTARTED_WITHIN_S) for _ in range(N_RESTARTS))
        began, waits = time.monotonic(), list[float]()
        for moment in moments:
            time.sleep(max(0.0, began + moment - time.monotonic()))
            faulty_stack.kill("nats")
            eventually(lambda: stream_state(faulty_stack), what="the broker serves again")
            waits.append(fault.wait_for_growth())
        print(f"the log grew again after {', '.join(f'{wait:.1f}' for wait in waits)} s")
        fault.verdict()


async def with_jetstream(stack: LocalStack, work: Callable[[JetStreamContext], Any]) -> Any:
    settings = stack.facts.nats
    client = await nats.connect(
        settings.url, user="admin", password=settings.passwords["admin"], inbox_prefix=b"_INBOX_admin"
    )
    try:
        return await work(client.jetstream())
    finally:
        await client.close()


def said_by_ingest(stack: LocalStack) -> int:
    """How many messages ingest has sent to the broker: pulls, acknowledgements, questions."""
    monitor = f"http://127.0.0.1:{stack.facts.nats.monitor_port}"
    connections = httpx.get(f"{monitor}/connz", timeout=60).json()["connections"]
    return sum(known["in_msgs"] for known in connections if known.get("name") == "argus-ingest")


async def delete_durable(stream: JetStreamContext) -> None:
    await stream.delete_consumer(STREAM, DURABLE)


async def delete_stream(stream: JetStreamContext) -> None:
    await stream.delete_stream(STREAM)


async def shorten_ack_wait(stream: JetStreamContext) -> None:
    config = (await stream.consumer_info(STREAM, DURABLE)).config
    config.ack_wait = 1
    await stream.add_consumer(STREAM, config)


@pytest.mark.rare
@pytest.mark.parametrize("harm", [delete_durable, delete_stream, shorten_ack_wait])
def test_n5_somebody_deletes_or_changes_what_argus_made_in_the_broker(
    trial: Callable[..., Trial], faulty_stack: LocalStack, harm: Callable[[JetStreamContext], Any]
) -> None:
    """N5: stream or durable are made anew as they must be, what was changed is said and set back; ingest asks calmly meanwhile.
    (A stream that is deleted takes with it what senders without a spool were promised: these have spools.)"""
    with trial(raw=False) as fault:
        asyncio.run(with_jetstream(faulty_stack, harm))
        began, before = time.monotonic(), said_by_ingest(faulty_stack)
        eventually(lambda: is_as_made(faulty_stack), 180, "stream and durable are as they must be")
        spent = time.monotonic() - began
        print(f"as it must be after {spent:.1f} s; the log grows {fault.wait_for_growth():.1f} s later")
        time.sleep(max(0.0, 3 - (time.monotonic() - began)))  # a burst of a moment is no rate
        rate = max(said_by_ingest(faulty_stack) - before, 0) / (time.monotonic() - began)
        print(f"ingest said {rate:.0f} messages a second meanwhile")
        assert rate < 200
        fault.verdict()
        if harm is shorten_ack_wait:
            assert "durable ingest-log was changed by somebody: ack_wait 1" in faulty_stack.log("ingest")


def is_as_made(stack: LocalStack) -> bool:
    async def look(stream: JetStreamContext) -> bool:
        try:
            return (await stream.consumer_info(STREAM, DURABLE)).config.ack_wait == 30
        except nats.js.errors.NotFoundError:
            return False

    return asyncio.run(with_jetstream(stack, look))
