"""Commands that can never be decided make room for others; those that wait for a neighbour are kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import orjson
import psycopg
import pytest

from argus_contracts.commands import Decision
from argus_deleter.decisions import is_of_content
from argus_deleter.errors import NotStored, Unavailable
from argus_deleter.measures import Measures
from argus_deleter.receive import TRIES, Receiver

COMMAND_ID = uuid4()
RUN = {"batch_id": "b1", "workspace": "lab", "user": "ada"}
RAW = orjson.dumps(
    {"command_id": str(COMMAND_ID), "requested_by": "ada", "requested_at": "2026-11-22T03:00:00Z", "runs": [RUN]}
)


class Command:
    """A message of the stream, and what became of it."""

    def __init__(self, raw: bytes = RAW) -> None:
        self.subject, self.data = "argus.commands.deleter.delete", raw
        self.said: list[Decision] = []
        self.n_given_back = self.n_acked = 0
        self._client = self

    @property
    def metadata(self) -> Any:
        return SimpleNamespace(num_delivered=self.n_given_back + 1, sequence=SimpleNamespace(stream=7))

    async def publish(self, subject: str, raw: bytes) -> None:
        self.said.append(Decision.model_validate_json(raw))

    async def ack(self) -> None:
        self.n_acked += 1

    async def nak(self, delay: float) -> None:
        assert 0 < delay <= 30
        self.n_given_back += 1


class Failing:
    """Decides nothing: fails with the next of `errors`, then with the last one for ever."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def decide(self, command: Any, raw: bytes) -> Decision:
        raise self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]


class Kept:
    def __init__(self) -> None:
        self.buried: list[dict[str, Any]] = []

    def write(self, name: str, **values: Any) -> int:
        assert name == "bury_command"
        assert "\0" not in values["reason"]
        values["reason"].encode()
        self.buried.append(values)
        return 1


def receiver(*errors: Exception) -> tuple[Any, Kept]:
    kept = Kept()
    settings = SimpleNamespace(commands_ack_wait_s=30)
    return Receiver(cast("Any", None), cast("Any", Failing(*errors)), cast("Any", kept), Measures(), cast("Any", settings)), kept  # fmt: skip


@pytest.mark.parametrize("error", [NotStored("no"), RuntimeError("a\0b"), psycopg.DataError("no")])
async def test_what_can_never_be_decided_is_kept_refused_and_acknowledged(error: Exception) -> None:
    one, kept = receiver(error)
    command = Command()
    for _ in range(TRIES):
        assert not command.n_acked
        await one._receive(command)
    assert (command.n_given_back, command.n_acked) == (TRIES - 1, 1)
    assert [(said.outcome, said.command_id) for said in command.said] == [("refused", COMMAND_ID)]
    assert (command.said[0].reason or "").startswith("it cannot be decided")
    assert [row["raw"] for row in kept.buried] == [RAW]


async def test_what_waits_for_a_neighbour_waits_for_ever_and_is_not_counted() -> None:
    one, kept = receiver(*[Unavailable("away")] * 30, *[RuntimeError()] * (TRIES - 1), Unavailable("away"))
    command = Command()
    for _ in range(50):
        await one._receive(command)
    assert (command.n_given_back, command.n_acked, kept.buried) == (50, 0, [])


async def test_a_reason_that_no_text_can_hold() -> None:
    one, kept = receiver(RuntimeError())
    command = Command(orjson.dumps({"command_id": str(COMMAND_ID), "a\0": 1}))
    await one._receive(command)
    assert (command.n_acked, len(kept.buried), command.said[0].outcome) == (1, 1, "refused")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.errors.UntranslatableCharacter(), True), (psycopg.errors.CheckViolation(), True),
        (psycopg.errors.ProgramLimitExceeded(), True), (psycopg.ProgrammingError("cannot adapt"), True),
        (psycopg.errors.UndefinedTable(), False), (psycopg.errors.InsufficientPrivilege(), False),
        (psycopg.errors.ReadOnlySqlTransaction(), False), (psycopg.errors.DiskFull(), False),
        (psycopg.errors.DeadlockDetected(), False), (psycopg.OperationalError("the connection is lost"), False),
        (psycopg.InterfaceError("the connection is closed"), False), (OSError(), False), (None, False),
    ],
)  # fmt: skip
def test_what_the_database_says_is_told_apart(error: Exception | None, expected: bool) -> None:
    assert is_of_content(error) is expected
