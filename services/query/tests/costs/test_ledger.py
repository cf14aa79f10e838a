"""The ledger on a real Postgres: what runs cost, whatever the order of facts and the cut of folds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from argus_contracts.queries.common import Viewer
from argus_contracts.queries.costs import GetCost, ListPrices
from argus_query.costs import ledger
from argus_query.costs.reads import get_cost, list_prices
from argus_query.models import all_models, models_named
from argus_query.paging import BadCursor, encode_cursor
from argus_query.rebuild import differences
from argus_query.runs import projection
from argus_query.schemas import LIVE, use_schema
from argus_query.visibility import NotFound
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
HOUR = 3600
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
BIG: dict[str, Any] = {"host": "h1", "instance_type": "big", "capacity": "on-demand"}


def price(
    event: Event, usd: float, capacity: str = "on-demand", since: str = "2026-01-01", **more: Any
) -> dict[str, Any]:
    """Of a `big` in the workspace `lab`."""
    said = {
        "workspace": "lab", "instance_type": "big", "capacity": capacity, "usd_per_hour": usd,
        "effective_from": f"{since}T00:00:00Z", "recorded_by": "ada",
    }  # fmt: skip
    at = more.pop("at", 0)
    return event("price_recorded", "argus:prices", None, at, **{**said, **more})


def used(
    event: Event, about: tuple[str, str], start: float, end: float, how: str = "done", **more: Any
) -> list[dict[str, Any]]:
    """A job (run and name) that ran from `start` to `end`, in hours."""
    attempt = more.pop("attempt", 1)
    return [
        event("job_start", *about, start * HOUR, attempt, **{**BIG, "cpus": 4.0, **more}),
        event(f"job_{how}", *about, end * HOUR, attempt),
    ]


async def costs_of(live: Any) -> dict[str, tuple[float | None, float | None]]:
    rows = await live.rows("SELECT batch_id, state -> 'cost' FROM read.run_states ORDER BY 1")
    return {batch_id: tuple(cost) for batch_id, cost in rows if cost is not None}


async def test_an_attempt_pays_for_its_machine(database: Database, log: Any, open_live: Any, event: Event) -> None:
    log.append([price(event, 3.0), event("batch_start"), *used(event, ("b1", "j"), 0, 2)])
    async with open_live(database) as live:
        await live.project()
        assert await live.rows("SELECT traceback FROM read.projection_failures") == []
        assert await costs_of(live) == {"b1": (6.0, 0.0)}


async def test_runs_that_name_no_machine_have_no_rows(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append(
        [
            price(event, 3.0),
            event("batch_start"),
            event("job_start", "b1", "j", host="h1"),
            event("job_done", "b1", "j", 5),
        ]
    )
    async with open_live(database) as live:
        await live.project()
        assert await costs_of(live) == {}
        assert await live.rows("SELECT * FROM read.cost_usages") == []


async def test_a_late_attempt_on_a_shared_host_changes_what_another_run_costs(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([price(event, 3.0), event("batch_start", "a"), *used(event, ("a", "j"), 0, 2)])
    async with open_live(database) as live:
        await live.project()
        live.folder.forget()
        log.append([event("batch_start", "b"), *used(event, ("b", "j"), 1, 3, cpus=12.0)])
        await live.project()
        # The second hour is shared 4 to 12.
        assert await costs_of(live) == {"a": (3.75, 0.0), "b": (5.25, 0.0)}
        log.append([event("run_purged", "b", purged_by="eve")])
        await live.project()
        assert await costs_of(live) == {"a": (6.0, 0.0)}
    assert await differences(database.query_url, models_named("runs")) == []


async def test_a_restated_price_restates_what_it_touches(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([price(event, 3.0), event("batch_start", "a"), *used(event, ("a", "j"), 0, 2)])
    log.append([event("batch_start", "b"), *used(event, ("b", "j"), 30, 31)])
    async with open_live(database) as live:
        await live.project()
        log.append([price(event, 30.0, at=10, since="2026-11-22")])
        await live.project()
        assert await costs_of(live) == {"a": (6.0, 0.0), "b": (30.0, 0.0)}
        log.append([price(event, 5.0, at=20)])
        await live.project()
        assert await costs_of(live) == {"a": (10.0, 0.0), "b": (30.0, 0.0)}
        log.append([price(event, 4.0, at=15)])  # late: it was restated since
        await live.project()
        assert await costs_of(live) == {"a": (10.0, 0.0), "b": (30.0, 0.0)}


async def test_a_resumed_run_pays_for_each_attempt_once(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([
        price(event, 1.0), event("batch_start"), *used(event, ("b1", "j"), 0, 2, "failed"),
        event("batch_start", at=5 * HOUR, attempt=2), *used(event, ("b1", "j"), 5, 6, attempt=2),
        event("job_cached", "b1", "k", 5 * HOUR, 2), event("batch_done", at=6 * HOUR, attempt=2),
    ])  # fmt: skip
    async with open_live(database) as live:
        await live.project()
        assert await costs_of(live) == {"b1": (3.0, 2.0)}


async def test_what_has_no_end_of_its_own_ends_with_its_run(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([price(event, 1.0), event("batch_start"), event("job_start", "b1", "j", 0, **BIG)])
    async with open_live(database) as live:
        await live.project()
        assert await costs_of(live) == {"b1": (None, None)}
        log.append([event("batch_failed", at=3 * HOUR)])
        await live.project()
        assert await costs_of(live) == {"b1": (3.0, 3.0)}


async def test_a_run_without_jobs_pays_itself(database: Database, log: Any, open_live: Any, event: Event) -> None:
    log.append([price(event, 1.0), event("batch_start", **BIG, cpus=2.0), event("batch_done", at=2 * HOUR)])
    async with open_live(database) as live:
        await live.project()
        assert await costs_of(live) == {"b1": (2.0, 0.0)}
        log.append(
            [event("job_start", "b1", "j", HOUR), event("job_done", "b1", "j", 2 * HOUR)]
        )  # late: then its job does
        await live.project()
        assert await costs_of(live) == {"b1": (1.0, 0.0)}


async def test_a_bill_replaces_what_was_worked_out(database: Database, log: Any, open_live: Any, event: Event) -> None:
    log.append(
        [
            price(event, 1.0),
            event("batch_start"),
            *used(event, ("b1", "j"), 0, 2),
            *used(event, ("b1", "k"), 3, 4, "failed"),
        ]
    )
    async with open_live(database) as live:
        await live.project()
        assert await costs_of(live) == {"b1": (3.0, 1.0)}
        log.append([event("cost_recorded", "b1", "j", 9 * HOUR, amount_usd=0.5)])
        await live.project()
        assert await costs_of(live) == {"b1": (1.5, 1.0)}
        log.append([event("cost_recorded", "b1", None, 9 * HOUR, amount_usd=6.0)])
        await live.project()
        assert await costs_of(live) == {"b1": (6.0, 4.0)}
        log.append([event("cost_recorded", "b1", None, 8 * HOUR, amount_usd=7.0)])  # late: an older word
        await live.project()
        assert await costs_of(live) == {"b1": (6.0, 4.0)}


async def test_a_bill_of_a_run_that_names_no_machine(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append([event("batch_start"), event("job_start", "b1", "j"), event("batch_failed", at=5)])
    async with open_live(database) as live:
        await live.project()
        live.folder.forget()
        log.append([event("cost_recorded", "b1", None, 9, amount_usd=0.5)])
        await live.project()
        assert await costs_of(live) == {"b1": (0.5, 0.5)}


async def test_what_a_run_said_before_it_named_a_machine_is_known(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    """The end comes first, the start in another fold."""
    start, end = used(event, ("b1", "j"), 0, 2, "failed")
    log.append([price(event, 1.0), event("batch_start"), end])
    async with open_live(database) as live:
        await live.project()
        log.append([start])
        await live.project()
        assert await costs_of(live) == {"b1": (2.0, 2.0)}


def a_cloudy_day(event: Event, random: Random) -> list[dict[str, Any]]:
    """Runs that share hosts, with resumes, retries, bills and prices that are restated, in a random order."""
    told: list[dict[str, Any]] = []
    for _ in range(random.randrange(6)):
        kind = random.choice(["big", "small"])
        told.append(price(event, random.randrange(1, 50) / 10, random.choice(["spot", "on-demand"]), at=random.randrange(99),
                          since=random.choice(["2026-01-01", "2026-11-21", "2026-11-22"]), instance_type=kind))  # fmt: skip
    for run in range(5):
        batch = f"run-{run}"
        for attempt in range(1, random.choice([1, 1, 2]) + 1):
            base = (attempt - 1) * 20 * HOUR
            machine = {"host": "h1", "instance_type": "big"} if random.random() < 0.3 else {}
            told.append(event("batch_start", batch, at=base + random.randrange(HOUR), attempt=attempt, **machine))
            for job in range(random.randrange(4)):
                for _ in range(random.choice([1, 1, 2])):
                    start = base + random.randrange(12 * HOUR)
                    machine = {
                        "host": random.choice(["h1", "h2", None]), "instance_type": random.choice(["big", "small", None]),
                        "capacity": random.choice(["spot", "on-demand", None]), "cpus": random.choice([1.0, 7.0, None]),
                    }  # fmt: skip
                    said = {name: value for name, value in machine.items() if value is not None}
                    if random.random() < 0.3:
                        told.append(event("job_submitted", batch, f"j{job}", start - 60, attempt, cpus=2.0))
                    told.append(event("job_start", batch, f"j{job}", start, attempt, **said))
                    if random.random() < 0.8:
                        end = random.choice(["job_done", "job_failed", "job_aborted"])
                        told.append(event(end, batch, f"j{job}", start + random.randrange(9 * HOUR), attempt))
            if random.random() < 0.7:
                end = random.choice(["batch_done", "batch_failed", "batch_aborted"])
                told.append(event(end, batch, at=base + 19 * HOUR, attempt=attempt))
        if random.random() < 0.2:
            told.append(
                event(
                    "cost_recorded", batch, random.choice([None, "j0"]), 90 * HOUR, amount_usd=random.randrange(9) / 4
                )
            )
    random.shuffle(told)
    return told


@pytest.fixture(params=range(6))
def seed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Every other one with pieces as small as if there were very many."""
    if request.param % 2:
        monkeypatch.setattr(ledger, "_AT_ONCE", 3)
        monkeypatch.setattr(projection, "_COSTS_AT_ONCE", 2)
    return request.param


