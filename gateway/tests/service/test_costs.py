"""Prices come in through one door, and runs cost what they say."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from argus_contracts.queries.costs import PriceList, RunCosts
from argus_testkit.waiting import eventually


@pytest.fixture(scope="module")
def lab(door):
    """A workspace with an administrator and a member."""
    workspace = door.new_workspace()
    return workspace, door.new_person(workspace, role="admin"), door.new_person(workspace)


def said(workspace: str, usd: float, **more: Any) -> dict[str, Any]:
    return {
        "workspace": workspace, "instance_type": "p4d", "capacity": "spot", "usd_per_hour": usd,
        "effective_from": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def test_a_run_costs_what_the_price_says_and_later_what_it_is_restated_to(door, event, lab):
    workspace, administrator, member = lab
    first = administrator.post("/api/prices", json=said(workspace, 10.0))
    assert first.status_code == 202, first.text
    batch = f"cost-{uuid.uuid4().hex[:10]}"
    machine = {"host": "n1", "instance_type": "p4d", "capacity": "spot", "cpus": 8.0}
    told = [
        event("batch_start", batch, occurred_at="2026-11-21T03:00:00Z"),
        event("job_start", batch, job_id="j", occurred_at="2026-11-21T03:00:00Z", data=machine),
        event("job_failed", batch, job_id="j", occurred_at="2026-11-21T03:30:00Z"),
        event("batch_failed", batch, occurred_at="2026-11-21T03:30:00Z"),
    ]
    assert member.post("/api/events/batch", json=told).json()["rejected"] == 0

    def cost() -> Any:
        answer = member.get(f"/api/batches/{batch}/cost")
        return RunCosts.model_validate_json(answer.content) if answer.status_code == 200 else None

    eventually(lambda: (found := cost()) and (found.cost_usd, found.wasted_usd) == (5.0, 5.0), within=60)
    restated = administrator.post("/api/prices", json=said(workspace, 12.0)).json()["event_id"]
    eventually(lambda: (found := cost()) and found.cost_usd == 6.0, within=60)
    [report] = cost().history
    assert (report.event_id, report.cost_usd, report.recorded_by) == (restated, 6.0, administrator.name)
    before = member.get(f"/api/batches/{batch}/cost", params={"as_of": "2026-01-01T00:00:00Z"})
    assert (before.status_code, before.json()["cost_usd"]) == (200, None)
    prices = PriceList.model_validate_json(member.get("/api/prices").content).items
    assert {(price.event_id, price.counts) for price in prices} == {(first.json()["event_id"], False), (restated, True)}
    audited = door.sql(
        "SELECT actor, result FROM identity.audit_entries WHERE action = 'record_price' AND subject = %s", workspace
    )
    assert audited == [(administrator.name, "done")] * 2


@pytest.mark.parametrize(
    "wrong",
    [{"usd_per_hour": -1}, {"capacity": "cheap"}, {"effective_from": "2026-01-01"}, {"instance_type": ""}, {"more": 1}, {"instance_type": "a\x00"}],
)  # fmt: skip
def test_a_price_that_is_none_is_refused(lab, wrong):
    workspace, administrator, _ = lab
    assert administrator.post("/api/prices", json=said(workspace, 1.0, **wrong)).status_code == 422


def test_nobody_posts_a_price_or_a_run_of_that_name_as_events(event, lab):
    workspace, administrator, _ = lab
    data = {**said(workspace, 1.0), "recorded_by": "eve"}
    for one in (event("price_recorded", "argus:prices", data=data), event("batch_start", "argus:prices")):
        answer = administrator.post("/api/events", json=one)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_yours_to_say")
