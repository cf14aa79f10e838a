"""What the broker promises and how often it repeats itself."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import nats
import psutil
import pytest

from argus_local.servers import answers_ok
from argus_testkit import Database, LocalStack, eventually
from argus_testkit.faults import Trial, pick
from argus_testkit.faults.observe import redeliveries
from argus_testkit.faults.trial import metric
from argus_testkit.plugin import StartService
from argus_testkit.servers import new_nats

ACK_WAIT_S = pick(1, 2)
N_SLOW = pick(2, 40)
N_PUBLISHED = pick(50, 1_000)
_SYNC = re.compile(r"\b(fsync|fdatasync)\(\d+")


@pytest.fixture(scope="module")
def stack_env() -> dict[str, str]:
    return {"ARGUS_INGEST_ACK_WAIT_SECONDS": str(ACK_WAIT_S)}


@pytest.mark.rare
def test_n6_delivered_again_while_the_first_is_still_at_work(
    trial: Callable[..., Trial], faulty_stack: LocalStack
) -> None:
    """N6: appends take three times as long as the broker waits for an acknowledgement, so it delivers again what is at work:
    nothing is doubled, and the measures show the repeats."""
    ingest = f"http://127.0.0.1:{faulty_stack.state.ports['ingest']}"
    with trial() as fault:
        before = redeliveries(faulty_stack)
        for _ in range(N_SLOW):
            with faulty_stack.database() as somebody, somebody.transaction():
                somebody.execute("SELECT 1 FROM log.head FOR UPDATE")
                time.sleep(3 * ACK_WAIT_S)
            fault.wait_for_growth()
        again = redeliveries(faulty_stack) - before
        print(f"{again} messages were delivered again")
        assert again > 0
        fault.verdict()
        assert metric(ingest, "argus_events_repeated_total") > 0


@pytest.mark.rare
def test_n6_killed_between_commit_and_acknowledgement(trial: Callable[..., Trial], faulty_stack: LocalStack) -> None:
    """N6: ingest is killed again and again under load; what it had committed and not acknowledged comes again: nothing is doubled."""
    with trial() as fault:
        for _ in range(N_SLOW):
            faulty_stack.kill("ingest")
            print(f"the log grows {fault.wait_for_growth():.1f} s after the kill")
            time.sleep(fault.dice.uniform(0.2, 2.0))
        fault.verdict()


def test_n7_the_broker_says_that_it_syncs(faulty_stack: LocalStack) -> None:
    """N7: the broker of a stack writes to disk before it acknowledges, and says so."""
    said = httpx.get(f"http://127.0.0.1:{faulty_stack.facts.nats.monitor_port}/jsz?config=1", timeout=10).json()
    assert said["config"]["sync_always"] is True


def test_n7_with_a_broker_that_does_not_sync_nobody_is_ready(
    start_service: StartService, database: Database, tmp_path: Path
) -> None:
    """N7: ingest and the gateway ask the broker, and are not ready while it acknowledges what is not on its disk."""
    server = new_nats(tmp_path / "nats")
    server.settings.sync_always = False
    server.start()
    try:
        ingest = start_service(
            "argus-ingest",
            {**server.settings.env_for("ingest"), "ARGUS_DATABASE_URL": database.ingest_url},
            ready=False,
        )
        gateway = start_service(
            "argus-gateway",
            {
                **server.settings.env_for("gateway"), "ARGUS_DATABASE_URL": database.gateway_url,
                "ARGUS_NATS_ISSUER_SEED": server.settings.issuer_seed, "ARGUS_UI_DIR": str(tmp_path / "no-ui"),
            },
            ready=False,
        )  # fmt: skip
        for service in (ingest, gateway):
            eventually(
                lambda service=service: "sync_interval" in readiness(service.url), 60, f"{service.name} says why"
            )
        server.stop()
        server.settings.sync_always = True
        server.start()
        for service in (ingest, gateway):
            eventually(lambda service=service: "sync_interval" not in readiness(service.url), 60, "it syncs now")
    finally:
        server.stop()


def readiness(url: str) -> str:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).text
    except httpx.HTTPError as error:
        raise OSError(str(error)) from error


@pytest.mark.skipif(shutil.which("strace") is None, reason="the proof by the kernel needs strace, which is not here")
def test_n7_the_kernel_saw_it_sync_before_it_acknowledged(tmp_path: Path) -> None:
    """N7: seen by strace, for every published message the server calls fsync or fdatasync after it has read the message and
    before it writes the acknowledgement."""
    server = new_nats(tmp_path / "nats")
    server.settings.write()
    trace = tmp_path / "trace"
    calls = "trace=read,write,writev,pwrite64,pwritev,sendto,fsync,fdatasync"
    command = ["strace", "-f", "-s", "400", "-o", str(trace), "-e", calls, *server.settings.argv()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as traced:
        try:
            monitor = f"http://127.0.0.1:{server.settings.monitor_port}/healthz"
            eventually(lambda: answers_ok(monitor), 60, "the traced server serves")
            asyncio.run(publish(server.settings.url, server.settings.passwords["admin"], N_PUBLISHED))
        finally:
            for process in psutil.Process(traced.pid).children():
                process.terminate()  # strace ends with it
    assert syncs_before_each_answer(trace.read_text(errors="replace")) >= N_PUBLISHED


async def publish(url: str, password: str, count: int) -> None:
    """One after the other: each has its acknowledgement before the next is sent."""
    client = await nats.connect(url, user="admin", password=password, inbox_prefix=b"_INBOX_admin", connect_timeout=30)
    stream = client.jetstream(timeout=30)
    await stream.add_stream(name="PROOF", subjects=["proof.*"])
    for number in range(count):
        await stream.publish("proof.a", json.dumps({"mark": number}).encode())
    await client.close()


def syncs_before_each_answer(trace: str) -> int:
    """How many acknowledgements were written; AssertionError where one came without a sync since the one before it."""
    n_answers, synced = 0, False
    for line in trace.splitlines():
        if _SYNC.search(line):
            synced = True
        if 'stream\\":\\"PROOF' in line and 'seq\\":' in line and ("write(" in line or "writev(" in line):
            assert synced, f"acknowledgement {n_answers + 1} was written before anything was synced"
            n_answers, synced = n_answers + 1, False
    return n_answers
