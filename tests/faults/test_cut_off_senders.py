"""P4, X1, X2: training processes that die with a torn spool, are cut off from Argus, or sit behind a bad link."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import zstandard

from argus.spool import frame
from argus_testkit import LocalStack, eventually
from argus_testkit.faults import Key, Said, Workload, check, pick, seeded, settle
from argus_testkit.faults.observe import in_the_log
from argus_testkit.faults.payloads import LINE
from argus_testkit.proxy import FaultProxy

Workloads = Callable[..., Workload]
MAX_FINISH_S, MAX_CALL_P50_US = pick((60, 20_000), (10, 300))
"""In the short form only nets, for a machine that does other things, too: nothing waits for the network."""


@contextmanager
def between(stack: LocalStack, door: str) -> Iterator[tuple[FaultProxy, str]]:
    """A proxy in front of the broker (`nats`) or the gateway (`http`), and the URL that leads through it."""
    with FaultProxy(stack.facts.nats.port if door == "nats" else stack.port) as proxy:
        yield proxy, f"{door}://127.0.0.1:{proxy.port}"


def lost(stack: LocalStack, said: Said) -> list[Key]:
    stored = {seen.key for seen in in_the_log(stack, said.batch_ids)}
    return [key for key in said.ok if key not in stored]


def without(said: Said, keys: list[Key]) -> Said:
    gone = set(keys)
    return Said({key: crc for key, crc in said.ok.items() if key not in gone}, said.unknown, said.failed)


def run_of(stack: LocalStack, batch_id: str) -> dict[str, Any]:
    with stack.client() as client:
        return client.get(f"/api/batches/{batch_id}").raise_for_status().json()["run"]


# -- P4 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent_by", ["the next run", "argus sync"])
def test_a_killed_training_process_with_a_torn_spool(
    sent_by: str, faulty_stack: LocalStack, workload: Workloads
) -> None:
    """Whatever was said is delivered. A record that was being written is left out alone, and counted.

    With `argus sync` the machine lost power too: the last record of each lane is half gone, although its call had returned.
    """
    with between(faulty_stack, "nats") as (proxy, url):
        work = workload(url=url, n_jobs=2, events_per_s=200)
        work.start(heartbeat_s=1.0)
        work.wait_for_more(100)
        proxy.refuse()
        work.wait_for_more(200)
        work.kill()
        (folder,) = work.spool.iterdir()
        torn = sum(_tear(folder, lane, work.dice, cut=sent_by == "argus sync") for lane in ("metrics", "log_lines"))
        proxy.heal()
    work.url = faulty_stack.facts.nats.url
    (batch_id,) = work.senders
    _address(folder, work.url)
    if sent_by == "the next run":
        work.start()
        dead = Said({key: crc for key, crc in work.said().ok.items() if key.batch_id == batch_id})
        eventually(lambda: not lost(faulty_stack, dead), 180, "the next run has sent what was left")
    else:
        command = [sys.executable, "-m", "argus.cli", "sync", "--json"]
        done = subprocess.run(command, env=work.environment, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["torn"] == torn == 2, done.stdout
    said = work.finish()
    settle(faulty_stack)
    missing = lost(faulty_stack, said)
    last = {key.stream: key for key in said.ok if key.batch_id == batch_id}
    allowed = set(last.values()) if sent_by == "argus sync" else set()
    assert set(missing) <= allowed, "only a record that is half gone may be missing"
    check(faulty_stack, without(said, missing)).require()
    eventually(lambda: run_of(faulty_stack, batch_id)["disconnected_since"], 120, "never running for ever")
    with faulty_stack.client() as client:
        page = client.get(f"/api/batches/{batch_id}/jobs/job-0").raise_for_status().json()
    assert page["run"]["disconnected_since"], "the job's page shows it, too"


def _tear(folder: Path, lane: str, dice: random.Random, cut: bool) -> int:
    """The lane ends with half a record: 1 to 40 bytes of the last one are gone, or so many of another one have come."""
    segment = sorted(folder.glob(f"{lane}.*.seg"))[-1]
    n = dice.randint(1, 40)
    raw = segment.read_bytes()
    segment.write_bytes(raw[:-n] if cut else raw + frame(b'{"kind":"job_epoch","version":1,"batch_id":"x"}')[:n])
    print(f"{segment.name}: {-n if cut else n:+d} bytes")
    return 1


def _address(folder: Path, url: str) -> None:
    """The proxy's port is gone with it: what was meant for it is meant for the broker itself."""
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "url": url}))