async def test_costs_do_not_depend_on_the_order_of_facts_or_the_cut_of_folds(
    database: Database, log: Any, open_live: Any, event: Event, seed: int
) -> None:
    random = Random(seed)
    told = a_cloudy_day(event, random)
    async with open_live(database) as live:
        for start in range(0, len(told), 7):
            log.append(told[start : start + 7], received_at=NOW + timedelta(minutes=start))
            if random.random() < 0.3:
                live.folder.forget()
            await live.project(max_events=random.choice([1, 2, 50]))
        assert await live.rows("SELECT traceback FROM read.projection_failures") == []
        assert await differences(database.query_url, models_named("runs")) == []
        found = await costs_of(live)
        tries = await live.rows("SELECT * FROM read.cost_tries ORDER BY 1, 2, 3, 4")
        # The same facts about other runs in other words and another order, in one fold.
        again = [{**said, "batch_id": said["batch_id"].replace("run-", "sun-")} for said in told]
        again = [
            {**said, "data": {**said["data"], **({"host": "x" + said["data"]["host"]} if "host" in said["data"] else {})}}
            for said in again if said["kind"] != "price_recorded"
        ]  # fmt: skip
        random.shuffle(again)
        log.append(again, received_at=NOW + timedelta(days=1))
        await live.project()
        both = await costs_of(live)
        assert {k.replace("sun-", "run-"): v for k, v in both.items() if k.startswith("sun-")} == found
        assert {k: v for k, v in both.items() if k.startswith("run-")} == found
        assert await live.rows("SELECT * FROM read.cost_tries WHERE batch_id LIKE 'run-%' ORDER BY 1, 2, 3, 4") == tries
        log.append([event("run_purged", "run-1", purged_by="eve")], received_at=NOW + timedelta(days=2))
        await live.project()
        assert "run-1" not in await costs_of(live)
    assert await differences(database.query_url, all_models()) == []


