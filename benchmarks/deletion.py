"""100,000 objects of one run deleted, from the command to the last fact, beside `aws s3 rm --recursive` on the same rclone S3.

Both are given the same tree: 100 folders of 1,000 small objects, written through S3. Ours makes and stores the manifest, looks at
every object again before it deletes it, and lists a second time; `aws s3 rm` lists and deletes. `query` is a table here, which
answers the deleter's two questions. ARGUS_BENCH_OBJECTS: fewer, to try it out.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import psutil
from pydantic import BaseModel

from argus_contracts.commands import Decision, DeleteOutputs, OwnedRun
from argus_contracts.queries.common import Envelope
from argus_contracts.queries.dashboard import StorageRates
from argus_contracts.queries.outputs import Outputs, OutputsAnswer, OutputsThereAnswer, UnmeasuredList
from argus_contracts.subjects import (
    COMMANDS_STREAM,
    EVENTS_STREAM,
    EVENTS_SUBJECTS,
    ask_subject,
    command_subject,
    decided_subject,
)
from argus_testkit.databases import cloned_database, make_template, new_passwords
from argus_testkit.nats import nats_client, settled
from argus_testkit.s3_stores import s3_client
from argus_testkit.servers import new_nats, new_postgres, new_s3
from argus_testkit.services import ServiceProcess
from benchmarks.figures import Figure

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".peers-aws"
REQUIREMENTS = Path(__file__).parent / "peers" / "aws.txt"
LOG_SQL = ROOT / "services/ingest/src/argus_ingest/log"
OBJECTS = int(os.environ.get("ARGUS_BENCH_OBJECTS", "100000"))
PER_FOLDER = 1_000
BODY = b"0123456789"
MIB = 2**20

PROFILE = """
A call for a page of 1,000 keys takes 90 ms of a processor with botocore's reading of XML, and 9 with `pages.py`, so listing everything twice costs
less than `aws` spends on listing once. rclone walks all of the asked prefix for each page, so folders
are listed one by one, many at once, and every page is one call; `aws` asks for page after page of the whole. It deletes 1,000 keys a
call where `aws s3 rm` makes one DELETE per object. The rest is rclone's own work on two processors, and a commit before and after each
call, which is what a kill at any time costs.
"""


def measure() -> list[Figure]:
    _make_environment()
    with tempfile.TemporaryDirectory(prefix="argus-bench-") as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Figure]:
    store = new_s3(folder / "s3")
    store.start()
    try:
        env = store.settings.env()
        _write(env, "lab/aws")
        aws_s = _aws(env, "lab/aws")
        _write(env, "lab/ours")
        ours = await _ours(folder, env)
    finally:
        store.stop()
    rate, peer = OBJECTS / ours["seconds"], OBJECTS / aws_s
    return [
        Figure(f"{OBJECTS:,} objects deleted: Argus to aws s3 rm", rate / peer, 10, "times", "higher"),
        Figure("  argus: manifest, second look, deleting, second listing", rate, None, "objects/s", "higher"),
        Figure("  aws s3 rm --recursive", peer, None, "objects/s", "higher"),
        Figure("  argus: until the manifest is stored", ours["planned_s"], None, "s"),
        Figure("  argus: memory of the idle deleter", ours["memory"][0], 100, "MiB"),
        Figure("  argus: most memory meanwhile", max(ours["memory"]), None, "MiB"),
        *(
            Figure(f"  argus: memory after {share:.0%} of the time", _at(ours["memory"], share), None, "MiB")
            for share in (0.25, 0.5, 0.75, 1.0)
        ),
    ]


async def _ours(folder: Path, store_env: dict[str, str]) -> dict[str, Any]:
    """One deletion by a real deleter; seconds from the command to the fact that it has finished."""
    postgres, broker = new_postgres(folder / "postgres"), new_nats(folder / "nats")
    passwords = new_passwords()
    try:
        postgres.start()
        broker.start()
        make_template(postgres.admin_url, passwords)
        with cloned_database(postgres.admin_url, passwords) as database:
            with database.connect("ingest") as connection:
                for file in sorted(LOG_SQL.glob("0*.sql")):
                    connection.execute(file.read_text())  # pyright: ignore[reportArgumentType]
            env = broker.settings.env_for("deleter") | store_env
            env |= {
                "ARGUS_DATABASE_URL": database.deleter_url, "ARGUS_OUTPUT_ROOTS": "s3://outputs/lab/",
                "ARGUS_DELETION_GRACE_S": "0", "ARGUS_DELETION_QUIET_S": "0",
            }  # fmt: skip
            async with nats_client(broker) as nats, nats_client(broker, "query") as query:
                await nats.jetstream().add_stream(name=EVENTS_STREAM, subjects=[EVENTS_SUBJECTS])
                await _answer(query)
                service = ServiceProcess("argus-deleter", env, folder)
                try:
                    service.start()
                    return await _delete(nats, service)
                finally:
                    service.stop()
    finally:
        broker.stop()
        postgres.stop()


async def _delete(nats: Any, service: ServiceProcess) -> dict[str, Any]:
    run = OwnedRun(batch_id="ours", workspace="lab", user="ada")
    command = DeleteOutputs(command_id=uuid4(), requested_by="ada", requested_at=datetime.now(UTC), runs=[run])
    facts = await nats.subscribe("argus.events.=argus.deleter.*")
    heard = await nats.subscribe(decided_subject(str(command.command_id)))
    await settled(nats)
    await asyncio.sleep(2)  # what starting has needed is given back
    with _memory_of(service.pid) as memory:
        began = time.monotonic()
        raw = command.model_dump_json().encode()
        await nats.jetstream().publish(command_subject("deleter", "delete"), raw, stream=COMMANDS_STREAM)
        decision = Decision.model_validate_json((await heard.next_msg(30)).data)
        if decision.outcome != "accepted":
            raise RuntimeError(f"refused: {decision}")
        planned_s = 0.0
        while True:
            for event in orjson.loads((await facts.next_msg(600)).data)["events"]:
                if event["kind"] == "outputs_deletion_planned":
                    planned_s = time.monotonic() - began
                if event["kind"] in ("outputs_deletion_finished", "outputs_deletion_failed"):
                    seconds, said = time.monotonic() - began, event["data"]
                    if (said["outcome"], said["objects_deleted"]) != ("deleted", OBJECTS):
                        raise RuntimeError(f"not all was deleted: {said}")
                    return {"seconds": seconds, "planned_s": planned_s, "memory": memory}


async def _answer(query: Any) -> None:
    ended = datetime.now(UTC) - timedelta(hours=1)
    run = Outputs(
        batch_id="ours", name="ours", workspace="lab", user="ada", cluster=None, status="succeeded", ended_at=ended, lifecycle_position=1, is_active=False,
        last_seen_at=ended, output_dir="s3://outputs/lab/ours", bytes=None, objects=None, measured_at=None, deleted_at=None,
        deletion_id=None,
    )  # fmt: skip
    rates = StorageRates(min_usd=0.048, infrequent_usd=0.15, max_usd=0.276)
    answers: dict[str, Callable[[int], BaseModel]] = {
        "get_outputs": lambda position: OutputsAnswer(position=position, items=[run], rates=rates),
        "find_outputs": lambda position: OutputsThereAnswer(position=position, items=[]),
        "list_unmeasured": lambda position: UnmeasuredList(position=position, items=[]),
    }

    async def answer(message: Any) -> None:
        found = answers[message.subject.rpartition(".")[2]](orjson.loads(message.data)["after"] or 0)
        await message.respond(Envelope(answer=found.model_dump(mode="json")).model_dump_json().encode())

    for name in answers:
        await query.subscribe(ask_subject(name), cb=answer)
    await settled(query)


@contextmanager
def _memory_of(pid: int) -> Iterator[list[float]]:
    """MiB (PSS where the kernel tells it), every half second, of the process and those it has started."""
    found: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while True:
            found.append(_memory(pid))
            if ended.wait(0.5):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _memory(pid: int) -> float:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(one.memory_full_info().pss for one in family) / MIB


def _at(memory: list[float], share: float) -> float:
    return memory[min(len(memory) - 1, int(share * len(memory)))]


def _write(env: dict[str, str], prefix: str) -> None:
    sys.stderr.write(f"  writing {OBJECTS} objects …\n")
    client = s3_client(env)
    keys = (f"{prefix}/part-{i // PER_FOLDER:03d}/object-{i % PER_FOLDER:04d}.bin" for i in range(OBJECTS))
    with ThreadPoolExecutor(8) as threads:
        while some := [key for _, key in zip(range(5_000), keys, strict=False)]:
            list(threads.map(lambda key: client.put_object(Bucket="outputs", Key=key, Body=BODY), some))


def _aws(env: dict[str, str], prefix: str) -> float:
    """Seconds until `aws s3 rm` has ended."""
    sys.stderr.write("  aws s3 rm --recursive …\n")
    aws = str(ENVIRONMENT / "bin" / "aws")
    where = ["--endpoint-url", env["ARGUS_S3_ENDPOINT_URL"], "--only-show-errors"]
    keys = {name: value for name, value in env.items() if name.startswith("AWS_")}
    began = time.monotonic()
    subprocess.run(
        [aws, "s3", "rm", "--recursive", *where, f"s3://outputs/{prefix}/"], env={**os.environ, **keys}, check=True
    )
    return time.monotonic() - began


def _make_environment() -> None:
    """`.peers-aws/` has what aws.txt names; nothing is fetched where it has it already."""
    uv = runpy.run_path(str(ROOT / "deploy" / "bootstrap.py"))
    program = uv["find_uv"]() or uv["fetch_uv"]()
    python = str(ENVIRONMENT / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([program, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT)], check=True)
    subprocess.run([program, "pip", "sync", "--quiet", "--python", python, str(REQUIREMENTS)], check=True)