# -- X1 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["drop", pytest.param("reset", marks=pytest.mark.rare)])
def test_cut_off_for_long_then_killed(how: str, faulty_stack: LocalStack, workload: Workloads) -> None:
    """Training does not notice. What must be kept is kept; how many log lines the small spool could not keep is told."""
    with between(faulty_stack, "nats") as (proxy, url):
        work = workload(url=url, n_jobs=2, events_per_s=400, settings={"ARGUS_SPOOL_MAX_BYTES": "1500000"})
        work.start(2, line_bytes=1_000)
        ends, dies = work.senders
        work.wait_for_more(400)
        rss = {name: psutil.Process(sender.pid).memory_info().rss for name, sender in work.senders.items()}
        rate = _rate(work)
        proxy.stall() if how == "drop" else proxy.refuse()
        seen: dict[Path, set[str]] = {}
        _some_are_gone(work.spool, seen)
        time.sleep(pick(8.0, 600.0))
        eventually(lambda: _some_are_gone(work.spool, seen), 180, "every spool has dropped lines")
        grown = {n: psutil.Process(s.pid).memory_info().rss - rss[n] for n, s in work.senders.items()}
        print(f"{how}: {rate:.0f} events/s before, {_rate(work):.0f} while cut off; memory {grown}")
        assert max(grown.values()) < 50_000_000
        # The cap is looked after between two attempts to send, which take 6 s where nobody answers.
        assert _droppable_bytes(work.spool) < 2 * (1_500_000 + 10 * 400 * 1_300), "each spool keeps its cap"
        work.senders[ends].terminate()
        assert work.senders[ends].wait(120) == 0
        work.kill()
        (figures,) = work.figures()
        print(f"{how}: {figures}")
        assert figures["finish_s"] <= MAX_FINISH_S
        assert figures["call_p50_us"] <= MAX_CALL_P50_US
        assert "events are not sent yet and stay in" in work.words()
        proxy.heal()
        said = work.finish()
    settle(faulty_stack)
    missing = lost(faulty_stack, said)
    assert {key.stream for key in missing} <= {LINE}, "points are never dropped"
    check(faulty_stack, without(said, missing)).require()
    for batch_id in (ends, dies):
        run = run_of(faulty_stack, batch_id)
        told = run["dropped"]["log_lines"]
        n_events = sum(key.batch_id == batch_id for key in said.ok)
        n_lines = sum(key.batch_id == batch_id and key.stream == LINE for key in said.ok) + n_events  # with the ballast
        gone = n_lines - _lines_in_the_log(faulty_stack, batch_id)
        in_gaps = sum(gap["last_seq"] - gap["first_seq"] + 1 for gap in run["gaps"])
        print(f"{how}: {batch_id} said {n_lines} lines, {gone} are gone, {told} told of, {in_gaps} in known gaps")
        assert 0 < told <= gone + 1
        assert batch_id == dies or gone <= told + in_gaps, "every line that is gone is known"
        with faulty_stack.client() as client:
            page = client.get(f"/api/batches/{batch_id}/log-lines", params={"job_id": "job-0", "limit": 10})
        assert page.raise_for_status().json()["dropped"] == told, "the job's page shows it"


def _rate(work: Workload) -> float:
    """Events a second that the senders say now."""
    before, began = len(work.said().ok), time.monotonic()
    time.sleep(2)
    return (len(work.said().ok) - before) / (time.monotonic() - began)


