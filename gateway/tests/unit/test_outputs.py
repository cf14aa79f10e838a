"""What a request about outputs is told of each run that it names."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from argus_contracts.commands import Decision, RunDecision, deletion_id_of
from argus_contracts.queries.outputs import Outputs
from argus_gateway.bodies import DeletionRequest
from argus_gateway.routes.outputs import _result

MINE = [
    Outputs(
        batch_id=batch_id, name=batch_id, workspace="lab", user="ada", cluster=None, status="succeeded", ended_at=None, lifecycle_position=1, is_active=False,
        last_seen_at=datetime.now(UTC), output_dir="s3://b/x", bytes=None, objects=None, measured_at=None, deleted_at=None,
        deletion_id=None,
    )
    for batch_id in ("b1", "b2")
]  # fmt: skip
BODY = DeletionRequest(batch_ids=["b1", "b2", "b3"], confirm="delete 3 runs")
COMMAND = uuid4()


def test_what_waits_for_its_decision_counts_as_taken() -> None:
    told = _result(BODY, MINE, Decision(command_id=COMMAND, outcome="queued"))
    assert (told.n_taken, told.n_skipped) == (2, 1)
    assert [one.deletion_id for one in told.results] == [
        deletion_id_of(COMMAND, "b1"), deletion_id_of(COMMAND, "b2"), None,
    ]  # fmt: skip
    assert [one.skipped for one in told.results] == [None, None, "not_found"]


def test_what_a_decision_does_not_name_was_not_taken() -> None:
    """As where the client's `command_id` was another request's, or where the command could not be read."""
    other = Decision(command_id=COMMAND, outcome="accepted", results=[RunDecision(batch_id="b1", deletion_id="d")])
    told = _result(BODY, MINE, other)
    assert [one.skipped for one in told.results] == [None, "unavailable", "not_found"]
    assert told.n_taken == 1
    refused = _result(BODY, MINE, Decision(command_id=COMMAND, outcome="refused", reason="runs: too many"))
    assert (refused.n_taken, [one.detail for one in refused.results[:2]]) == (0, ["runs: too many"] * 2)
