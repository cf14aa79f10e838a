"""Fixtures of the tests of the deleter: real servers around a real process, and a table that answers in place of `query`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from argus_contracts.commands import CancelOutputsDeletion, Decision, DeleteOutputs, MeasureOutputs, OwnedRun
from argus_contracts.locations import Location, StrangeLocation, root
from argus_contracts.queries.common import Envelope
from argus_contracts.queries.dashboard import StorageRates
from argus_contracts.queries.deletions import DeletionPreview, PreviewDeletion
from argus_contracts.queries.outputs import (
    Outputs,
    OutputsAnswer,
    OutputsThere,
    OutputsThereAnswer,
    Unmeasured,
    UnmeasuredList,
)
from argus_contracts.registry import parse_event
from argus_contracts.subjects import (
    COMMANDS_STREAM,
    EVENTS_STREAM,
    EVENTS_SUBJECTS,
    ask_subject,
    command_subject,
    decided_subject,
    parse_event_subject,
)
from argus_local.servers import NatsServer, S3Server
from argus_testkit import Database, ServiceProcess, eventually_async
from argus_testkit.nats import nats_client, settled
from argus_testkit.s3_stores import canary, put_objects, s3_client

LOG_SQL = Path(__file__).parents[2] / "ingest/src/argus_ingest/log"
BUCKET = "outputs"
RATES = StorageRates(min_usd=0.048, infrequent_usd=0.15, max_usd=0.276)
ANSWERS: dict[str, Any] = {
    "get_outputs": OutputsAnswer, "find_outputs": OutputsThereAnswer, "list_unmeasured": UnmeasuredList,
}  # fmt: skip
ENDS = {"outputs_deletion_finished", "outputs_deletion_failed", "outputs_deletion_cancelled"}


@dataclass
class QueryDouble:
    """Answers the deleter's three questions from `runs`, as the contract says. A test changes `runs` as it likes."""

    runs: dict[str, Outputs] = field(default_factory=dict[str, Outputs])
    behind: int = 0
    """How many positions it is behind the log."""
    is_silent: bool = False
    unmeasured: list[Unmeasured] = field(default_factory=list[Unmeasured])
    asked: list[str] = field(default_factory=list[str])
    work_dirs: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, batch_id: str, output_dir: str | None, **more: Any) -> OwnedRun:
        """A run of ada's that has ended an hour ago."""
        ended = datetime.now(UTC) - timedelta(hours=1)
        fields: dict[str, Any] = {
            "batch_id": batch_id, "name": batch_id, "workspace": "lab", "user": "ada", "cluster": None,
            "status": "succeeded", "lifecycle_position": 100, "is_active": False, "ended_at": ended, "last_seen_at": ended, "output_dir": output_dir, "bytes": None,
            "objects": None, "measured_at": None, "deleted_at": None, "deletion_id": None, **more,
        }  # fmt: skip
        self.runs[batch_id] = run = Outputs(**fields)
        return OwnedRun(batch_id=batch_id, workspace=run.workspace, user=run.user)

    def change(self, batch_id: str, **fields: Any) -> None:
        self.runs[batch_id] = self.runs[batch_id].model_copy(update=fields)

    async def answer(self, message: Msg) -> None:
        name, question = message.subject.rpartition(".")[2], orjson.loads(message.data)
        self.asked.append(name)
        if self.is_silent:
            return
        assert question["viewer"]["all_workspaces"] is True
        if name == "get_outputs":
            items: list[Any] = [self.runs[one] for one in question["batch_ids"] if one in self.runs]
        elif name == "find_outputs":
            items = [one for one in self._there(question["location"]) if one.batch_id != question["but_for"]]
        else:
            places = [one.cursor for one in self.unmeasured]
            start = places.index(question["behind"]) + 1 if question["behind"] in places else 0
            items = self.unmeasured[start : start + question["limit"]]
        position = (question["after"] or 0) - self.behind
        rates = {"rates": RATES} if name == "get_outputs" else {}
        answer = ANSWERS[name](position=position, items=items, **rates).model_dump(mode="json")
        await message.respond(Envelope(answer=answer).model_dump_json().encode())

    def _there(self, location: str) -> Iterable[OutputsThere]:
        where = root(location)
        folders = [(run, run.output_dir, False) for run in self.runs.values() if run.deleted_at is None]
        folders += [(self.runs[one], folder, True) for one, folder in self.work_dirs.items()]
        for run, folder, is_work_dir in folders:
            if folder and _overlaps(folder, where):
                yield OutputsThere(
                    batch_id=run.batch_id, name=run.name, workspace=run.workspace, user=run.user, status=run.status,
                    folder=str(root(folder)), is_work_dir=is_work_dir, bytes=None,
                )  # fmt: skip


