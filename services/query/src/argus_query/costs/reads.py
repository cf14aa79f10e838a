"""Answers about costs and prices."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from argus_contracts.queries.costs import (
    AttemptCost,
    Basis,
    CostReport,
    GetCost,
    ListPrices,
    PriceFact,
    PriceList,
    RunCosts,
)
from argus_query.costs import reading
from argus_query.costs.book import Book, Known
from argus_query.costs.division import Amount
from argus_query.costs.ledger import stretches
from argus_query.costs.money import usd_of
from argus_query.costs.prices import Price
from argus_query.costs.reading import SQL
from argus_query.costs.totals import Recorded, bill_of, newest
from argus_query.costs.usage import WASTED, Try
from argus_query.facts import micros_of, moment_of
from argus_query.fitting import n_that_fit
from argus_query.paging import decode_cursor, encode_cursor, moment_of_cursor
from argus_query.runs.reads import run_row
from argus_query.visibility import seen_by

MOST_ATTEMPTS = 1_000
MOST_REPORTS = 50
MOST_LOOKED_AT = 5_000
"""Attempts of the run and beside it, for one look at what was known at some moment: about 0.1 s."""
_LOOKED_AT_PER_ANSWER = 50_000
_ATTEMPTS_BYTES = 750_000
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


class TooMuch(Exception):
    """What was known of a run's costs earlier takes too many attempts to work out."""


async def get_cost(connection: AsyncConnection[Any], question: GetCost, position: int) -> RunCosts:
    row = await run_row(connection, question.batch_id, seen_by(question.viewer))
    bills = (await reading.records_of(connection, [question.batch_id])).get(question.batch_id, [])
    if question.as_of is not None:
        book = await _book(connection, question.batch_id, bills)
        if book is None:
            raise TooMuch("what was known earlier of a run with so many attempts is too much for one answer")
        return await asyncio.to_thread(_as_of, book, question.as_of, position)
    cost, wasted = row["state"].get("cost") or (None, None)
    billed = newest(bills)
    asked = [[job_id for job_id, _ in billed], [attempt for _, attempt in billed], question.batch_id]
    n_attempts, n_unpriced, n_running, if_spot = await _one(connection, "count_tries", asked)
    cursor = await connection.execute(SQL["first_tries"], [question.batch_id, MOST_ATTEMPTS])
    attempts = [_attempt(Try(*row[:12]), _amount(row[12:]), billed) async for row in cursor]
    history: list[CostReport] = []
    if n_attempts or bills:
        book = await _book(connection, question.batch_id, bills)
        history = _bills_alone(bills) if book is None else await asyncio.to_thread(_history, book, None)
    return RunCosts(
        position=position, batch_id=question.batch_id, as_of=None, cost_usd=cost, wasted_usd=wasted,
        if_all_spot_usd=None if if_spot is None else usd_of(int(if_spot)), n_attempts=n_attempts, n_unpriced=n_unpriced,
        n_running=n_running, attempts=_that_fit(attempts), history=history,
    )  # fmt: skip


async def list_prices(connection: AsyncConnection[Any], question: ListPrices, position: int) -> PriceList:
    """Errors: `BadCursor`."""
    behind: list[Any] = decode_cursor(question.cursor, 5) if question.cursor else [None] * 5
    if question.cursor:
        behind[3] = moment_of_cursor(behind[3])
    names = ("behind", "type", "capacity", "moment", "event_id")
    wanted = {
        **seen_by(question.viewer), "workspace": question.workspace, "limit": question.limit + 1, "latest": _LATEST,
        **dict(zip(names, behind, strict=True)),
    }  # fmt: skip
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(SQL["list_prices"], wanted)
    rows = await cursor.fetchall()
    items = [_price_fact(row) for row in rows[: question.limit]]
    last = items[-1] if len(rows) > question.limit else None
    place = last and (last.workspace, last.instance_type, last.capacity, last.effective_from.isoformat(), last.event_id)
    return PriceList(position=position, items=items, next_cursor=encode_cursor(*place) if place else None)


async def _book(connection: AsyncConnection[Any], batch_id: str, bills: list[Recorded]) -> Book | None:
    """None: it is too much. Who ran beside the run is looked up by what is known today."""
    usages = await reading.usages_of_batch(connection, batch_id, MOST_LOOKED_AT + 1)
    if len(usages) > MOST_LOOKED_AT:
        return None
    book = Book(batch_id, usages, [], bills)
    own = book.at().tries
    beside = await reading.overlapping_tries(connection, stretches(own))
    keys = {one.key[:3] for one in beside if one.batch_id != batch_id}
    if len(usages) + len(keys) > MOST_LOOKED_AT:
        return None
    usages |= await reading.usages_of(connection, keys)
    types = {
        (usage.workspace, said.about["instance_type"])
        for usage in usages.values()
        for said in usage.facts
        if "instance_type" in said.about
    }
    prices = sorted(await reading.prices_of(connection, types), key=lambda price: price.position)
    return Book(batch_id, usages, prices, bills)