def _some_are_gone(spool: Path, seen: dict[Path, set[str]]) -> bool:
    """Whether each folder has dropped a segment of log lines that was `seen` before. (Not always its oldest: what the broker
    may have, because nobody heard its answer, is kept.)"""
    now: dict[Path, set[str]] = {}
    for path in spool.rglob("log_lines.*.seg"):
        now.setdefault(path.parent, set()).add(path.name)
    for folder, names in now.items():
        seen.setdefault(folder, set()).update(names)
    return all(names - now.get(folder, set()) for folder, names in seen.items())


def _droppable_bytes(spool: Path) -> int:
    return sum(path.stat().st_size for path in spool.rglob("*.seg") if path.name.startswith(("log_lines", "snapshots")))


def _lines_in_the_log(stack: LocalStack, batch_id: str) -> int:
    with stack.database() as database:
        row = database.execute(
            "SELECT coalesce(sum(n_events), 0) FROM log.record_batches WHERE batch_id = %s AND class = 'log_lines'",
            [batch_id],
        ).fetchone()
    return int(row[0]) if row else 0


# -- X2 ------------------------------------------------------------------------------------------------------------


@pytest.mark.rare
@pytest.mark.parametrize("door", ["nats", "http"])
def test_a_slow_bad_link_stores_nothing_twice(door: str, faulty_stack: LocalStack, workload: Workloads) -> None:
    """0.3 to 0.5 s late, 32 kB/s, and reset every second or two: acknowledgements get lost, and everything is sent again."""
    with between(faulty_stack, door) as (proxy, url):
        work = workload(url=url, door=door, n_jobs=2, events_per_s=100)
        work.start(2)
        work.wait_for_more(50)
        proxy.slow(delay_s=0.3, jitter_s=0.2, bytes_per_s=32_000)
        cuts, ends_at = 0, time.monotonic() + pick(8.0, 300.0)
        while time.monotonic() < ends_at:
            time.sleep(work.dice.uniform(1.0, 3.0))
            cuts += proxy.cut()
        proxy.heal()
        said = work.finish()
    settle(faulty_stack)
    verdict = check(faulty_stack, said).require()
    print(f"{door}: {cuts} connections cut; {verdict.late} events arrived behind later ones")
    assert cuts > 0


LARGE = """
import sys, argus
with argus.init(batch_id=sys.argv[1], resource_interval_s=0) as run, run.job("job") as job:
    for n in range(500):  # two large messages, each of which takes 6 s and more
        job.log(f"{n} " + "x" * 60)
        job.epoch(n, loss=n)
sys.exit(0 if argus.flush(120) else 1)
"""


@pytest.mark.parametrize("door", ["nats", "http"])
def test_what_a_thin_link_takes_long_for_arrives_and_is_sent_once(
    door: str, faulty_stack: LocalStack, tmp_path: Path
) -> None:
    """X2: a message is on its way for as long as an answer used to be waited for: it was held to be lost, and sent again, for ever."""
    batch_id = f"thin-{door}-{uuid4().hex[:8]}"
    environment = Workload(faulty_stack, tmp_path, seeded("thin")).environment
    with between(faulty_stack, door) as (proxy, url):
        proxy.slow(delay_s=0.3, jitter_s=0.2, bytes_per_s=24_000)
        done = subprocess.run(
            [sys.executable, "-c", LARGE, batch_id], env={**environment, "ARGUS_URL": url},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        carried = proxy.carried["up"]
    assert done.returncode == 0, done.stderr
    with faulty_stack.database() as database:
        rows = database.execute("SELECT payload FROM log.record_batches WHERE batch_id = %s", [batch_id]).fetchall()
    unpack = zstandard.ZstdDecompressor()
    n_bytes = sum(len(unpack.decompress(payload, max_output_size=1 << 24)) for (payload,) in rows)
    print(f"{door}: {carried} bytes for {n_bytes} of events; {done.stderr.strip()}")
    assert carried < 1.5 * n_bytes
