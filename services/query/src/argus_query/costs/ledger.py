"""Folds records of the log into the ledger: who used which machine when, and what that costs.

What a run costs depends on others: on who shared its machines, and on prices. So a fold may change the costs of runs that it does
not tell of. Whatever it changes is worked out anew from the rows of all who were there, never from a sum of before: so the
order of facts and the cut of folds do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from argus_contracts.quantities import PRICES
from argus_query.costs import reading
from argus_query.costs.division import divided
from argus_query.costs.money import nano_of, usd_of
from argus_query.costs.prices import Price
from argus_query.costs.reading import SQL, by_workspace, prices_of
from argus_query.costs.totals import NOTHING, Part, Total, total_of
from argus_query.costs.usage import KINDS, NAMING, Key, Try, Usage, in_vain, key_of, names_a_machine, said_by, tries_of
from argus_query.facts import micros, micros_of, moment_of, short_name
from argus_query.read_model import Record, purged_batches
from argus_query.sql import columns_of, json_text, load_text

_AT_ONCE = 2_000
"""So many tries are divided anew at a time: a price may touch a hundred thousand."""


class RunCost(NamedTuple):
    """None: nothing of it is known."""

    cost_usd: float | None
    wasted_usd: float | None


class Ledger:
    """Part of the read model of runs: their lists show what they cost."""

    tables = ("cost_usages", "cost_tries", "cost_records", "cost_prices")

    def __init__(self) -> None:
        self.forget()

    def schema(self) -> str:
        return load_text(__package__ or "", "schema.sql")

    def forget(self) -> None:
        self._told: list[Record] = []
        self._usages: dict[Key, Usage] = {}
        self._tries: dict[Key, list[Try]] = {}
        self._retold: set[str] = set()
        """Runs whose total may be another without any attempt that costs something else: new ones, billed ones, ended ones."""

    async def load(
        self, connection: AsyncConnection[Any], records: Sequence[Record], is_costed: Callable[[str], bool | None]
    ) -> None:
        """What `fold` must know for `records` is remembered.

        is_costed: whether a run is in the ledger; None where Argus has not heard of it before.
        """
        self.forget()
        begun = dict[str, int]()  # not in the ledger yet, with the position behind which we are told of it
        costed = set[str]()
        for record in records:
            if record.retention_class != "lifecycle" or record.batch_id in costed or record.batch_id in begun:
                continue
            if is_costed(record.batch_id):
                if any(event["kind"] in _TELLING for event in record.events):
                    costed.add(record.batch_id)
            elif _gets_into_the_ledger(record):
                begun[record.batch_id] = 0
        if not costed and not begun:
            return
        of_these = [
            r for r in records if r.retention_class == "lifecycle" and (r.batch_id in costed or r.batch_id in begun)
        ]
        for record in reversed(of_these):
            if record.batch_id in begun:
                begun[record.batch_id] = record.first_position
        known = {batch_id: before for batch_id, before in begun.items() if is_costed(batch_id) is not None}
        self._retold = {*begun, *(r.batch_id for r in of_these if any(map(_is_of_the_run_or_a_bill, r.events)))}
        self._told = [*await reading.earlier_records(connection, known), *of_these]
        if costed:
            telling = [e for r in of_these if r.batch_id in costed for e in r.events if e["kind"] in KINDS]
            jobs = {(event["batch_id"], event["job_id"]) for event in telling if event.get("job_id")}
            speaking = {event["batch_id"] for event in telling if not event.get("job_id")}
            self._usages = await reading.load_usages(connection, costed, jobs, speaking)
            self._tries = await reading.load_tries(connection, self._usages)

    async def fold(self, connection: AsyncConnection[Any], records: Sequence[Record]) -> dict[str, RunCost]:
        """The ledger now tells of `records` too. Answers what the runs cost whose costs may have changed."""
        prices = [price for record in records for price in _prices_in(record)]
        purged = set(purged_batches(records))
        if not (self._told or prices or purged):
            return {}
        changed = self._project(purged)
        gone = await reading.tries_of_batches(connection, purged)
        await self._store(connection, changed)
        if purged:
            for statement in ("delete_usages", "delete_tries_of_batches", "delete_records"):
                await connection.execute(SQL[statement], [list(purged)])
        before = [one for key in changed for one in self._tries.get(key, [])]
        now = [one for tries in changed.values() for one in tries]
        affected = (self._retold | {one.batch_id for one in (*before, *now) if one.end is not None}) - purged
        affected |= await self._divide_around(connection, [*before, *gone], now)
        if prices:
            await connection.execute(SQL["insert_prices"], columns_of([_price_row(price) for price in prices]))
            affected |= await self._divide_priced(connection, prices)
        self.forget()
        return await _costs(connection, affected)

    def _project(self, purged: set[str]) -> dict[Key, list[Try]]:
        """The attempts whose tries are others now than in the tables."""
        for record in self._told:
            if record.batch_id not in purged:
                self._project_record(record)
        of_batches: dict[str, dict[int, Usage]] = {}
        for usage in self._usages.values():
            if not usage.job_id:
                of_batches.setdefault(usage.batch_id, {})[usage.attempt] = usage
        tries = {key: tries_of(usage, of_batches.get(usage.batch_id, {})) for key, usage in self._usages.items()}
        return {key: now for key, now in tries.items() if now != self._tries.get(key, [])}

    def _project_record(self, record: Record) -> None:
        received = micros_of(record.received_at)
        for event, at in zip(record.events, record.times, strict=True):
            if event["kind"] not in KINDS:
                continue
            key = key_of(event)
            self._usage(key, record.workspace).add(said_by(event, at, received))
            if event["kind"] == "job_start":
                self._usage((key[0], "", key[2]), record.workspace).has_jobs(received)

    def _usage(self, key: Key, workspace: str) -> Usage:
        usage = self._usages.get(key)
        if usage is None:
            usage = self._usages[key] = Usage(*key, workspace)
        return usage

    async def _store(self, connection: AsyncConnection[Any], changed: dict[Key, list[Try]]) -> None:
        rows = [
            (*usage.key, usage.workspace, usage.depends(), json_text(usage.to_json()))
            for usage in self._usages.values()
            if usage.changed
        ]
        if rows:
            await connection.execute(SQL["upsert_usages"], columns_of(rows))
        known = [key for key in changed if key in self._tries]
        if known:
            await connection.execute(SQL["delete_tries"], columns_of(known))
        tries = [
            (*one[:9], moment_of(one.start), _moment(one.end), one.outcome) for now in changed.values() for one in now
        ]
        if tries:
            await connection.execute(SQL["insert_tries"], columns_of(tries))
        bills = [row for record in self._told for row in _bills_in(record)]
        if bills:
            await connection.execute(SQL["insert_records"], columns_of(bills))

    async def _divide_around(self, connection: AsyncConnection[Any], before: list[Try], now: list[Try]) -> set[str]:
        """What the tries `now` cost is known, and what it changes for others that there are such, and no longer those `before`."""
        dirty = {one.key: one for one in now if one.end is not None}
        for one in await reading.overlapping_tries(connection, stretches([*before, *now])):
            dirty[one.key] = one
        return await _divide(connection, list(dirty.values()))

    async def _divide_priced(self, connection: AsyncConnection[Any], prices: list[Price]) -> set[str]:
        """What all tries cost that these prices are about is known. In bounded pieces, but in one transaction: a list must
        not show half a price."""
        known = by_workspace(await prices_of(connection, {price[:2] for price in prices}))
        touched: dict[tuple[str, str], tuple[int, int | None]] = {}
        for price in prices:
            workspace, instance_type, capacity, since = price[:4]
            first, last = touched.get((workspace, instance_type), (since, since))
            until = known[workspace].next_change(instance_type, capacity, since)
            later = None if last is None or until is None else max(last, until)
            touched[workspace, instance_type] = min(first, since), later
        types = [(*kind, moment_of(first), _moment(last)) for kind, (first, last) in touched.items()]
        affected: set[str] = set()
        behind: tuple[Any, ...] = ("", "", 0, 0)
        while True:
            tries = await reading.tries_of_types(connection, types, behind, _AT_ONCE)
            affected |= await _divide(connection, tries)
            if len(tries) < _AT_ONCE:
                return affected
            behind = tries[-1].key


async def _divide(connection: AsyncConnection[Any], dirty: Sequence[Try]) -> set[str]:
    """The amounts of these tries are right. Answers the runs for which that made a difference."""
    affected: set[str] = set()
    for start in range(0, len(dirty), _AT_ONCE):
        some = dirty[start : start + _AT_ONCE]
        beside = await reading.overlapping_tries(connection, stretches(some))
        prices = by_workspace(
            await prices_of(connection, {(t.workspace, t.instance_type) for t in (*beside, *some) if t.instance_type})
        )
        amounts = divided({one.key: one for one in (*beside, *some)}.values(), prices)
        rows = [(*one.key, *amounts[one.key]) for one in some]
        cursor = await connection.execute(SQL["update_amounts"], columns_of(rows))
        affected |= {row[0] async for row in cursor}
    return affected


def stretches(tries: Iterable[Try]) -> list[tuple[str, str, Any, Any]]:
    """The stretches of time in which a host had one of these; those that touch are one."""
    of_host: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one in tries:
        if one.host is not None and one.end is not None and one.end > one.start:
            of_host.setdefault((one.workspace, one.host), []).append((one.start, one.end))
    found: list[tuple[str, str, Any, Any]] = []
    for (workspace, host), spans in of_host.items():
        spans.sort()
        first, last = spans[0]
        for start, end in spans[1:]:
            if start > last:
                found.append((workspace, host, moment_of(first), moment_of(last)))
                first = start
            last = max(last, end)
        found.append((workspace, host, moment_of(first), moment_of(last)))
    return found


async def _costs(connection: AsyncConnection[Any], batch_ids: set[str]) -> dict[str, RunCost]:
    if not batch_ids:
        return {}
    wanted = sorted(batch_ids)
    totals = dict.fromkeys(wanted, NOTHING)
    cursor = await connection.execute(SQL["used_by_batches"], [wanted])
    async for batch_id, nano, wasted in cursor:
        totals[batch_id] = NOTHING if nano is None else Total(int(nano), int(wasted or 0))
    bills = await reading.records_of(connection, wanted)
    if bills:
        of_batches = await reading.batch_usages(connection, bills)
        parts = await parts_of(connection, bills)
        for batch_id, recorded in bills.items():
            totals[batch_id] = total_of(parts.get(batch_id, []), recorded, in_vain(of_batches.get(batch_id, {})))
    return {batch_id: RunCost(usd_of(total.nano_usd), usd_of(total.wasted)) for batch_id, total in totals.items()}


async def parts_of(connection: AsyncConnection[Any], batch_ids: Iterable[str]) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    cursor = await connection.execute(SQL["parts_of_batches"], [list(batch_ids)])
    async for batch_id, job_id, attempt, nano, wasted, is_in_vain in cursor:
        part = Part(job_id, attempt, None if nano is None else int(nano), int(wasted), is_in_vain)
        found.setdefault(batch_id, []).append(part)
    return found


_TELLING = KINDS | {"cost_recorded"}
_MAY_BEGIN = NAMING | {"cost_recorded"}


def _gets_into_the_ledger(record: Record) -> bool:
    """Asked of all that is said of most runs, which never do."""
    return any(
        event["kind"] in _MAY_BEGIN and (event["kind"] == "cost_recorded" or names_a_machine(event))
        for event in record.events
    )


def _is_of_the_run_or_a_bill(event: dict[str, Any]) -> bool:
    return event["kind"] == "cost_recorded" or (not event.get("job_id") and event["kind"] in KINDS)


def _bills_in(record: Record) -> list[tuple[Any, ...]]:
    """A job's bill is of all attempts where its sender states none; a run's always is."""
    found: list[tuple[Any, ...]] = []
    for index, event in enumerate(record.events):
        if event["kind"] == "cost_recorded":
            job_id, data = event.get("job_id") or "", event["data"]
            found.append((
                record.batch_id, event["event_id"], job_id, event.get("attempt") if job_id else None,
                moment_of(record.times[index]), record.received_at, record.first_position + index,
                nano_of(data["amount_usd"]), data.get("basis"),
            ))  # fmt: skip
    return found


def _prices_in(record: Record) -> list[Price]:
    if record.batch_id != PRICES:
        return []
    return [
        Price(
            record.workspace, short_name(event["data"]["instance_type"]) or "", event["data"]["capacity"],
            micros(event["data"]["effective_from"]), record.times[index], event["event_id"], micros_of(record.received_at),
            record.first_position + index, nano_of(event["data"]["usd_per_hour"]), event["data"]["recorded_by"],
        )
        for index, event in enumerate(record.events)
        if event["kind"] == "price_recorded"
    ]  # fmt: skip


def _price_row(price: Price) -> tuple[Any, ...]:
    return (
        *price[:3], moment_of(price.effective_from), moment_of(price.recorded_at), price.event_id, moment_of(price.received),
        price.position, price.nano_usd_per_hour, price.recorded_by,
    )  # fmt: skip


def _moment(microseconds: int | None) -> Any:
    return None if microseconds is None else moment_of(microseconds)