def _overlaps(folder: str, where: Location) -> bool:
    try:
        return root(folder).overlaps(where)
    except StrangeLocation:
        return False


@dataclass
class Rig:
    """What surrounds a deleter, and how a test talks to it."""

    nats: Client
    query: QueryDouble
    database: Database
    env: dict[str, str]
    store_env: dict[str, str]
    start_service: Callable[..., ServiceProcess]

    def start(self, **settings: str) -> ServiceProcess:
        """One more deleter. Without grace and quiet times, but for what `settings` say. One that will be killed has the time to answer
        the command first: an answer waits for its facts to be in the log, and nobody appends them here."""
        grace = {"ARGUS_DELETION_GRACE_S": "2"} if "ARGUS_TEST_FAILPOINTS" in settings else {}
        return self.start_service("argus-deleter", {**self.env, **grace, **settings})

    @property
    def s3(self) -> Any:
        return s3_client(self.store_env)

    def put(self, *keys: str, body: bytes = b"0123456789") -> None:
        put_objects(self.s3, BUCKET, keys, body)

    def keys(self, prefix: str = "") -> set[str]:
        return {
            one["Key"]
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
            for one in page.get("Contents", ())
        }

    def canary(self, without: str = "\0") -> tuple[int, str]:
        return canary(self.s3, BUCKET, without)

    async def command(self, verb: str, command: DeleteOutputs | CancelOutputsDeletion | MeasureOutputs) -> Decision:
        return Decision.model_validate_json(
            await self.say(verb, command.command_id, command.model_dump_json().encode())
        )

    async def say(self, verb: str, command_id: UUID, raw: bytes, within: float = 30) -> bytes:
        """The answer to a command."""
        heard = await self.nats.subscribe(decided_subject(str(command_id)))
        try:
            await settled(self.nats)
            await self.nats.jetstream().publish(command_subject("deleter", verb), raw, stream=COMMANDS_STREAM)
            return (await heard.next_msg(within)).data
        finally:
            await heard.unsubscribe()

    def deletion_of(self, *runs: OwnedRun, **more: Any) -> DeleteOutputs:
        fields = {"command_id": uuid4(), "requested_by": "ada", "requested_at": datetime.now(UTC), **more}
        return DeleteOutputs(runs=list(runs), **fields)

    async def delete(self, *runs: OwnedRun, **more: Any) -> Decision:
        return await self.command("delete", self.deletion_of(*runs, **more))

    async def cancel(self, deletion_id: str, run: OwnedRun, *, waits: bool = True) -> Decision | None:
        """waits=False: it is in the stream, and whoever takes it up later decides."""
        command = CancelOutputsDeletion(
            command_id=uuid4(), requested_by="eve", requested_at=datetime.now(UTC), deletion_id=deletion_id, run=run
        )
        if waits:
            return await self.command("cancel", command)
        raw = command.model_dump_json().encode()
        await self.nats.jetstream().publish(command_subject("deleter", "cancel"), raw, stream=COMMANDS_STREAM)
        return None

    async def measure(self, *runs: OwnedRun) -> Decision:
        return await self.command(
            "measure",
            MeasureOutputs(command_id=uuid4(), requested_by="ada", requested_at=datetime.now(UTC), runs=list(runs)),
        )

    async def preview(self, *runs: OwnedRun) -> DeletionPreview:
        question = PreviewDeletion(runs=list(runs)).model_dump_json().encode()
        reply = await self.nats.request(ask_subject("preview_deletion"), question, timeout=30)
        envelope = Envelope.model_validate_json(reply.data)
        assert envelope.problem is None, envelope.problem
        return DeletionPreview.model_validate(envelope.answer)

    async def facts(self, batch_id: str) -> list[dict[str, Any]]:
        """All about a run that has been said to the log, each once, in the order of its first time; checked by the contract."""
        found: dict[str, dict[str, Any]] = {}
        stream = self.nats.jetstream()
        last = (await stream.stream_info(EVENTS_STREAM)).state.last_seq
        for number in range(1, last + 1):
            message = await stream.get_msg(EVENTS_STREAM, number)
            assert parse_event_subject(message.subject or "").service == "deleter"
            for event in orjson.loads(message.data or b"")["events"]:
                parse_event(event)
                if event["batch_id"] == batch_id:
                    found.setdefault(event["event_id"], event)
        return list(found.values())

    async def end_of(self, deletion_id: str | None, batch_id: str, within: float = 60) -> dict[str, Any]:
        """What the last fact of the deletion says."""
        assert deletion_id is not None

        async def ended() -> dict[str, Any] | None:
            return next(
                (
                    one["data"]
                    for one in await self.facts(batch_id)
                    if one["kind"] in ENDS and one["data"]["deletion_id"] == deletion_id
                ),
                None,
            )

        found = await eventually_async(ended, within, f"{deletion_id} has ended")
        assert found is not None
        return found

    async def kinds(self, batch_id: str) -> list[str]:
        return [fact["kind"].removeprefix("outputs_deletion_") for fact in await self.facts(batch_id)]