def _as_of(book: Book, moment: datetime, position: int) -> RunCosts:
    until = micros_of(moment)
    known = book.at(until)
    billed = newest(known.bills)
    attempts = [_attempt(one, known.amounts.get(one.key), billed) for one in known.tries]
    over = [known.amounts[one.key] for one in known.tries if one.end is not None]
    if_spot = [amount.spot_nano_usd for amount in over if amount.spot_nano_usd is not None]
    return RunCosts(
        position=position, batch_id=book.batch_id, as_of=moment, cost_usd=usd_of(known.total.nano_usd),
        wasted_usd=usd_of(known.total.wasted),
        if_all_spot_usd=usd_of(sum(if_spot)) if over and len(if_spot) == len(over) else None, n_attempts=len(known.tries),
        n_unpriced=sum(one.basis in ("unknown_price", "partly") for one in attempts), n_running=len(known.tries) - len(over),
        attempts=_that_fit(attempts[:MOST_ATTEMPTS]), history=_history(book, until),
    )  # fmt: skip


def _history(book: Book, until: int | None) -> list[CostReport]:
    bills = [bill for bill in book.bills if until is None or bill.received <= until]
    most = min(MOST_REPORTS, max(1, _LOOKED_AT_PER_ANSWER // max(1, len(book.usages))))
    touching = book.touching(until, most)
    told: list[Recorded | Price] = sorted([*bills, *touching], key=lambda fact: fact.position)
    known: dict[int, Known] = {}
    last = told[-most:]
    for fact in last:
        if fact.received not in known:
            known[fact.received] = book.at(fact.received)
    return [_report(fact, known[fact.received]) for fact in last]


def _bills_alone(bills: list[Recorded]) -> list[CostReport]:
    """Of a run with too many attempts: what the bills say, without what was known after each."""
    return [_report(bill, None) for bill in bills[-MOST_REPORTS:]]


def _report(fact: Recorded | Price, known: Known | None) -> CostReport:
    said: dict[str, Any] = {
        "received_at": moment_of(fact.received), "position": fact.position, "event_id": fact.event_id,
        "cost_usd": None if known is None else usd_of(known.total.nano_usd),
        "wasted_usd": None if known is None else usd_of(known.total.wasted),
    }  # fmt: skip
    if isinstance(fact, Recorded):
        said |= {
            "kind": "cost_recorded", "recorded_at": moment_of(fact.at), "job_id": fact.job_id or None,
            "attempt": fact.attempt, "amount_usd": usd_of(fact.nano_usd), "basis": fact.basis,
        }  # fmt: skip
    else:
        said |= {
            "kind": "price_recorded", "recorded_at": moment_of(fact.recorded_at), "instance_type": fact.instance_type,
            "capacity": fact.capacity, "usd_per_hour": usd_of(fact.nano_usd_per_hour),
            "effective_from": moment_of(fact.effective_from), "recorded_by": fact.recorded_by,
        }  # fmt: skip
    return CostReport.model_validate(said)


def _attempt(one: Try, amount: Amount | None, billed: dict[tuple[str, int | None], Recorded]) -> AttemptCost:
    bill = bill_of(one.job_id, one.attempt, billed)
    basis: Basis = "computed"
    if bill is not None:
        basis = "recorded"
    elif one.end is None or amount is None:
        basis = "running"
    elif amount.nano_usd is None:
        basis = "unknown_price"
    elif amount.partly:
        basis = "partly"
    return AttemptCost.model_validate({
        "job_id": one.job_id or None, "attempt": one.attempt, "number": one.number, "host": one.host,
        "instance_type": one.instance_type, "capacity": one.capacity,
        "cpus": None if one.milli_cpus is None else one.milli_cpus / 1000, "started_at": moment_of(one.start),
        "ended_at": None if one.end is None else moment_of(one.end), "outcome": one.outcome,
        "wasted": one.outcome in WASTED, "host_seconds": None if amount is None else amount.share_us / 1_000_000,
        "cost_usd": usd_of(amount.nano_usd) if amount else None,
        "if_spot_usd": usd_of(amount.spot_nano_usd) if amount else None, "basis": basis,
        "bill": None if bill is None else {"scope": bill[0], "amount_usd": usd_of(bill[1].nano_usd)},
    })  # fmt: skip


def _that_fit(attempts: list[AttemptCost]) -> list[AttemptCost]:
    return attempts[: n_that_fit([attempt.model_dump_json() for attempt in attempts], _ATTEMPTS_BYTES)]


def _amount(row: Any) -> Amount | None:
    return None if row[0] is None else Amount(*row)


def _price_fact(row: dict[str, Any]) -> PriceFact:
    moments = ("effective_from", "recorded_at", "received_at")
    row |= {name: row[name].astimezone(UTC) for name in moments}
    return PriceFact(usd_per_hour=usd_of(row.pop("nano_usd_per_hour")) or 0.0, **row)


async def _one(connection: AsyncConnection[Any], statement: str, arguments: list[Any]) -> Any:
    return await (await connection.execute(SQL[statement], arguments)).fetchone()