async def test_what_was_reported_then_is_known_for_ever(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    def at(minute: int) -> datetime:
        return NOW + timedelta(minutes=minute)

    log.append([price(event, 1.0), price(event, 0.25, "spot")], received_at=at(0))
    log.append(
        [event("batch_start", "a"), *used(event, ("a", "j"), 0, 2), event("batch_done", "a", at=2 * HOUR)],
        received_at=at(1),
    )
    log.append([price(event, 2.0, at=1)], received_at=at(2))
    log.append([event("batch_start", "b"), *used(event, ("b", "k"), 1, 2, "failed")], received_at=at(3))
    log.append([event("cost_recorded", "a", None, 9 * HOUR, amount_usd=8.0, basis="invoice")], received_at=at(4))
    log.append([event("cost_recorded", "a", None, 10 * HOUR, amount_usd=7.0)], received_at=at(5))
    async with open_live(database) as live:
        await live.project()

        async def cost(batch: str, as_of: datetime | None = None) -> Any:
            asked = GetCost(viewer=Viewer(user="ada", workspaces=["lab"]), batch_id=batch, as_of=as_of)
            async with live.writer.transaction():
                await use_schema(live.writer, LIVE)
                return await get_cost(live.writer, asked, 1)

        now = await cost("a")
        assert (now.cost_usd, now.wasted_usd, now.if_all_spot_usd) == (7.0, 0.0, 0.375)
        [attempt] = now.attempts
        assert (attempt.cost_usd, attempt.host_seconds, attempt.basis, attempt.cpus) == (
            3.0,
            1.5 * HOUR,
            "recorded",
            4.0,
        )
        assert (attempt.bill.scope, attempt.bill.amount_usd) == ("run", 7.0)
        assert [(report.kind, report.cost_usd) for report in now.history] == [
            ("price_recorded", 4.0), ("cost_recorded", 8.0), ("cost_recorded", 7.0),
        ]  # fmt: skip
        # Reported when: nothing, 2 h at the first price, at the restated one, with the other half of the second hour, the bills.
        known = [(await cost("a", at(minute))).cost_usd for minute in range(6)]
        assert known == [None, 2.0, 4.0, 3.0, 8.0, 7.0]
        then = await cost("a", at(2))
        assert (then.if_all_spot_usd, [report.cost_usd for report in then.history]) == (0.5, [4.0])
        other = await cost("b")
        assert (other.cost_usd, other.wasted_usd, other.attempts[0].wasted, other.history) == (1.0, 1.0, True, [])
        with pytest.raises(NotFound):
            await cost("c")


async def test_an_attempt_names_the_widest_bill_that_counts_for_it(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    """And what is billed lacks no price."""
    told = [
        event("batch_start", "a"),
        *used(event, ("a", "j"), 0, 1),
        *used(event, ("a", "k"), 0, 1),
        *used(event, ("a", "l"), 0, 1),
    ]
    log.append(told)
    bills = [("j", {"amount_usd": 1.0}), ("k", {"amount_usd": 2.0})]
    log.append([event("cost_recorded", "a", job, 3 * HOUR, **said) for job, said in bills])
    async with open_live(database) as live:

        async def cost() -> tuple[int, list[tuple[str, str] | None]]:
            await live.project()
            asked = GetCost(viewer=Viewer(user="ada", workspaces=["lab"]), batch_id="a")
            async with live.writer.transaction():
                await use_schema(live.writer, LIVE)
                found = await get_cost(live.writer, asked, 1)
            return found.n_unpriced, [one.bill and (one.job_id, one.bill.scope) for one in found.attempts]

        assert await cost() == (1, [("j", "attempt"), ("k", "attempt"), None])
        log.append([event("cost_recorded", "a", None, 9 * HOUR, amount_usd=8.0)])
        assert await cost() == (0, [("j", "run"), ("k", "run"), ("l", "run")])


async def test_prices_are_listed_with_those_that_were_restated(
    database: Database, log: Any, open_live: Any, event: Event
) -> None:
    log.append(
        [price(event, 1.0), price(event, 2.0, at=1), price(event, 3.0, since="2026-02-01"), price(event, 0.5, "spot")]
    )
    log.append([price(event, 9.0, workspace="elsewhere")], workspace="elsewhere")
    async with open_live(database) as live:
        await live.project()

        async def listed(**more: Any) -> Any:
            asked = ListPrices(viewer=Viewer(user="ada", workspaces=["lab"]), **more)
            async with live.writer.transaction():
                await use_schema(live.writer, LIVE)
                return await list_prices(live.writer, asked, 1)

        expected = [(3.0, True), (1.0, False), (2.0, True), (0.5, True)]
        whole = (await listed()).items
        assert [(item.usd_per_hour, item.counts) for item in whole] == expected
        paged, cursor = [], None
        for _ in expected:
            answer = await listed(limit=1, cursor=cursor)
            paged, cursor = [*paged, *answer.items], answer.next_cursor
        assert (paged, cursor) == (whole, None)
        with pytest.raises(BadCursor):
            await listed(cursor=encode_cursor("lab", "a100", "spot", "yesterday", "id"))
        assert (await listed(workspace="elsewhere")).items == []