StartRig = Callable[[dict[str, str]], Awaitable[Rig]]


@pytest.fixture
async def around(
    nats_server: NatsServer, database: Database, start_service: Callable[..., ServiceProcess]
) -> AsyncIterator[StartRig]:
    """`await around(store_env)`: everything that a deleter needs, but the deleter."""
    with database.connect("ingest") as connection:
        for file in sorted(LOG_SQL.glob("0*.sql")):
            connection.execute(file.read_text())  # pyright: ignore[reportArgumentType]
        connection.execute("UPDATE log.head SET next_position = 1001")
    async with _clients(nats_server) as (admin, double):
        await admin.jetstream().add_stream(name=EVENTS_STREAM, subjects=[EVENTS_SUBJECTS])

        async def begin(store_env: dict[str, str]) -> Rig:
            env = nats_server.settings.env_for("deleter") | store_env
            env |= {
                "ARGUS_DATABASE_URL": database.deleter_url, "ARGUS_OUTPUT_ROOTS": f"s3://{BUCKET}/lab/",
                "ARGUS_DELETION_GRACE_S": "0", "ARGUS_DELETION_QUIET_S": "0", "ARGUS_MEASURE_EVERY_S": "0.5",
            }  # fmt: skip
            return Rig(admin, double, database, env, store_env, start_service)

        yield begin


@asynccontextmanager
async def _clients(server: NatsServer) -> AsyncIterator[tuple[Client, QueryDouble]]:
    async with nats_client(server) as admin, nats_client(server, "query") as query:
        double = QueryDouble()
        for name in ANSWERS:
            await query.subscribe(ask_subject(name), cb=double.answer)
        await settled(query)
        yield admin, double


@pytest.fixture
async def rig(around: StartRig, s3_server: S3Server) -> Rig:
    """Around a deleter on rclone's S3."""
    return await around(s3_server.settings.env())
